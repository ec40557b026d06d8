//go:build !linux

package kernel

import (
	"errors"
	"io"
	"runtime"
	"syscall"
	"time"

	"example.com/isotp/internal/engine"
)

var errOther = &UnsupportedError{errors.New("it is Linux's, and this is " + runtime.GOOS)}

// Dial returns an error: this is no Linux.
func Dial(*Spec) (*Conn, error) { return nil, errOther }

// Listen returns an error: this is no Linux.
func Listen(*Spec) (*Listener, error) { return nil, errOther }

// Probe returns an error: this is no Linux.
func Probe() (Running, error) { return Running{}, errOther }

// A Listener cannot be had on this system; its methods let its users compile.
type Listener struct{}

func (*Listener) Accept() (*Conn, error)      { return nil, errOther }
func (*Listener) SetDeadline(time.Time) error { return errOther }
func (*Listener) Close() error                { return errOther }

// A Conn cannot be had on this system; its methods let its users compile.
type Conn struct {
	User     any
	Observer Observer
}

func (*Conn) Send([]byte, int) (int, error)         { return 0, errOther }
func (*Conn) SendFunctional([]byte) (int, error)    { return 0, errOther }
func (*Conn) SendFrom(io.Reader, int64) error       { return errOther }
func (*Conn) Receive([]byte) (int, Info, error)     { return 0, Info{}, errOther }
func (*Conn) Open() (Info, error)                   { return Info{}, errOther }
func (*Conn) Await() (Info, error)                  { return Info{}, errOther }
func (*Conn) Drain() (int, error)                   { return 0, errOther }
func (*Conn) Handle(Handler) error                  { return errOther }
func (*Conn) Start([]byte)                          {}
func (*Conn) Recall(bool) bool                      { return false }
func (*Conn) SetReadDeadline(time.Time) error       { return errOther }
func (*Conn) SetWriteDeadline(time.Time) error      { return errOther }
func (*Conn) SyscallConn() (syscall.RawConn, error) { return nil, errOther }
func (*Conn) Limit() int64                          { return 0 }
func (*Conn) Time(engine.Time) time.Time            { return time.Time{} }
func (*Conn) Stats() engine.Stats                   { return engine.Stats{} }
func (*Conn) Close() error                          { return errOther }
