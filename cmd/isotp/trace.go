package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// A tracer is what --trace and --log make of a connection, and of the messages that are
// given up. The library tells of a
// step when it has the time, perhaps only after the call that it belongs to has
// returned; a tracer knows up to where it has been told, so that the last lines
// are there before the process ends.
type tracer struct {
	slog.Handler           // what --log is to show
	frames       io.Writer // where --trace goes, or nil
	bus          string    // its name there

	abortsOnly bool // it is told of receptions given up, and of nothing else

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
		FrameSent:     t.frame(canbus.Echo),
		FrameReceived: t.frame(0),
	}
	return t
}

// tellAborts makes a tracer, if t is nil, and has it write a line for each message from
// that address that is given up while it is received; or not, as --log has one.
func (t *tracer) tellAborts(f *configFlags, c *isotpnet.Config, stderr io.Writer, address string) *tracer {
	if t != nil && f.Logger != "off" {
		return t
	}
	if t == nil {
		t = &tracer{Handler: slog.DiscardHandler, abortsOnly: true, changed: make(chan struct{}, 1)}
		c.Trace = new(isotpnet.Trace)
	}
	c.Trace.ReceptionAborted = func(ev isotpnet.TraceEvent) {
		if ev.Code != isotpnet.CodeReceiverFull { // that is told by an ErrOverrun, once for many
			fmt.Fprintf(stderr, "%s: %s\n", address, abortText(ev))
		}
		if t.abortsOnly {
			t.count("isotp: reception aborted")
		}
	}
	return t
}

// abortText says which message was given up, and why.
func abortText(ev isotpnet.TraceEvent) string {
	what := fmt.Sprintf("given up after %d bytes", ev.Size)
	if ev.Code == isotpnet.CodeReceptionTooLong {
		what = fmt.Sprintf("of %d bytes refused", ev.Size)
	}
	at := ev.Time.UnixMicro()
	text := fmt.Sprintf("message %s at (%d.%06d): %v", what, at/1e6, at%1e6, ev.Code)
	if ev.BusDropped > 0 {
		text += fmt.Sprintf(" (the bus has dropped %d frames meanwhile)", ev.BusDropped)
	}
	return text
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
		if f.Timestamp == 0 {
			f.Timestamp = ev.Time.UnixNano()
		}
		t.frames.Write(append(canbus.AppendLogLine(nil, &f, t.bus), '\n'))
	}
}

// Enabled lets every step through, as Handle counts those not shown too.
func (t *tracer) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (t *tracer) Handle(ctx context.Context, r slog.Record) error {
	var err error
	if t.Handler.Enabled(ctx, r.Level) {
		err = t.Handler.Handle(ctx, r)
	}
	t.count(r.Message)
	return err
}

// count counts a step, by what the library's log says of it, if it is the end of a
// message. The log is told last, after the hooks.
func (t *tracer) count(step string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch step {
	case "isotp: message sent":
		t.told.sent++
	case "isotp: message received":
		t.told.received++
	case "isotp: send aborted":
		t.told.sendsAborted++
	case "isotp: reception aborted":
		t.told.receptionsAborted++
	default:
		return
	}
	select {
	case t.changed <- struct{}{}:
	default:
	}
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
	if t.abortsOnly {
		return t.told.receptionsAborted >= s.ReceptionsAborted
	}
	return t.told.sent >= s.MessagesSent && t.told.received >= s.MessagesReceived &&
		t.told.sendsAborted >= s.SendsAborted && t.told.receptionsAborted >= s.ReceptionsAborted
}
