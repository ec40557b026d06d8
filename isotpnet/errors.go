package isotpnet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/mux"
)

// Errors inside a *net.OpError, to be found with errors.Is, beside net.ErrClosed
// and os.ErrDeadlineExceeded. A pair of addresses that is open already is
// syscall.EADDRINUSE, what cannot be had here errors.ErrUnsupported. Connections on
// "isotp-stream" have a [*StreamError] of their own.
var (
	// ErrMessageTooLong is the error of a Write that our side does not send, because p
	// is longer than Config.MaxSendSize, or than a Single Frame where only such can be
	// sent. Nothing was sent. It is also syscall.EMSGSIZE. A message that the peer
	// refuses is a *ProtocolError with CodeBufferOverflow.
	ErrMessageTooLong error = &MessageTooLongError{}

	// ErrOverrun is what an [OverrunError] is to errors.Is: messages have been lost, or
	// frames that may have been theirs. Reading can go on.
	ErrOverrun error = &OverrunError{}

	// ErrSendOnly is the error of reading from a functional address.
	ErrSendOnly = errors.New("a functional address only sends; each ECU answers on its own physical address")

	// ErrNoFunctional is the error of WriteFunctional without an address.
	ErrNoFunctional = errors.New("there is no functional address to write to: set Dialer.Functional")

	// ErrTooManyPeers is the error of PacketConn.WriteTo to a peer that there is
	// no place for, because ListenConfig.MaxPeers others are busy.
	ErrTooManyPeers = errors.New("too many peers are busy at once: see ListenConfig.MaxPeers")

	// ErrListenOnly is the error of writing with Config.ListenOnly.
	ErrListenOnly = errors.New("Config.ListenOnly: nothing can be sent")
)

// An OverrunError is the [ErrOverrun] of a Read: something was lost before it could be
// read. Reading can go on. There are two kinds.
//
// With Bus false, messages were lost because earlier ones had not been read: Single Frames,
// which have no flow control, and on the kernel's backend messages of any length.
// Config.ReadBuffer says which. The error stands between the messages where they are
// missing.
//
// With Bus true, the bus has dropped frames, because this process did not read them in
// time, or because an adapter or a server on the way was too slow. They may have been for
// any connection. So each connection on that bus that reads gets one such error, before its
// next message, or within a second if a Read is waiting; a PacketConn gets one for all its
// peers. Streams get none: they notice what they have lost.
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
	// Limit says what sets Max (Config.MaxSendSize, the kernel, a Single Frame, ISO-TP
	// itself), and how more can be sent.
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

// There is a Code for each N_Result of ISO 15765-2, whose name stands at the end, and
// for each error that can-isotp tells apart, whose name is in brackets.
//
// Write and SendFrom return CodeTimeoutA, CodeTimeoutBs, CodeInvalidFS, CodeWaitOverrun,
// CodeWaitRefused, CodeBufferOverflow, CodeSourceFailed and CodeSourceStalled. What ends
// a reception is given to Trace.ReceptionAborted, and to Read with Config.ReportAborted.
// A frame that is ignored is given to Trace.FrameIgnored. Stats count all of them.
const (
	// CodeTimeoutA: one of our frames did not get on the wire within
	// Config.TransmitTimeout. N_TIMEOUT_A.
	CodeTimeoutA Code = Code(engine.TimeoutA)
	// CodeTimeoutBs: while we sent, the peer's flow control did not come within
	// Config.FlowControlTimeout. N_TIMEOUT_Bs [FlowControlTimeoutError].
	CodeTimeoutBs Code = Code(engine.TimeoutBs)
	// CodeTimeoutCr: while we received, the peer's next Consecutive Frame did not come
	// within Config.ConsecutiveFrameTimeout. N_TIMEOUT_Cr
	// [ConsecutiveFrameTimeoutError].
	CodeTimeoutCr Code = Code(engine.TimeoutCr)
	// CodeWrongSN: the peer's Consecutive Frame had an unexpected sequence number.
	// N_WRONG_SN [WrongSequenceNumberError].
	CodeWrongSN Code = Code(engine.WrongSN)
	// CodeInvalidFS: the peer's flow control had a reserved FlowStatus.
	// N_INVALID_FS [a kind of InvalidCanDataError].
	CodeInvalidFS Code = Code(engine.InvalidFS)
	// CodeWaitOverrun: while we sent, the peer sent more WAITs in a row than
	// Config.MaxWaitFramesReceived; or while we received, our reader was so slow that
	// the WAITs which Config.MaxWaitFramesSent lets us send were used up.
	// N_WFT_OVRN [MaximumWaitFrameReachedError].
	CodeWaitOverrun Code = Code(engine.WaitOverrun)
	// CodeWaitRefused: the peer sent a WAIT, and Config.MaxWaitFramesReceived is
	// negative. N_WFT_OVRN [UnsupportedWaitFrameError].
	CodeWaitRefused Code = Code(engine.WaitRefused)
	// CodeBufferOverflow: our message is too long for the peer, which answered OVFLW.
	// The reverse is CodeReceptionTooLong. N_BUFFER_OVFLW [OverflowError].
	CodeBufferOverflow Code = Code(engine.BufferOverflow)
	// CodeInterruptedBySingleFrame: the peer sent a Single Frame before it had sent
	// the whole of its message. N_UNEXP_PDU [ReceptionInterruptedWithSingleFrameError].
	CodeInterruptedBySingleFrame Code = Code(engine.InterruptedBySingleFrame)
	// CodeInterruptedByFirstFrame: the peer sent a First Frame before it had sent the
	// whole of its message. N_UNEXP_PDU [ReceptionInterruptedWithFirstFrameError].
	CodeInterruptedByFirstFrame Code = Code(engine.InterruptedByFirstFrame)
	// CodeUnexpectedConsecutiveFrame: the peer sent a Consecutive Frame, and no
	// reception is under way; ignored. N_UNEXP_PDU [UnexpectedConsecutiveFrameError].
	CodeUnexpectedConsecutiveFrame Code = Code(engine.UnexpectedConsecutive)
	// CodeUnexpectedFlowControl: the peer sent a flow control, and we do not wait for
	// one; ignored. N_UNEXP_PDU [UnexpectedFlowControlError].
	CodeUnexpectedFlowControl Code = Code(engine.UnexpectedFlowControl)
	// CodeInvalidFrame: the peer's frame was not a protocol data unit; ignored. The
	// kernel's backend does not report those: there it says that the frame's padding
	// was not as KernelCheckPadLen and KernelCheckPadData have it checked.
	// [InvalidCanDataError]
	CodeInvalidFrame Code = Code(engine.InvalidFrame)
	// CodeMissingEscape: the peer's Single Frame was longer than 8 bytes and had its
	// length in the first byte; ignored. [MissingEscapeSequenceError]
	CodeMissingEscape Code = Code(engine.MissingEscape)
	// CodeInvalidFirstFrameLength: the peer's First Frame was shorter than 8 bytes, or
	// of a length that no DLC has; ignored. [InvalidCanFdFirstFrameRXDL]
	CodeInvalidFirstFrameLength Code = Code(engine.InvalidFirstFrameLength)
	// CodeChangedFrameLength: the peer's Consecutive Frame was not as long as its First
	// Frame; ignored. [ChangingInvalidRXDLError]
	CodeChangedFrameLength Code = Code(engine.ChangedFrameLength)
	// CodeFunctionalFirstFrame: a First Frame came for a functional address, whose
	// requests are Single Frames; ignored.
	CodeFunctionalFirstFrame Code = Code(engine.FunctionalFirstFrame)
	// CodeReceptionTooLong: the peer's message is longer than our
	// Config.MaxMessageSize; we answered OVFLW. The reverse is CodeBufferOverflow, and
	// a message of ours that is not sent at all is an ErrMessageTooLong.
	// [FrameTooLongError]
	CodeReceptionTooLong Code = Code(engine.MessageTooLong)
	// CodeReceiverFull: our reader has not read earlier messages, and there is no room
	// for more: we lost a Single Frame (see ErrOverrun), or answered a First Frame OVFLW.
	CodeReceiverFull Code = Code(engine.ReceiverFull)
	// CodeSourceFailed: the io.Reader given to SendFrom failed, or ended before
	// the message. N_ERROR [BadGeneratorError].
	CodeSourceFailed Code = Code(engine.SourceFailed)
	// CodeSourceStalled: the io.Reader given to SendFrom was so slow that the
	// peer's N_Cr would have run out. N_ERROR.
	CodeSourceStalled Code = Code(engine.SourceStalled)
	// CodeAborted: our side aborted the message, at a deadline or a Close. N_ERROR.
	CodeAborted Code = Code(engine.Aborted)
	// CodeFlowControlOwed: our side aborted the message before anything of it was sent,
	// because the peer owed the flow control of an earlier message. Write then returns
	// an OwedError. N_ERROR.
	CodeFlowControlOwed Code = Code(engine.FlowControlOwed)
	// CodeRefused: the bus has refused one of our frames, when it was written or later.
	// Write then returns the bus's error, or a *canbus.RefusedError; the reception that
	// a flow control was for is aborted. N_ERROR.
	CodeRefused Code = Code(engine.Refused)
	// CodeBusEnded: a message was being received when the bus failed, or when the log
	// came to its end. N_ERROR.
	CodeBusEnded Code = Code(engine.BusEnded)
	// CodeTimeWentBack: a message was being received when the time of a log's frames
	// went back by more than a second: another recording begins there, or a clock was
	// set. N_ERROR.
	CodeTimeWentBack Code = Code(engine.TimeWentBack)
)

// codeTexts has a name and a text for each Code of internal/engine/code.go.
var codeTexts = [engine.NumCodes]struct{ name, text string }{
	CodeTimeoutA:                   {"N_TIMEOUT_A", "a frame did not get on the bus in time"},
	CodeTimeoutBs:                  {"N_TIMEOUT_Bs", "no flow control came in time"},
	CodeTimeoutCr:                  {"N_TIMEOUT_Cr", "no consecutive frame came in time"},
	CodeWrongSN:                    {"N_WRONG_SN", "wrong sequence number"},
	CodeInvalidFS:                  {"N_INVALID_FS", "reserved flow status"},
	CodeWaitOverrun:                {"N_WFT_OVRN", "too many wait frames in a row"},
	CodeWaitRefused:                {"N_WFT_OVRN", "a wait frame came and none is accepted"},
	CodeBufferOverflow:             {"N_BUFFER_OVFLW", "the message is too long for the peer"},
	CodeInterruptedBySingleFrame:   {"N_UNEXP_PDU", "interrupted by a single frame"},
	CodeInterruptedByFirstFrame:    {"N_UNEXP_PDU", "interrupted by a first frame"},
	CodeUnexpectedConsecutiveFrame: {"N_UNEXP_PDU", "consecutive frame of no message"},
	CodeUnexpectedFlowControl:      {"N_UNEXP_PDU", "flow control that no message waits for"},
	CodeInvalidFrame:               {"invalid frame", "not a protocol data unit"},
	CodeMissingEscape:              {"invalid single frame", "longer than 8 bytes without an escaped length"},
	CodeInvalidFirstFrameLength:    {"invalid first frame", "shorter than 8 bytes, or of a length no DLC has"},
	CodeChangedFrameLength:         {"invalid consecutive frame", "not as long as the first frame"},
	CodeFunctionalFirstFrame:       {"invalid functional request", "longer than a single frame"},
	CodeReceptionTooLong:           {"message too long", "longer than Config.MaxMessageSize"},
	CodeReceiverFull:               {"receiver full", "earlier messages had not been read"},
	CodeSourceFailed:               {"N_ERROR", "the source of the message failed"},
	CodeSourceStalled:              {"N_ERROR", "the source of the message was too slow"},
	CodeAborted:                    {"N_ERROR", "aborted"},
	CodeFlowControlOwed:            {"N_ERROR", "not started, since the peer owes the flow control of an earlier message"},
	CodeRefused:                    {"N_ERROR", "the bus has refused a frame"},
	CodeBusEnded:                   {"N_ERROR", "the bus has ended in mid-message"},
	CodeTimeWentBack:               {"N_ERROR", "the time of the frames has gone back"},
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
	// Err, with CodeSourceFailed, is the error of the io.Reader given to SendFrom; with
	// CodeInvalidFrame it says what is wrong with the frame, where that is known.
	Err error
	// Size is how many bytes the message had that the peer has refused, for
	// CodeBufferOverflow; 0 where that is not known.
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
	case e.Err != nil && e.Code == CodeInvalidFrame:
		return codeTexts[CodeInvalidFrame].name + ": " + e.Err.Error()
	case e.Err != nil:
		return e.Code.String() + ": " + e.Err.Error()
	case e.Code == CodeBufferOverflow && e.Size > 0:
		return fmt.Sprintf("%v: it has refused %d bytes; send shorter messages (Config.SplitWrites makes several of a Write), or have it take longer ones (Config.MaxMessageSize, NextReader)", e.Code, e.Size)
	}
	return e.Code.String()
}

// refused adds the size of a message to the error of a peer that has refused it.
func refused(err error, size int64) error {
	if e, ok := err.(*ProtocolError); ok && e.Code == CodeBufferOverflow {
		e.Size = size
	}
	return err
}

// Unwrap returns Err.
func (e *ProtocolError) Unwrap() error { return e.Err }

// Timeout reports whether a time-out of the protocol has run out. It is not a
// deadline: errors.Is(err, os.ErrDeadlineExceeded) is false.
func (e *ProtocolError) Timeout() bool {
	return e.Code == CodeTimeoutA || e.Code == CodeTimeoutBs || e.Code == CodeTimeoutCr
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
	return "i/o timeout: nothing was sent, as the peer still owes the flow control of a message aborted before, until " + e.Until.Format("15:04:05.000")
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

// protocolError turns the errors of package mux, and by kernelError those of package
// kernel, into the errors that users know.
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
		return &ProtocolError{Code: CodeSourceFailed, Err: e.Err}
	}
	return kernelError(err)
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
	if op == opDial || op == opListen || op == opClose { // what of a bus comes past its Mux
		err = busFailed(err)
	}
	return &net.OpError{Op: op, Net: network, Source: local, Addr: remote, Err: err}
}

// Final reports whether an error of a Conn, StreamConn, PacketConn or listener is the
// last: every later call of its kind (the reads, the writes, the Accepts) fails as
// well. It ends a loop; after other errors the loop goes on:
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
// These are final: net.ErrClosed, io.EOF, io.ErrClosedPipe, ErrSendOnly, ErrListenOnly,
// ErrNoFunctional, what a bus has failed with (a log has ended, an adapter was taken
// out: syscall.ENODEV), and on "isotp-stream" all that Read and Write return but
// os.ErrDeadlineExceeded.
//
// These are not final: deadlines, a [*ProtocolError], ErrOverrun, ErrMessageTooLong and
// other errors of what was to be sent, a frame that the bus has refused, and
// syscall.ENETDOWN, since the interface may be set up again. The error of a
// [StreamListener] whose bus has failed is not final: the next Accept opens the bus again,
// unless it is a ListenConfig.Bus. The error of a Dial or Listen is not final: it can be
// tried again.
//
// A listener on the kernel's backend goes on if its interface comes back, even after an
// error that is final.
//
// The io.EOF of the reader of NextReader is the end of a message only.
//
// A loop that asks for net.ErrClosed ends, too: when a bus has failed, the first Read,
// Write and Accept each return its error, and later ones one that is also
// net.ErrClosed.
func Final(err error) bool {
	op, isOp := errors.AsType[*net.OpError](err)
	if isOp && isStream(op.Net) && (op.Op == opRead || op.Op == opWrite) {
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	if _, ok := errors.AsType[*ProtocolError](err); ok {
		return false // whatever its source has failed with
	}
	if errors.Is(err, net.ErrClosed) {
		return true
	}
	if isOp && (op.Op == opDial || op.Op == opListen) {
		return false
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

// A busError is what a bus has failed with, for good. It hides whether err is a time-out,
// after which callers would try again.
type busError struct {
	err error
	// told: an earlier call has returned the same error. This one is net.ErrClosed, too.
	told bool
}

func (e *busError) Error() string { return e.err.Error() }

// Is makes the error net.ErrClosed if an earlier call has told it, or if the bus was closed
// by its user. A GoneError is net.ErrClosed to programs that use a bus; a loop over a
// connection that ends at net.ErrClosed must see once that the adapter is gone.
func (e *busError) Is(target error) bool {
	if _, gone := errors.AsType[*canbus.GoneError](e.err); gone && target == net.ErrClosed {
		return e.told
	}
	return e.told && target == net.ErrClosed || errors.Is(e.err, target)
}

func (e *busError) As(target any) bool { return errors.As(e.err, target) }

// busFailed returns err, and as a busError if it tells that an adapter is gone.
func busFailed(err error) error {
	_, failed := errors.AsType[*busError](err)
	if _, gone := errors.AsType[*canbus.GoneError](err); gone && !failed {
		return &busError{err: err}
	}
	return err
}

// ends remembers which calls have returned that the bus has failed.
type ends struct{ read, write, close atomic.Bool }

// error returns err, and as net.ErrClosed, too, if a call of that kind has returned the
// bus's error before.
func (e *ends) error(op string, err error) error {
	failed, ok := err.(*busError)
	if !ok {
		return err
	}
	told := &e.read // Accept counts as that
	switch op {
	case opWrite:
		told = &e.write
	case opClose: // Close and CloseWrite
		told = &e.close
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
