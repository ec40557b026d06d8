package kernel

import (
	"errors"
	"fmt"
	"os"
	"time"

	"example.com/isotp/internal/engine"
)

var (
	// ErrSendOnly is the error of reading where there is no Spec.Rx.
	ErrSendOnly = errors.New("this socket only sends")

	// ErrNoFunctional is the error of SendFunctional where there is no Spec.Functional.
	ErrNoFunctional = errors.New("there is no functional address to write to")

	// ErrClassic is the error of opening a socket for CAN FD on an interface for classic CAN.
	ErrClassic = errors.New("the interface carries classic CAN only")

	// ErrOverrun is the error of a Read in front of which messages were lost: the socket had
	// no room for them.
	ErrOverrun error = ResultError(engine.ReceiverFull)
)

// A ResultError says how the kernel ended a transmission or a reception. InvalidFrame: a
// frame was not filled up as Spec.ChecksPadding has it checked.
type ResultError engine.Code

func (e ResultError) Error() string { return fmt.Sprintf("ISO-TP result %d", uint8(e)) }

// An OwedError is the os.ErrDeadlineExceeded of a message that was not started, because
// the peer owes a flow control until then.
type OwedError struct{ Until time.Time }

func (e *OwedError) Error() string {
	return "nothing was sent, a flow control is owed until " + e.Until.String()
}

// Is makes it equal to os.ErrDeadlineExceeded.
func (e *OwedError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// A TooLongError says that a message of Size bytes is longer than Max. Single: Max is that
// of a Single Frame, else the kernel's.
type TooLongError struct {
	Size, Max int64
	Single    bool
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("a message of %d bytes is longer than %d", e.Size, e.Max)
}

// A SourceError is what the io.Reader given to SendFrom has failed with.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return "the source of the message failed: " + e.Err.Error() }
func (e *SourceError) Unwrap() error { return e.Err }

// A GoneError says that the interface was deleted: for this socket it does not come back.
type GoneError struct{ Err error }

func (e *GoneError) Error() string { return e.Err.Error() }
func (e *GoneError) Unwrap() error { return e.Err }

// A DownError tells a Handler that the interface is down. It may be set up again, and then
// messages go on.
type DownError struct{ Err error }

func (e *DownError) Error() string { return e.Err.Error() }
func (e *DownError) Unwrap() error { return e.Err }

// An UnsupportedError says why this system has no ISO-TP that this package can use.
type UnsupportedError struct{ Err error }

func (e *UnsupportedError) Error() string {
	return "the kernel's ISO-TP cannot be used: " + e.Err.Error()
}
func (e *UnsupportedError) Unwrap() error        { return e.Err }
func (e *UnsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }
