package isotpnet_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// Only Pipe's ends know each other. That a bus ends, in whatever words, is not the
// peer's Close: a program that reads until io.EOF would take what it has for all.
func TestEndOfABusIsNotThePeersClose(t *testing.T) {
	for name, end := range map[string]error{
		"io.EOF":           io.EOF,
		"an error with it": fmt.Errorf("adapter: %w", errors.Join(io.EOF, os.ErrInvalid)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := &endingBus{plainBus: newPlainBus(t), end: make(chan error)}
				c := dialOn(t, bus, testerAddr, isotpnet.Config{})
				bus.receive("7E8#0101")
				synctest.Wait()
				bus.end <- end
				wantRead(t, c, "\x01")
				_, err := c.Read(make([]byte, 1))
				wantErr(t, err, "read", c, io.ErrUnexpectedEOF)
				wantBusEnded(t, err, end)
				_, err = c.Write([]byte{1})
				wantErr(t, err, "write", c, io.ErrUnexpectedEOF)
				wantBusEnded(t, err, end)
			})
		})
	}
}

func TestEOFOfAWriteIsNotThePeersClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newPlainBus(t)
		bus.write = func([]canbus.Frame) (int, error) { return 0, io.EOF }
		c := dialOn(t, bus, testerAddr, isotpnet.Config{})
		_, err := c.Write([]byte{1})
		wantErr(t, err, "write", c, io.ErrUnexpectedEOF)
		wantBusEnded(t, err, io.EOF)
	})
}

// wantBusEnded wants the error to tell all that the bus said but io.EOF, and not
// io.ErrClosedPipe either.
func wantBusEnded(t *testing.T, err, end error) {
	t.Helper()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v reads as a peer's Close", err)
	}
	if errors.Is(err, os.ErrInvalid) != errors.Is(end, os.ErrInvalid) || !strings.HasSuffix(err.Error(), end.Error()) {
		t.Errorf("%v does not tell of %v", err, end)
	}
}

// An endingBus ends with an error of the test's choice.
type endingBus struct {
	*plainBus
	end chan error
}

func (b *endingBus) ReadFrames(frames []canbus.Frame) (int, error) {
	select {
	case err := <-b.end:
		return 0, err
	case f := <-b.rx:
		frames[0] = f
		return 1, nil
	case <-b.closed:
		return 0, net.ErrClosed
	}
}
