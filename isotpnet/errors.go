package isotpnet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/mux"
)

// Errors inside a *net.OpError, to be found with errors.Is, beside net.ErrClosed
// and os.ErrDeadlineExceeded. A pair of addresses that is open already is
// syscall.EADDRINUSE, what cannot be had here errors.ErrUnsupported. Connections on
// "isotp-stream" have a [*StreamError] of their own.
var (
	// ErrMessageTooLong is the error of a Write longer than
	// Config.MaxSendSize, or than a Single Frame where only such can be sent.
	// Nothing was sent. It is also syscall.EMSGSIZE.
	ErrMessageTooLong error = &MessageTooLongError{}

	// ErrOverrun is what an [OverrunError] is to errors.Is: messages have been lost, or
	// frames that may have been theirs. Reading can go on.
	ErrOverrun error = &OverrunError{}

	// ErrSendOnly is the error of reading from a functional address.
	ErrSendOnly = errors.New("a functional address only sends; answers come on the physical addresses of those who answer")

	// ErrNoFunctional is the error of WriteFunctional without an address.
	ErrNoFunctional = errors.New("there is no functional address to write to: set Dialer.Functional")

	// ErrTooManyPeers is the error of PacketConn.WriteTo to a peer that there is
	// no place for, because ListenConfig.MaxPeers others are busy.
	ErrTooManyPeers = errors.New("too many peers are busy at once: see ListenConfig.MaxPeers")

	// ErrListenOnly is the error of writing with Config.ListenOnly.
	ErrListenOnly = errors.New("Config.ListenOnly: nothing can be sent")
)

// An OverrunError is the [ErrOverrun] of a Read: something has been lost before it could
// be read. Reading can go on. There are two kinds.
//
// Messages have been lost because earlier ones had not been read: Single Frames, which
// have no flow control, and on the kernel's backend any. Which ones, Config.ReadBuffer
// says. The error comes where they are missing.
//
// Or the bus has dropped frames, because this process did not read them in time, or
// something on the way was too slow: an adapter, a server. They may have been anybody's,
// so every connection on that bus that reads gets one such error, in front of its next
// message or, where a Read is waiting, within a second; a PacketConn gets one for all its
// peers. Streams get none: they notice themselves what they have lost.
type OverrunError struct {
	// Bus: it was the bus that dropped frames.
	Bus bool
	// Frames is how many it has dropped since the last error of this kind on this
	// connection; 0 where Bus is false.
	Frames uint64
}

func (e *OverrunError) Error() string {
	if e.Bus {
		return fmt.Sprintf("the bus has dropped %d received frames, which were not read in time: messages may be missing", e.Frames)
	}
	return "messages were lost because earlier ones had not been read"
}

// Is makes it equal to ErrOverrun.
func (e *OverrunError) Is(target error) bool { return target == ErrOverrun }

// A MessageTooLongError is an [ErrMessageTooLong] that says how long.
type MessageTooLongError struct {
	Size, Max int64 // in bytes
	// Limit says whose limit Max is (Config.MaxSendSize, the kernel's, a Single
	// Frame's, ISO-TP's own), and what sends more.
	Limit string
}

// The values of MessageTooLongError.Limit.
const (
	limitMaxSendSize = "Config.MaxSendSize"
	limitProtocol    = "ISO-TP has no longer messages"
	limitSingle      = "a functional request is a single frame, longer ones go to one ECU each"
	limitKernel      = "the kernel's limit, max_pdu_size of its module can_isotp; isotp:user sends longer ones"
	// asSeveral is the way out that Write has.
	asSeveral = "; for bytes of any number there are Config.SplitWrites and isotp-stream"
)

func (e *MessageTooLongError) Error() string {
	switch {
	case *e == (MessageTooLongError{}):
		return "message too long"
	case e.Size < 0:
		return fmt.Sprintf("a message cannot have %d bytes: the size must be from 0 to %d", e.Size, e.Max)
	case e.Limit == "":
		return fmt.Sprintf("message too long: %d bytes, at most %d can be sent", e.Size, e.Max)
	}
	return fmt.Sprintf("message too long: %d bytes, at most %d can be sent: %s", e.Size, e.Max, e.Limit)
}

// Is makes it equal to ErrMessageTooLong and syscall.EMSGSIZE.
func (e *MessageTooLongError) Is(target error) bool {
	return target == ErrMessageTooLong || target == syscall.EMSGSIZE
}

// A targetError is why WriteTo cannot send to an address. It is EINVAL, as package
// net has it.
type targetError struct {
	why  string
	addr net.Addr
}

func (e *targetError) Error() string {
	if e.addr == nil {
		return "no address to send to"
	}
	return fmt.Sprintf("%v %s", e.addr, e.why)
}

func (e *targetError) Is(target error) bool { return target == syscall.EINVAL }

// An ownAddrError says that a Dial has named our end of a pair that is open in this
// process, and which is the other end.
type ownAddrError struct {
	why    string
	mirror Addr
}

func (e *ownAddrError) Error() string {
	return fmt.Sprintf("%s; to be the other end dial its mirror, %v", e.why, e.mirror)
}

// Is makes it the error of an address in use.
func (e *ownAddrError) Is(target error) bool { return target == syscall.EADDRINUSE }

// A Code says how the protocol ended a transmission or a reception, or why a
// frame was ignored.
type Code uint8

// There is a Code for each N_Result of ISO 15765-2, and for each error that
// can-isotp tells apart (its name is in brackets). Write and SendFrom return
// TimeoutA, TimeoutBs, InvalidFS, WaitOverrun, WaitRefused, BufferOverflow,
// SourceFailed and SourceStalled. What ends a reception is given to
// Trace.ReceptionAborted, and to Read with Config.ReportAborted; what is said to
// be ignored, to Trace.FrameIgnored. Stats count all of them.
const (
	// TimeoutA: a frame did not get on the wire in Config.TransmitTimeout.
	// N_TIMEOUT_A.
	TimeoutA = Code(engine.TimeoutA)
	// TimeoutBs: no flow control came in Config.FlowControlTimeout.
	// N_TIMEOUT_Bs [FlowControlTimeoutError].
	TimeoutBs = Code(engine.TimeoutBs)
	// TimeoutCr: no Consecutive Frame came in Config.ConsecutiveFrameTimeout.
	// N_TIMEOUT_Cr [ConsecutiveFrameTimeoutError].
	TimeoutCr = Code(engine.TimeoutCr)
	// WrongSN: a Consecutive Frame had an unexpected sequence number.
	// N_WRONG_SN [WrongSequenceNumberError].
	WrongSN = Code(engine.WrongSN)
	// InvalidFS: the peer's flow control had a reserved FlowStatus.
	// N_INVALID_FS [a kind of InvalidCanDataError].
	InvalidFS = Code(engine.InvalidFS)
	// WaitOverrun: the peer sent more WAITs in a row than
	// Config.MaxWaitFrames, or our reader was so slow that
	// Config.MaxSendWaitFrames were not enough.
	// N_WFT_OVRN [MaximumWaitFrameReachedError].
	WaitOverrun = Code(engine.WaitOverrun)
	// WaitRefused: the peer sent a WAIT and Config.MaxWaitFrames is negative.
	// N_WFT_OVRN [UnsupportedWaitFrameError].
	WaitRefused = Code(engine.WaitRefused)
	// BufferOverflow: the peer answered OVFLW, the message is too long for it.
	// N_BUFFER_OVFLW [OverflowError].
	BufferOverflow = Code(engine.BufferOverflow)
	// InterruptedBySingleFrame: a Single Frame came during a reception.
	// N_UNEXP_PDU [ReceptionInterruptedWithSingleFrameError].
	InterruptedBySingleFrame = Code(engine.InterruptedBySingleFrame)
	// InterruptedByFirstFrame: a First Frame came during a reception.
	// N_UNEXP_PDU [ReceptionInterruptedWithFirstFrameError].
	InterruptedByFirstFrame = Code(engine.InterruptedByFirstFrame)
	// UnexpectedConsecutiveFrame: one came although no reception is under way;
	// ignored. N_UNEXP_PDU [UnexpectedConsecutiveFrameError].
	UnexpectedConsecutiveFrame = Code(engine.UnexpectedConsecutive)
	// UnexpectedFlowControl: one came that nobody waits for; ignored.
	// N_UNEXP_PDU [UnexpectedFlowControlError].
	UnexpectedFlowControl = Code(engine.UnexpectedFlowControl)
	// InvalidFrame: a frame was not a protocol data unit; ignored. On the kernel, which
	// ignores those without a word: its padding was not as KernelCheckPadLen and
	// KernelCheckPadData have it checked. [InvalidCanDataError]
	InvalidFrame = Code(engine.InvalidFrame)
	// MissingEscape: a Single Frame longer than 8 bytes had its length in the
	// first byte; ignored. [MissingEscapeSequenceError]
	MissingEscape = Code(engine.MissingEscape)
	// InvalidFirstFrameLength: a First Frame was shorter than 8 bytes, or of a
	// length that no DLC has; ignored. [InvalidCanFdFirstFrameRXDL]
	InvalidFirstFrameLength = Code(engine.InvalidFirstFrameLength)
	// ChangedFrameLength: a Consecutive Frame was not as long as the First
	// Frame; ignored. [ChangingInvalidRXDLError]
	ChangedFrameLength = Code(engine.ChangedFrameLength)
	// FunctionalFirstFrame: functional requests are Single Frames; ignored.
	FunctionalFirstFrame = Code(engine.FunctionalFirstFrame)
	// MessageTooLong: the peer's message was longer than
	// Config.MaxMessageSize; answered OVFLW. [FrameTooLongError]
	MessageTooLong = Code(engine.MessageTooLong)
	// ReceiverFull: messages wait to be read and there is no room for more: a
	// Single Frame was lost, see ErrOverrun, or a First Frame answered OVFLW.
	ReceiverFull = Code(engine.ReceiverFull)
	// SourceFailed: the io.Reader given to SendFrom failed, or ended before
	// the message. N_ERROR [BadGeneratorError].
	SourceFailed = Code(engine.SourceFailed)
	// SourceStalled: the io.Reader given to SendFrom was so slow that the
	// peer's N_Cr would have run out. N_ERROR.
	SourceStalled = Code(engine.SourceStalled)
	// Aborted: our side gave up, at a deadline or a Close. N_ERROR.
	Aborted = Code(engine.Aborted)
	// FlowControlOwed: the same, before anything was sent, since the peer owed the
	// flow control of an earlier message. Write returns an OwedError then. N_ERROR.
	FlowControlOwed = Code(engine.FlowControlOwed)
	// Refused: the bus has refused a frame, when it was written or later. Write
	// returns the bus's error then, or a *canbus.RefusedError; the reception that a
	// flow control was for is given up. N_ERROR.
	Refused = Code(engine.Refused)
	// BusEnded: a message was being received when the bus failed, or the log was
	// through. N_ERROR.
	BusEnded = Code(engine.BusEnded)
	// TimeWentBack: a message was being received when the time of a log's frames went
	// back by more than a second: to another recording, or as a clock was set. N_ERROR.
	TimeWentBack = Code(engine.TimeWentBack)
)

var codeTexts = [engine.NumCodes]struct{ name, text string }{
	TimeoutA:                   {"N_TIMEOUT_A", "a frame did not get on the bus in time"},
	TimeoutBs:                  {"N_TIMEOUT_Bs", "no flow control came in time"},
	TimeoutCr:                  {"N_TIMEOUT_Cr", "no consecutive frame came in time"},
	WrongSN:                    {"N_WRONG_SN", "wrong sequence number"},
	InvalidFS:                  {"N_INVALID_FS", "reserved flow status"},
	WaitOverrun:                {"N_WFT_OVRN", "too many wait frames in a row"},
	WaitRefused:                {"N_WFT_OVRN", "a wait frame came and none is accepted"},
	BufferOverflow:             {"N_BUFFER_OVFLW", "the message is too long for the peer"},
	InterruptedBySingleFrame:   {"N_UNEXP_PDU", "interrupted by a single frame"},
	InterruptedByFirstFrame:    {"N_UNEXP_PDU", "interrupted by a first frame"},
	UnexpectedConsecutiveFrame: {"N_UNEXP_PDU", "consecutive frame of no message"},
	UnexpectedFlowControl:      {"N_UNEXP_PDU", "flow control nobody waits for"},
	InvalidFrame:               {"invalid frame", "not a protocol data unit"},
	MissingEscape:              {"invalid single frame", "longer than 8 bytes without an escaped length"},
	InvalidFirstFrameLength:    {"invalid first frame", "shorter than 8 bytes, or of a length no DLC has"},
	ChangedFrameLength:         {"invalid consecutive frame", "not as long as the first frame"},
	FunctionalFirstFrame:       {"invalid functional request", "longer than a single frame"},
	MessageTooLong:             {"message too long", "longer than Config.MaxMessageSize"},
	ReceiverFull:               {"receiver full", "earlier messages had not been read"},
	SourceFailed:               {"N_ERROR", "the source of the message failed"},
	SourceStalled:              {"N_ERROR", "the source of the message was too slow"},
	Aborted:                    {"N_ERROR", "aborted"},
	FlowControlOwed:            {"N_ERROR", "not begun, since the peer owes the flow control of an earlier message"},
	Refused:                    {"N_ERROR", "the bus has refused a frame"},
	BusEnded:                   {"N_ERROR", "the bus has ended in mid-message"},
	TimeWentBack:               {"N_ERROR", "the time of the frames has gone back"},
}

// String returns ISO 15765-2's name of the result, and what it means here.
func (c Code) String() string {
	if int(c) >= len(codeTexts) || codeTexts[c].name == "" {
		return fmt.Sprintf("Code(%d)", uint8(c))
	}
	return codeTexts[c].name + ": " + codeTexts[c].text
}

// A ProtocolError says how the protocol ended a transmission or a reception.
type ProtocolError struct {
	Code Code
	// Err is the error of the io.Reader given to SendFrom, for SourceFailed, and what is
	// wrong with a frame where more is known of an InvalidFrame.
	Err error
	// Size is how many bytes the message had that the peer has refused, for
	// BufferOverflow; 0 where that is not known.
	Size int64
	// BusDropped is how many received frames the bus has dropped while the message was
	// under way (see OverrunError): what did not come may have been among them.
	BusDropped uint64
}

func (e *ProtocolError) Error() string {
	if e.BusDropped > 0 {
		return fmt.Sprintf("%s; meanwhile the bus has dropped %d received frames", e.text(), e.BusDropped)
	}
	return e.text()
}

func (e *ProtocolError) text() string {
	switch {
	case e.Err != nil && e.Code == InvalidFrame:
		return codeTexts[InvalidFrame].name + ": " + e.Err.Error()
	case e.Err != nil:
		return e.Code.String() + ": " + e.Err.Error()
	case e.Code == BufferOverflow && e.Size > 0:
		return fmt.Sprintf("%v: it has refused %d bytes; send shorter messages (Config.SplitWrites makes several of a Write), or have it take longer ones (Config.MaxMessageSize, NextReader)", e.Code, e.Size)
	}
	return e.Code.String()
}

// refused adds the size of a message to the error of a peer that has refused it.
func refused(err error, size int64) error {
	if e, ok := err.(*ProtocolError); ok && e.Code == BufferOverflow {
		e.Size = size
	}
	return err
}

// Unwrap returns Err.
func (e *ProtocolError) Unwrap() error { return e.Err }

// Timeout reports whether a time-out of the protocol has run out. It is not a
// deadline: errors.Is(err, os.ErrDeadlineExceeded) is false.
func (e *ProtocolError) Timeout() bool {
	return e.Code == TimeoutA || e.Code == TimeoutBs || e.Code == TimeoutCr
}

// Temporary reports false: it is there to make the type a net.Error.
func (e *ProtocolError) Temporary() bool { return false }

var _ net.Error = (*ProtocolError)(nil)

// An OwedError is the os.ErrDeadlineExceeded of a Write that has sent nothing. An earlier
// Write was given up while it waited for the peer's flow control, by a deadline or Close,
// and that flow control may still come. It does not say which message it answers, so the
// next message of more than one frame waits until it has come, or until Until
// (Config.FlowControlTimeout after the frame that it would answer, or after a WAIT).
// Single Frames do not wait. To ask a silent peer often, bound the wait by
// Config.FlowControlTimeout, which leaves nothing owed, and not by a write deadline.
type OwedError struct {
	Until time.Time
}

func (e *OwedError) Error() string {
	return "i/o timeout: nothing was sent, as the peer still owes the flow control of a message given up before, until " + e.Until.Format("15:04:05.000")
}

// Is makes it equal to os.ErrDeadlineExceeded.
func (e *OwedError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// Timeout reports true, as a deadline has come.
func (e *OwedError) Timeout() bool { return true }

// Temporary reports true: it is there to make the type a net.Error.
func (e *OwedError) Temporary() bool { return true }

var _ net.Error = (*OwedError)(nil)

// unsupportedError says why something cannot be had here.
type unsupportedError string

func (e unsupportedError) Error() string        { return string(e) }
func (e unsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }

// protocolError turns the results of the engine into the errors that users know.
func protocolError(err error) error {
	switch e := err.(type) {
	case mux.ResultError:
		if engine.Code(e) == engine.ReceiverFull {
			return ErrOverrun
		}
		return &ProtocolError{Code: Code(e)}
	case *mux.DroppedResult:
		return &ProtocolError{Code: Code(e.ResultError), BusDropped: uint64(e.Frames)}
	case *mux.DroppedError:
		return &OverrunError{Bus: true, Frames: uint64(e.Frames)}
	case *mux.OwedError:
		return &OwedError{Until: e.Until}
	case *mux.FailedError:
		return &busError{err: e.Err}
	case *mux.SourceError:
		return &ProtocolError{Code: SourceFailed, Err: e.Err}
	}
	return err
}

// The operations in a *net.OpError.
const (
	opDial   = "dial"
	opListen = "listen"
	opAccept = "accept"
	opRead   = "read"
	opWrite  = "write"
	opClose  = "close"
	opSet    = "set"
)

// opError wraps an error once, but for io.EOF.
func opError(op, network string, local, remote net.Addr, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: network, Source: local, Addr: remote, Err: err}
}
