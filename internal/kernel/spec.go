// Package kernel is ISO-TP by Linux's own sockets (CAN_ISOTP). A [Conn] sends and receives
// messages over one socket, a [Listener] makes Conns of one socket, one after another.
//
// It knows nothing of package isotpnet, which makes a [Spec] of a Config and translates the
// errors. On other systems Dial, Listen and Probe return an error that says so.
package kernel

import (
	"syscall"
	"time"

	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

// A Spec says what a socket is to be, and what a Conn on it does.
type Spec struct {
	// Interface is the name of the network interface. FD: the options ask for CAN FD.
	Interface string
	FD        bool

	// Tx is where messages go. Rx is where the peer's come from; nil: the Conn only sends.
	Tx wire.Address
	Rx *wire.Address

	// Options are set in their order before the socket is bound, and then Control is called
	// with it, unless it is nil.
	Options []Option
	Control func(syscall.RawConn) error

	// Single is the longest message that fits in a Single Frame to Tx, in bytes. With
	// SingleOnly longer ones are refused.
	Single     int
	SingleOnly bool

	// MaxSend is a message, in bytes, that the kernel must be able to send: else Dial and
	// Listen return a TooLongError.
	MaxSend int64

	// ReadBuffer is how many bytes of messages may wait to be read, each counted with 64
	// bytes more. 0: 4 MiB.
	ReadBuffer int

	// ChecksPadding: the options have the kernel check how received frames are filled up.
	ChecksPadding bool

	// ReportAborted has a Read return a ResultError when a reception is aborted.
	ReportAborted bool

	// Functional is what SendFunctional sends on: it has no Rx. Nil: there is none.
	Functional *Spec

	// Claim makes the pair of addresses ours in this process, on the interface that has the
	// name now, until release is called. It is called by Dial and Listen, and by a Listener
	// whose interface was deleted when there is another one of that name.
	Claim func() (release func(), err error)

	// Owed returns until when the peer may still send a flow control for a message of an
	// earlier connection of this pair on an interface, given by its canbus.Identity; the zero
	// Time: it owes none. Owe keeps that it does. Both are nil where Rx is.
	Owed func(bus string) time.Time
	Owe  func(bus string, until time.Time)

	// Made is called with each Conn before anything happens on it. It may set User and
	// Observer.
	Made func(*Conn)
}

// An Option is one of a CAN_ISOTP socket, as setsockopt takes it: Value has the bytes of a C
// struct, in the order of the machine's own.
type Option struct {
	Name  int
	Value []byte
}

// An Observer is told what happens on a Conn: messages sent and received, and those
// aborted, one call at a time, in their order, under no lock.
type Observer interface {
	Step(engine.Observation)
}

// A Handler receives a Conn's messages and the results of Start by callback. Its methods
// mean what those of mux.Handler do. They must not wait, nor close the Conn.
type Handler interface {
	// Message takes a message, whose bytes are good until it returns; or with nil bytes an
	// error of Receive. A ResultError says that a message was lost, a *DownError that the
	// interface is down; after other errors there are no more of these calls.
	Message(at engine.Time, p []byte, err error)

	// Sent follows each Start, once. handed: the peer may have got the message, whatever the
	// error is.
	Sent(at engine.Time, handed bool, err error)
}

// Info describes a message.
type Info struct {
	Size int // in bytes
	Rest int // how many of them are still to be read
	// First and Last are when its first and its last frame came. First is known of Single
	// Frames only, and zero for others.
	First, Last time.Time
}
