package isotpnet

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/kernel"
	"example.com/isotp/internal/mux"
	"example.com/isotp/internal/wire"
)

// A kernelConn is a backend: a socket of Linux's ISO-TP.
type kernelConn struct{ socket *kernel.Conn }

var (
	_ backend       = kernelConn{}
	_ streamBackend = kernelConn{}
	_ syscallConner = kernelConn{}
)

// dialKernel opens a connection over the kernel's ISO-TP.
func (d *Dialer) dialKernel(network string, addr Addr) (*Conn, error) {
	spec := newKernelSpec(&d.Config, network, addr, d.Control)
	if to, ok := d.Functional.send(); ok && spec.Rx != nil {
		// A socket has one address to send to.
		spec.Functional = socketSpec(&d.Config, addr.Bus(), to, nil)
		spec.Functional.Control = spec.Control
	}
	c, err := kernel.Dial(spec)
	if err != nil {
		return nil, openError(err, &d.Config)
	}
	return c.User.(*Conn), nil
}

// A kernelListener is an acceptor: a socket of Linux's ISO-TP that has one connection at a
// time.
type kernelListener struct{ socket *kernel.Listener }

var _ acceptor = kernelListener{}

// listenKernel listens on a socket of the kernel.
func (lc *ListenConfig) listenKernel(network string, addr Addr) (acceptor, error) {
	l, err := kernel.Listen(newKernelSpec(&lc.Config, network, addr, lc.Control))
	if err != nil {
		return nil, openError(err, &lc.Config)
	}
	return kernelListener{l}, nil
}

// newKernelSpec returns what the socket of a connection is to be.
func newKernelSpec(c *Config, network string, addr Addr, control controlFunc) *kernel.Spec {
	config := *c // which the caller may change
	tx, _ := addr.send()
	var rx *wire.Address
	if from, ok := addr.listen(); ok {
		rx = &from
	}
	spec := socketSpec(&config, addr.Bus(), tx, rx)
	if control != nil {
		spec.Control = func(raw syscall.RawConn) error { return control(network, addr.String(), raw) }
	}
	spec.Claim = func() (release func(), err error) { return claimAddrs([]Addr{addr}, nil) }
	if rx != nil {
		spec.Owed = func(bus string) time.Time { return mux.Owed(bus, tx, *rx) }
		spec.Owe = func(bus string, until time.Time) { mux.Owe(bus, tx, *rx, until) }
	}
	spec.Made = func(socket *kernel.Conn) { newKernelConn(&config, network, addr, socket, spec.SingleOnly) }
	return spec
}

// socketSpec returns what concerns the socket alone.
func socketSpec(c *Config, bus string, tx wire.Address, rx *wire.Address) *kernel.Spec {
	format := c.engine().Format(tx)
	return &kernel.Spec{
		Interface:     bus,
		FD:            c.FD,
		Tx:            tx,
		Rx:            rx,
		Options:       socketOptions(c, tx, rx),
		Single:        format.MaxSingle(),
		SingleOnly:    rx == nil && c.Kernel.Flags&KernelBroadcast == 0,
		MaxSend:       int64(c.MaxSendSize),
		ReadBuffer:    c.ReadBuffer,
		ChecksPadding: c.Kernel.Flags&(KernelCheckPadLen|KernelCheckPadData) != 0,
		ReportAborted: c.ReportAborted,
	}
}

// socketOptions returns the options of a socket that sends to tx and hears rx; rx is nil
// where it only sends. sockopt_linux.go sets it: on other systems there are no such sockets.
var socketOptions = func(c *Config, tx wire.Address, rx *wire.Address) []kernel.Option { return nil }

// newKernelConn makes the Conn of a socket, which is then its User.
func newKernelConn(config *Config, network string, addr Addr, socket *kernel.Conn, singleOnly bool) {
	c := newConn(config, network, addr, socket.Limit(), kernelLimit(singleOnly), kernelConn{socket})
	socket.User = c
	if o := newObserver(config); o != nil {
		o.forConn(c, socket.Time)
		socket.Observer = o
	}
}

// kernelLimit is MessageTooLongError.Limit.
func kernelLimit(singleOnly bool) string {
	if singleOnly {
		return limitSingle
	}
	return limitKernel
}

// openError turns an error of opening a socket into one that users know.
func openError(err error, c *Config) error {
	if e, ok := err.(*kernel.TooLongError); ok {
		return &backendError{backendKernel, &ConfigError{Field: "MaxSendSize", Value: c.MaxSendSize,
			Want: fmt.Sprintf("it sends at most %d bytes, the parameter max_pdu_size of its module can_isotp", e.Max)}}
	}
	if err == kernel.ErrClassic {
		return &ConfigError{Field: "FD", Value: true, Want: err.Error()}
	}
	return kernelError(err)
}

// kernelError turns the errors of package kernel into those that users know, as
// protocolError does with those of package mux. In package kernel, Conn.dispatch decides
// which call gets an error of the socket.
func kernelError(err error) error {
	switch e := err.(type) {
	case kernel.ResultError:
		return kernelResult(engine.Code(e))
	case *kernel.OwedError:
		return &OwedError{Until: e.Until}
	case *kernel.TooLongError:
		return &MessageTooLongError{e.Size, e.Max, kernelLimit(e.Single)}
	case *kernel.SourceError:
		return &ProtocolError{Code: CodeSourceFailed, Err: e.Err}
	case *kernel.GoneError:
		return &busError{err: e.Err}
	case *kernel.DownError:
		return &downError{e.Err}
	case *kernel.UnsupportedError:
		return &backendError{backendKernel, e.Err}
	}
	switch err {
	case kernel.ErrSendOnly:
		return ErrSendOnly
	case kernel.ErrNoFunctional:
		return ErrNoFunctional
	}
	return err
}

func kernelResult(code engine.Code) error {
	err := protocolError(mux.ResultError(code))
	if e, ok := err.(*ProtocolError); ok && code == engine.InvalidFrame {
		e.Err = errPadding
	}
	return err
}

// errPadding is what is wrong with a CodeInvalidFrame: the kernel checks only padding.
var errPadding = errors.New("it is probably padded otherwise than Config.Kernel.RxPadding says, or not to 8 bytes (KernelCheckPadData, KernelCheckPadLen)")

func (kernelConn) name() string { return backendKernel }

func (k kernelConn) send(p []byte, size int, functional bool) (n int, err error) {
	if functional {
		n, err = k.socket.SendFunctional(p)
	} else {
		n, err = k.socket.Send(p, size)
	}
	return n, kernelError(err)
}

func (k kernelConn) sendFrom(r io.Reader, size int64) error {
	return kernelError(k.socket.SendFrom(r, size))
}

func (k kernelConn) read(p []byte, _ bool) (n int, end bool, err error) {
	n, _, end, err = k.readMessage(p)
	return n, end, err
}

func (k kernelConn) readMessage(p []byte) (n int, info MessageInfo, end bool, err error) {
	n, i, err := k.socket.Receive(p)
	return n, kernelInfo(i), err == nil && i.Rest == 0, kernelError(err)
}

func (k kernelConn) open() (MessageInfo, error) {
	info, err := k.socket.Open()
	return kernelInfo(info), kernelError(err)
}

func (k kernelConn) await() (MessageInfo, error) {
	info, err := k.socket.Await()
	return kernelInfo(info), kernelError(err)
}

func kernelInfo(i kernel.Info) MessageInfo {
	return MessageInfo{Size: int64(i.Size), Rest: i.Rest, First: i.First, Last: i.Last}
}

func (k kernelConn) discard() (messages int, err error) { return k.socket.Drain() }

func (kernelConn) progress() (received, sent Progress) { return Progress{}, Progress{} }

func (k kernelConn) setReadDeadline(t time.Time) error  { return k.socket.SetReadDeadline(t) }
func (k kernelConn) setWriteDeadline(t time.Time) error { return k.socket.SetWriteDeadline(t) }

func (k kernelConn) stats() Stats { return newStats(k.socket.Stats()) }
func (k kernelConn) close() error { return k.socket.Close() }

func (k kernelConn) syscallConn() (syscall.RawConn, error) { return k.socket.SyscallConn() }

func (k kernelConn) epoch() time.Time                { return k.socket.Time(0) }
func (k kernelConn) handle(by mux.Handler) error     { return k.socket.Handle(by) }
func (k kernelConn) start(m []byte)                  { k.socket.Start(m) }
func (k kernelConn) recall(givenUp bool) (left bool) { return k.socket.Recall(givenUp) }

func (kernelListener) name() string { return backendKernel }

func (l kernelListener) accept() (*Conn, error) {
	c, err := l.socket.Accept()
	if err != nil {
		return nil, kernelError(err)
	}
	return c.User.(*Conn), nil
}

func (l kernelListener) setDeadline(t time.Time) error { return l.socket.SetDeadline(t) }
func (l kernelListener) close() error                  { return l.socket.Close() }
func (kernelListener) stats() ListenerStats            { return ListenerStats{} }
