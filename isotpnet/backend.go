package isotpnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"

	_ "example.com/isotp/canbus/socketcan" // network interfaces, for the user backend
	_ "example.com/isotp/canbus/virtual"   // the buses virtual:NAME
)

// The backends, as Conn.Backend names them.
const (
	backendUser   = "user"
	backendKernel = "kernel"
)

// open opens a connection or a listener on the backend that the network names, or
// on the better one of those that can do what is asked for: the kernel's, if this
// machine has it. kernelRefuses and userRefuses say why a backend cannot, nil if
// it can. why is the reason for the choice.
func open[T any](ctx context.Context, network string, kernelRefuses, userRefuses error, kernel, user func() (T, error)) (opened T, why, err error) {
	if err := ctx.Err(); err != nil {
		return opened, nil, contextError(err)
	}
	if kernelRefuses != nil {
		kernelRefuses = &backendError{backendKernel, kernelRefuses}
	}
	if userRefuses != nil {
		userRefuses = &backendError{backendUser, userRefuses}
	}
	switch {
	case backendOf(network) == backendKernel:
		return try(kernel, errAsked, kernelRefuses)
	case backendOf(network) == backendUser:
		return try(user, errAsked, userRefuses)
	case kernelRefuses != nil && userRefuses != nil:
		return opened, nil, &neitherError{kernelRefuses, userRefuses}
	case kernelRefuses != nil:
		return try(user, kernelRefuses, nil)
	case userRefuses != nil:
		return try(kernel, userRefuses, nil)
	}
	opened, why, err = try(kernel, errBoth, nil)
	if err != nil && absent(err) {
		return try(user, err, nil)
	}
	return opened, why, err
}

var (
	errAsked = errors.New("it was asked for")
	errBoth  = errors.New("it can do what was asked for")
)

func try[T any](open func() (T, error), why, refuses error) (opened T, _, err error) {
	if refuses != nil {
		return opened, nil, refuses
	}
	opened, err = open()
	return opened, why, err
}

// neitherError is why no backend can do what is asked for.
type neitherError [2]error

func (e *neitherError) Error() string   { return fmt.Sprintf("%v; %v", e[0], e[1]) }
func (e *neitherError) Unwrap() []error { return e[:] }

func (d *Dialer) kernelRefuses(addr Addr) error {
	if d.Bus != nil {
		return errGivenBus
	}
	return d.Config.kernelRefuses(addr)
}

func (lc *ListenConfig) kernelRefuses(l *listenAddrs) error {
	pair, single := l.single()
	switch {
	case lc.Bus != nil:
		return errGivenBus
	case single:
		return lc.Config.kernelRefuses(pair)
	case len(l.groups) > 0:
		return &net.AddrError{Err: "a socket of the kernel that listens on a functional address would answer it with flow control", Addr: l.groups[0].String()}
	}
	return &net.AddrError{Err: "a socket of the kernel has one peer, and this leaves it open, or is a list", Addr: l.text.String()}
}

var errGivenBus = errors.New("it needs a network interface of Linux, and there is a Bus in the Dialer or ListenConfig")

// userRefuses returns why the user's backend cannot do what is asked for.
func userRefuses(c *Config, control controlFunc) error {
	switch {
	case c.Kernel != KernelOptions{}:
		return &ConfigError{Field: "Kernel", Value: "set", Want: "these are options of the kernel's sockets"}
	case control != nil:
		return errors.New("it has no socket of its own to call Control for")
	}
	return nil
}

type controlFunc = func(network, address string, c syscall.RawConn) error

// absent reports whether an error of opening a socket says that the kernel's
// ISO-TP is not there, or not for this bus: then the engine may do.
func absent(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EAFNOSUPPORT) ||
		errors.Is(err, syscall.EPROTONOSUPPORT) || errors.Is(err, syscall.ENODEV) ||
		errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES)
}

// logBackend tells the Logger which backend was chosen and why, and what in the Config is
// right for tests only.
func (c *Config) logBackend(name string, addr net.Addr, why error) {
	if c.Logger == nil {
		return
	}
	if timeout := orDefault(c.ConsecutiveFrameTimeout, defaultTimeout); c.OverrideSTmin > timeout {
		c.Logger.LogAttrs(context.Background(), slog.LevelWarn, "isotp: OverrideSTmin is longer than ConsecutiveFrameTimeout: a peer with the same time-out gives every message up",
			slog.Duration("OverrideSTmin", c.OverrideSTmin), slog.Duration("ConsecutiveFrameTimeout", timeout), slog.Any("addr", addr))
	}
	c.Logger.LogAttrs(context.Background(), slog.LevelDebug, "isotp: backend chosen",
		slog.String("backend", name), slog.String("why", why.Error()), slog.Any("addr", addr))
}
