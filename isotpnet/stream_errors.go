package isotpnet

import (
	"errors"
	"syscall"

	"example.com/isotp/internal/stream"
)

// A StreamError says how a connection on the network "isotp-stream" ended, or why
// it was not made.
type StreamError struct {
	// Errno is syscall.ECONNRESET, ECONNREFUSED (the peer does not listen), ETIMEDOUT (the
	// peer has not answered) or EADDRNOTAVAIL (there are 1024 connections over the pair).
	Errno syscall.Errno
	// Reason says more, in words.
	Reason string
}

func (e *StreamError) Error() string { return e.Errno.Error() + ": " + e.Reason }

// Unwrap returns Errno.
func (e *StreamError) Unwrap() error { return e.Errno }

// Timeout reports whether Errno is ETIMEDOUT.
func (e *StreamError) Timeout() bool { return e.Errno == syscall.ETIMEDOUT }

// Temporary reports false: it is there to make the type a net.Error.
func (e *StreamError) Temporary() bool { return false }

// streamError turns the error of a session that was open into the one for users.
func streamError(err error) error {
	e, ok := err.(*stream.Error)
	if !ok {
		return err // io.EOF, or the transport's
	}
	errno := syscall.ECONNRESET
	if e.Reason == stream.TimedOut {
		errno = syscall.ETIMEDOUT
	}
	return &StreamError{errno, e.Error()}
}

// dialError is streamError for a session that was not opened.
func dialError(err error) error {
	e, ok := err.(*stream.Error)
	switch {
	case ok:
		return &StreamError{syscall.ECONNREFUSED, e.Error()}
	case err == stream.ErrTooManySessions:
		return &StreamError{syscall.EADDRNOTAVAIL, err.Error()}
	}
	return err
}

// unansweredError is a timeoutError that names its likely cause.
type unansweredError struct {
	timeoutError
	cause error
}

func (e unansweredError) Error() string { return e.timeoutError.Error() + ": " + e.cause.Error() }
func (e unansweredError) Unwrap() error { return e.cause }

// acceptError is an error of the bus that may pass: another Accept opens the bus
// again. It is Temporary, so http.Server waits a moment and calls Accept again.
type acceptError struct{ err error }

func (e acceptError) Error() string   { return e.err.Error() }
func (e acceptError) Unwrap() error   { return e.err }
func (e acceptError) Temporary() bool { return true }
func (e acceptError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.err, &t) && t.Timeout()
}
