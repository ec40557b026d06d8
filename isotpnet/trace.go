package isotpnet

import (
	"context"
	"log/slog"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/mux"
	"example.com/isotp/internal/wire"
)

// A Trace is a set of functions that are called at the steps of a connection, in the order
// of the steps; functions that are nil are not called. They are called one at a time, on
// any goroutine, perhaps after the Write or Read that caused the step has returned. No lock
// is held, so they may call the connection's methods. They must not block: the bus's frames
// may have to wait until they return.
type Trace struct {
	// FrameSent: a frame is on the wire, if the bus echoes (canbus.Properties.Echo); on
	// other buses the bus has taken it. FrameReceived: a frame for this connection has
	// come, valid or not. A request stands before its answer. The function may keep the
	// frame; its Timestamp, if it has the flag canbus.Timed, is the bus's own, and may be
	// more exact than Time.
	FrameSent, FrameReceived func(TraceEvent)
	// FrameIgnored: a frame changed nothing. Code says why.
	FrameIgnored func(TraceEvent)
	// FlowControlSent and FlowControlReceived have Status, BlockSize and STmin.
	FlowControlSent, FlowControlReceived func(TraceEvent)
	// MessageStarted: a First Frame was accepted. Size is the message's.
	MessageStarted func(TraceEvent)
	// MessageReceiving: a Consecutive Frame of a message has come, and not its
	// last. MessageSending: a frame of one was handed to the bus, and not its last.
	// Done of Size bytes.
	MessageReceiving, MessageSending func(TraceEvent)
	// MessageReceived and MessageSent: a message is complete. Size, Functional.
	MessageReceived, MessageSent func(TraceEvent)
	// ReceptionAborted and SendAborted: a message was aborted. Code says why. Size is how
	// much of the message was received or handed to the bus, or the message's length if it
	// was refused (CodeReceptionTooLong, CodeReceiverFull). BusDropped is how many
	// received frames the bus has dropped meanwhile.
	ReceptionAborted, SendAborted func(TraceEvent)
}

// A TraceEvent is one step. Fields that its function does not name are zero.
type TraceEvent struct {
	Conn       *Conn       // nil for a PacketConn and for streams
	PacketConn *PacketConn // nil for a Conn and for streams
	Peer       Addr        // the peer's address, as Dial takes it
	Time       time.Time
	Frame      *canbus.Frame
	Code       Code
	Size       int64
	Done       int64
	Functional bool
	Status     FlowStatus
	BlockSize  int
	STmin      time.Duration
	BusDropped uint64
}

// FlowStatus is the FS parameter of a flow control.
type FlowStatus uint8

// The values of FlowStatus; others are reserved.
const (
	FlowContinueToSend FlowStatus = FlowStatus(wire.ContinueToSend) // CTS
	FlowWait           FlowStatus = FlowStatus(wire.Wait)           // WAIT
	FlowOverflow       FlowStatus = FlowStatus(wire.Overflow)       // OVFLW
)

func (s FlowStatus) String() string {
	switch s {
	case FlowContinueToSend:
		return "CTS"
	case FlowWait:
		return "WAIT"
	case FlowOverflow:
		return "OVFLW"
	}
	return "reserved"
}

// forConn sets the connection that the observer tells of. The hooks get the Conn, unless it
// carries streams: only these may use it.
func (o *observer) forConn(c *Conn, time func(engine.Time) time.Time) {
	if !isStream(c.network) {
		o.conn = c
	}
	o.peer, o.time = c.remote, time
}

// An observer tells a Trace and a Logger what the engine of a connection does.
type observer struct {
	conn       *Conn // conn or packetConn is set, or neither
	packetConn *PacketConn
	peer       Addr
	trace      Trace
	log        *slog.Logger
	time       func(engine.Time) time.Time
}

var _ mux.Observer = (*observer)(nil)

// newObserver returns nil if there is neither a Trace nor a Logger.
func newObserver(c *Config) *observer {
	if c.Trace == nil && c.Logger == nil {
		return nil
	}
	o := &observer{log: c.Logger}
	if c.Trace != nil {
		o.trace = *c.Trace
	}
	return o
}

// Frame implements mux.Observer.
func (o *observer) Frame(at engine.Time, f *canbus.Frame, what mux.FrameEvent) {
	hook, name := o.trace.FrameReceived, "frame received"
	if what == mux.FrameSent {
		hook, name = o.trace.FrameSent, "frame sent"
	}
	ev := TraceEvent{Conn: o.conn, PacketConn: o.packetConn, Peer: o.peer, Time: o.time(at), Frame: f}
	if hook != nil {
		hook(ev)
	}
	o.logAt(slog.LevelDebug, name, ev, slog.String("frame", f.String()))
}

// Step implements mux.Observer.
func (o *observer) Step(s engine.Observation) {
	ev := TraceEvent{
		Conn: o.conn, PacketConn: o.packetConn, Peer: o.peer, Time: o.time(s.At),
		Code: Code(s.Code), Size: int64(s.Size), Done: int64(s.Done), Functional: s.Functional,
		Status: FlowStatus(s.Status), BlockSize: int(s.BlockSize), STmin: wire.DecodeSTmin(s.STmin),
		BusDropped: uint64(s.Dropped),
	}
	size, why := slog.Int64("size", ev.Size), slog.String("why", ev.Code.String())
	flow := []slog.Attr{slog.String("status", ev.Status.String()), slog.Int("bs", ev.BlockSize), slog.Duration("stmin", ev.STmin)}
	var hook func(TraceEvent)
	level := slog.LevelDebug
	var name string
	var attrs []slog.Attr
	switch s.Kind {
	case engine.FrameIgnored:
		hook, name, attrs = o.trace.FrameIgnored, "frame ignored", []slog.Attr{why}
	case engine.MessageStarted:
		hook, name, attrs = o.trace.MessageStarted, "message started", []slog.Attr{size}
	case engine.MessageReceiving:
		hook = o.trace.MessageReceiving
	case engine.MessageSending:
		hook = o.trace.MessageSending
	case engine.MessageReceived:
		hook, name, attrs = o.trace.MessageReceived, "message received", []slog.Attr{size}
	case engine.MessageSent:
		hook, name, attrs = o.trace.MessageSent, "message sent", []slog.Attr{size}
	case engine.ReceptionAborted:
		hook, name, attrs, level = o.trace.ReceptionAborted, "reception aborted", []slog.Attr{why, size}, slog.LevelWarn
	case engine.SendAborted:
		hook, name, attrs, level = o.trace.SendAborted, "send aborted", []slog.Attr{why, size}, slog.LevelWarn
	case engine.FlowControlSent:
		hook, name, attrs = o.trace.FlowControlSent, "flow control sent", flow
	case engine.FlowControlReceived:
		hook, name, attrs = o.trace.FlowControlReceived, "flow control received", flow
	}
	if s.Dropped > 0 {
		attrs = append(attrs, slog.Uint64("busDropped", ev.BusDropped))
	}
	if hook != nil {
		hook(ev)
	}
	if name != "" { // a step without a name is in the log as its frame
		o.logAt(level, name, ev, attrs...)
	}
}

func (o *observer) logAt(level slog.Level, name string, ev TraceEvent, attrs ...slog.Attr) {
	if o.log == nil || !o.log.Enabled(context.Background(), level) {
		return
	}
	attrs = append(attrs, slog.Any("addr", ev.Peer))
	o.log.LogAttrs(context.Background(), level, "isotp: "+name, attrs...)
}
