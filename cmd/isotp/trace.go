package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// A tracer is what --trace and --log make of a connection. The library tells of a
// step when it has the time, perhaps only after the call that it belongs to has
// returned; a tracer knows up to where it has been told, so that the last lines
// are there before the process ends.
type tracer struct {
	slog.Handler           // what --log is to show
	frames       io.Writer // where --trace goes, or nil
	bus          string    // its name there

	// pending is the count that the step being told of belongs to, nil if to
	// none. Its hook is called first, and then the logger. It needs no lock: one
	// goroutine at a time tells, and hands over to the next.
	pending *uint64

	mu      sync.Mutex
	told    ends
	changed chan struct{}
}

// ends count the messages that came to an end.
type ends struct{ sent, received, sendsAborted, receptionsAborted uint64 }

// newTracer sets the Config's Trace and Logger. Without --trace and --log it
// returns nil, which is told of nothing and waits for nothing.
func newTracer(f *configFlags, c *isotpnet.Config, stderr io.Writer, bus string) *tracer {
	if !f.Trace && f.Logger == "off" {
		return nil
	}
	t := &tracer{Handler: slog.DiscardHandler, bus: bus, changed: make(chan struct{}, 1)}
	if f.Trace {
		t.frames = stderr
	}
	switch f.Logger {
	case "warn":
		t.Handler = newHandler(stderr, slog.LevelWarn)
	case "debug":
		t.Handler = newHandler(stderr, slog.LevelDebug)
	}
	c.Logger = slog.New(t)
	c.Trace = &isotpnet.Trace{
		FrameSent:        t.frame(canbus.Echo),
		FrameReceived:    t.frame(0),
		MessageSent:      t.end(&t.told.sent),
		MessageReceived:  t.end(&t.told.received),
		SendAborted:      t.end(&t.told.sendsAborted),
		ReceptionAborted: t.end(&t.told.receptionsAborted),
	}
	return t
}

func newHandler(w io.Writer, level slog.Level) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
}

// frame returns a hook that writes frames as candump -L does.
func (t *tracer) frame(sent canbus.Flags) func(isotpnet.TraceEvent) {
	if t.frames == nil {
		return nil
	}
	return func(ev isotpnet.TraceEvent) {
		f := *ev.Frame
		f.Flags |= sent
		f.Timestamp = ev.Time.UnixNano()
		t.frames.Write(append(canbus.AppendLogLine(nil, &f, t.bus), '\n'))
	}
}

// end returns a hook for steps that one of the ends counts.
func (t *tracer) end(count *uint64) func(isotpnet.TraceEvent) {
	return func(isotpnet.TraceEvent) { t.pending = count }
}

// Enabled lets every step through, as Handle counts those not shown too.
func (t *tracer) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (t *tracer) Handle(ctx context.Context, r slog.Record) error {
	var err error
	if t.Handler.Enabled(ctx, r.Level) {
		err = t.Handler.Handle(ctx, r)
	}
	if t.pending != nil {
		t.mu.Lock()
		*t.pending++
		t.mu.Unlock()
		t.pending = nil
		select {
		case t.changed <- struct{}{}:
		default:
		}
	}
	return err
}

// wait waits until the tracer was told of everything that the Stats of its closed
// connection count. It does not wait for ever: a trace is not worth that.
func (t *tracer) wait(s isotpnet.Stats) {
	if t == nil {
		return
	}
	timeout := time.After(time.Second)
	for !t.complete(s) {
		select {
		case <-t.changed:
		case <-timeout:
			return
		}
	}
}

func (t *tracer) complete(s isotpnet.Stats) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.told.sent >= s.MessagesSent && t.told.received >= s.MessagesReceived &&
		t.told.sendsAborted >= s.SendsAborted && t.told.receptionsAborted >= s.ReceptionsAborted
}
