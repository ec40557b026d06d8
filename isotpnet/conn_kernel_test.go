package isotpnet

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/kernel"
)

// What package kernel returns is, to users, what the user backend returns.
func TestKernelErrorsAreTranslated(t *testing.T) {
	until := time.Now()
	for _, test := range []struct{ err, want error }{
		{nil, nil},
		{io.EOF, io.EOF},
		{kernel.ErrOverrun, ErrOverrun},
		{kernel.ResultError(engine.TimeoutBs), &ProtocolError{Code: CodeTimeoutBs}},
		{kernel.ResultError(engine.InvalidFrame), &ProtocolError{Code: CodeInvalidFrame, Err: errPadding}},
		{&kernel.OwedError{Until: until}, &OwedError{Until: until}},
		{&kernel.SourceError{Err: io.ErrUnexpectedEOF}, &ProtocolError{Code: CodeSourceFailed, Err: io.ErrUnexpectedEOF}},
		{&kernel.TooLongError{Size: 8, Max: 7, Single: true}, &MessageTooLongError{8, 7, limitSingle}},
		{&kernel.TooLongError{Size: 8301, Max: 8300}, &MessageTooLongError{8301, 8300, limitKernel}},
		{&kernel.GoneError{Err: syscall.ENODEV}, &busError{err: syscall.ENODEV}},
		{&kernel.DownError{Err: syscall.ENETDOWN}, &downError{syscall.ENETDOWN}},
		{&kernel.UnsupportedError{Err: errAsked}, &backendError{backendKernel, errAsked}},
		{kernel.ErrSendOnly, ErrSendOnly},
		{kernel.ErrNoFunctional, ErrNoFunctional},
		{os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
	} {
		got := protocolError(test.err)
		if got == nil || test.want == nil {
			if got != test.want {
				t.Errorf("%v becomes %v, want %v", test.err, got, test.want)
			}
			continue
		}
		if got.Error() != test.want.Error() || Final(got) != Final(test.want) {
			t.Errorf("%#v becomes %#v, want %#v", test.err, got, test.want)
		}
	}
}

// An error of opening a socket names the field of Config that it is about.
func TestKernelOpenErrorsNameTheConfig(t *testing.T) {
	config := &Config{MaxSendSize: 9000, FD: true}
	for _, test := range []struct {
		err   error
		field string
		says  string
	}{
		{&kernel.TooLongError{Size: 9000, Max: 8300}, "MaxSendSize", "8300"},
		{kernel.ErrClassic, "FD", "classic CAN"},
	} {
		err := openError(test.err, config)
		if e, ok := errors.AsType[*ConfigError](err); !ok || e.Field != test.field || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v becomes %v, want a ConfigError of %s", test.err, err, test.field)
		}
	}
}

func TestKernelSpecFollowsTheConfig(t *testing.T) {
	spec := func(address string, c Config) *kernel.Spec {
		return newKernelSpec(&c, "isotp", MustParseAddr(address), nil)
	}
	s := spec("can0/641#55:642#F1", Config{FD: true, MaxSendSize: 100, ReadBuffer: 200, ReportAborted: true,
		Kernel: KernelOptions{Flags: KernelCheckPadLen}})
	if s.Interface != "can0" || !s.FD || s.Single != 61 || s.SingleOnly || s.MaxSend != 100 || s.ReadBuffer != 200 ||
		!s.ReportAborted || !s.ChecksPadding || s.Tx.ID != 0x641 || s.Rx == nil || s.Rx.ID != 0x642 || s.Owed == nil || s.Owe == nil {
		t.Errorf("a pair: %+v", s)
	}
	if s := spec("can0/7DF:", Config{}); s.Rx != nil || !s.SingleOnly || s.Single != 7 {
		t.Errorf("a functional address: %+v", s)
	}
	if s := spec("can0/7DF:", Config{Kernel: KernelOptions{Flags: KernelBroadcast}}); s.SingleOnly {
		t.Errorf("a broadcast: %+v", s)
	}
}

// A socket that cannot be opened, as there is no such interface, or no CAN at all: the error
// says which, and the pair is free again.
func TestKernelSocketThatCannotBeOpened(t *testing.T) {
	_, err := ProbeKernel()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("ProbeKernel: %v", err)
	}
	for range 2 {
		_, errDial := (&Dialer{Functional: MustParseAddr("/7DF:")}).Dial("isotp:kernel", "nosuch0/7E0:7E8")
		_, errListen := Listen("isotp:kernel", "nosuch0/7E8:7E0")
		for _, got := range []error{errDial, errListen} {
			if !errors.Is(got, syscall.ENODEV) && !errors.Is(got, errors.ErrUnsupported) || errors.Is(got, syscall.EADDRINUSE) {
				t.Errorf("%v", got)
			}
		}
	}
}
