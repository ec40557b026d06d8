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

// A tracer writes what --trace and --log show of a connection, and a line for each message
// that is given up. The library reports a step when it has the time, perhaps only after the
// call that the step belongs to has returned. So a tracer counts what was reported, and the
// process can wait for the last lines.
type tracer struct {
	slog.Handler           // writes what --log shows
	frames       io.Writer // where --trace goes, or nil
	bus          string    // the name of the bus there

	abortsOnly bool // receptions given up are reported, and nothing else

	mu       sync.Mutex // guards reported
	reported ends
	changed  chan struct{} // has an element after reported has changed
}

// ends count the messages that came to an end.
type ends struct{ sent, received, sendsAborted, receptionsAborted uint64 }

// newTracer sets the Config's Trace and Logger. Without --trace and --log it leaves them and
// returns nil, which waits for nothing.
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

// tellAborts makes the tracer, or a new one if t is nil, write a line for each message from
// that address that is given up while it is received. With --log there is a line already.
func (t *tracer) tellAborts(f *configFlags, c *isotpnet.Config, stderr io.Writer, address string) *tracer {
	if t != nil && f.Logger != "off" {
		return t
	}
	if t == nil {
		t = &tracer{Handler: slog.DiscardHandler, abortsOnly: true, changed: make(chan struct{}, 1)}
		c.Trace = new(isotpnet.Trace)
	}
	c.Trace.ReceptionAborted = func(ev isotpnet.TraceEvent) {
		if ev.Code != isotpnet.CodeReceiverFull { // for that there is an ErrOverrun, one for many
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
		if !f.Has(canbus.Timed) {
			f.Stamp(ev.Time.UnixNano())
		}
		t.frames.Write(append(canbus.AppendLogLine(nil, &f, t.bus), '\n'))
	}
}

// Enabled lets every step through: Handle also counts the steps that are not shown.
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

// count counts a step if it is the end of a message, going by the library's log message.
// The library writes its log last, after it has called the hooks of Trace.
func (t *tracer) count(step string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch step {
	case "isotp: message sent":
		t.reported.sent++
	case "isotp: message received":
		t.reported.received++
	case "isotp: send aborted":
		t.reported.sendsAborted++
	case "isotp: reception aborted":
		t.reported.receptionsAborted++
	default:
		return
	}
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// wait waits until everything was reported that the Stats of the closed connection count,
// but for one second at most: a trace is not worth more.
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
		return t.reported.receptionsAborted >= s.ReceptionsAborted
	}
	return t.reported.sent >= s.MessagesSent && t.reported.received >= s.MessagesReceived &&
		t.reported.sendsAborted >= s.SendsAborted && t.reported.receptionsAborted >= s.ReceptionsAborted
}
