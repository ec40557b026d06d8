package isotpnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/isotp/internal/engine"
	"example.com/isotp/isotpnet"
)

// What errors say, to people and to errors.Is.
func TestErrorTexts(t *testing.T) {
	for _, tt := range []struct {
		err  error
		text string
		is   error
	}{
		{isotpnet.ErrMessageTooLong, "message too long", syscall.EMSGSIZE},
		{&isotpnet.MessageTooLongError{Size: 9, Max: 7}, "message too long: 9 bytes, at most 7 can be sent", isotpnet.ErrMessageTooLong},
		{&isotpnet.MessageTooLongError{Size: -1, Max: 7}, "a message cannot have -1 bytes: the size must be from 0 to 7", isotpnet.ErrMessageTooLong},
		{isotpnet.ErrOverrun, "messages were lost because earlier ones had not been read", isotpnet.ErrOverrun},
		{&isotpnet.OverrunError{Bus: true, Frames: 3}, "the bus has dropped 3 received frames, which were not read in time: messages may be missing", isotpnet.ErrOverrun},
		{&isotpnet.ShortBufferError{Size: 9}, "short buffer: the message has 9 bytes, and what did not fit is lost", io.ErrShortBuffer},
		{&isotpnet.OwedError{Until: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)}, "i/o timeout: nothing was sent, as the peer still owes the flow control of a message aborted before, until 03:04:05.006", os.ErrDeadlineExceeded},
		{&isotpnet.StreamError{Errno: syscall.ECONNRESET, Reason: "why"}, syscall.ECONNRESET.Error() + ": why", syscall.ECONNRESET},
		{&isotpnet.ConfigError{Field: "Kernel.Flags", Value: 1, Want: "2"}, "Config.Kernel.Flags is 1: 2", nil},
		{&isotpnet.ProtocolError{Code: isotpnet.CodeTimeoutBs, BusDropped: 2}, "N_TIMEOUT_Bs: no flow control came in time; meanwhile the bus has dropped 2 received frames", nil},
		{&isotpnet.ProtocolError{Code: isotpnet.CodeInvalidFrame, Err: errors.New("the padding is 00")}, "invalid frame: the padding is 00", nil},
		{&isotpnet.ProtocolError{Code: isotpnet.CodeSourceFailed, Err: io.ErrUnexpectedEOF}, "N_ERROR: the source of the message failed: unexpected EOF", io.ErrUnexpectedEOF},
		{&isotpnet.ProtocolError{}, "Code(0)", nil},
		{&isotpnet.ProtocolError{Code: 200}, "Code(200)", nil},
	} {
		if got := tt.err.Error(); got != tt.text {
			t.Errorf("\n got %s\nwant %s", got, tt.text)
		}
		if tt.is != nil && !errors.Is(tt.err, tt.is) {
			t.Errorf("%v is not %v", tt.err, tt.is)
		}
	}
}

// Each Code has a text, which begins with the standard's name where it has one.
func TestCodeTexts(t *testing.T) {
	seen := map[string]bool{}
	for code := isotpnet.Code(engine.OK + 1); code < isotpnet.Code(engine.NumCodes); code++ {
		text := code.String()
		if strings.HasPrefix(text, "Code(") || seen[text] {
			t.Errorf("%d is %q", code, text)
		}
		seen[text] = true
	}
}

// Errors that can be a net.Error are one, and say whether they are time-outs.
func TestNetErrors(t *testing.T) {
	for _, tt := range []struct {
		err                error
		timeout, temporary bool
	}{
		{&isotpnet.ProtocolError{Code: isotpnet.CodeTimeoutA}, true, false},
		{&isotpnet.ProtocolError{Code: isotpnet.CodeTimeoutCr}, true, false},
		{&isotpnet.ProtocolError{Code: isotpnet.CodeBufferOverflow}, false, false},
		{&isotpnet.OwedError{}, true, true},
		{&isotpnet.StreamError{Errno: syscall.ETIMEDOUT}, true, false},
		{&isotpnet.StreamError{Errno: syscall.ECONNREFUSED}, false, false},
		{dialLate(t), true, true},
	} {
		if _, ok := errors.AsType[net.Error](tt.err); !ok {
			t.Errorf("a %T is no net.Error", tt.err)
			continue
		}
		if e, _ := errors.AsType[interface {
			error
			Timeout() bool
		}](tt.err); e.Timeout() != tt.timeout {
			t.Errorf("%v: is it a time-out: %t", tt.err, e.Timeout())
		}
		if isTemporary(tt.err) != tt.temporary {
			t.Errorf("%v: is it temporary: %t", tt.err, !tt.temporary)
		}
	}
}

// dialLate returns the error of a Dial whose time is over.
func dialLate(t *testing.T) error {
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	_, err := new(isotpnet.Dialer).DialContext(ctx, "isotp:user", "virtual:late/7E0:7E8")
	return err
}
