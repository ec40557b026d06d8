package isotpnet

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
)

// Final reports whether an error of a Conn, StreamConn, PacketConn or listener is the
// last: every later call of its kind (the reads, the writes, the Accepts) fails as
// well. A loop ends with it, and after other errors goes on:
//
//	for {
//		n, err := conn.Read(buf)
//		switch {
//		case isotpnet.Final(err):
//			return err
//		case err != nil:
//			log.Print(err) // the next message may be good
//			continue
//		}
//		handle(buf[:n])
//	}
//
// Final are net.ErrClosed, io.EOF, io.ErrClosedPipe, ErrSendOnly, ErrListenOnly,
// ErrNoFunctional, what a bus has failed with (a log has ended, an adapter was taken
// out: syscall.ENODEV), and on "isotp-stream" all that Read and Write return but
// os.ErrDeadlineExceeded.
//
// Not final are deadlines, a [*ProtocolError], ErrOverrun, ErrMessageTooLong and
// other errors of what was to be sent, a frame that the bus has refused, and
// syscall.ENETDOWN, since the interface may be set up again. An Accept on
// "isotp-stream" that opens its bus again when it fails is not final either: its error
// is Temporary. Neither is an error of opening something: it can be tried again.
//
// A listener on a socket of the kernel goes on if its interface comes back after all.
//
// The io.EOF of the reader of NextReader is the end of a message only.
//
// A loop that asks for net.ErrClosed ends, too: when a bus has failed, the first Read,
// Write and Accept each return its error, and later ones one that is also
// net.ErrClosed.
func Final(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		switch {
		case op.Op == opDial || op.Op == opListen:
			return false
		case isStream(op.Net) && (op.Op == opRead || op.Op == opWrite):
			return !errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
	if _, ok := errors.AsType[*ProtocolError](err); ok {
		return false // whatever its source has failed with
	}
	if _, ok := errors.AsType[acceptError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*busError](err); ok {
		return true
	}
	for _, final := range []error{io.EOF, io.ErrClosedPipe, ErrSendOnly, ErrListenOnly, ErrNoFunctional} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

// A busError is what a bus has failed with, for good. It is no time-out: with one of
// these, calls are tried again.
type busError struct {
	err error
	// told: this is not the first to say so. It is net.ErrClosed, too.
	told bool
}

func (e *busError) Error() string        { return e.err.Error() }
func (e *busError) Unwrap() error        { return e.err }
func (e *busError) Is(target error) bool { return e.told && target == net.ErrClosed }

// ends remembers which calls have told that the bus has failed.
type ends struct{ read, write atomic.Bool }

// error is err, or what it is the second time.
func (e *ends) error(op string, err error) error {
	failed, ok := err.(*busError)
	if !ok {
		return err
	}
	told := &e.read // Accept counts as that
	if op == opWrite {
		told = &e.write
	}
	if told.Swap(true) {
		return &busError{failed.err, true}
	}
	return err
}

// A downError says that a network interface is down. It may be set up again, and the
// connection goes on then.
type downError struct{ err error }

func (e *downError) Error() string { return e.err.Error() }
func (e *downError) Unwrap() error { return e.err }
