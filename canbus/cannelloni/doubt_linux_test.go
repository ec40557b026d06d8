package cannelloni

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"golang.org/x/sys/unix"
)

// stuff opens a bus whose peer reads nothing, and writes frames until the peer's computer
// has no room for the last 1000.
func stuff(t *testing.T) (b *TCP, reset func(), written int) {
	t.Helper()
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	ln, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, peer := openTCPAt(t, ln.(*net.TCPListener))
	for {
		if n, _ := b.inDoubt(); n >= 1000 {
			break
		}
		write(t, b, frame(0x123, 1, 2, 3, 4, 5, 6, 7, 8))
		written++
	}
	return b, func() { peer.SetLinger(0); peer.Close() }, written
}

func TestFramesAreInDoubtWhenTheConnectionIsReset(t *testing.T) {
	b, reset, written := stuff(t)
	reset()
	_, err := b.ReadFrames(make([]canbus.Frame, 1))
	gone, ok := errors.AsType[*canbus.GoneError](err)
	if !ok || gone.InDoubt < 100 || gone.InDoubt > 1000 || gone.InDoubt > written || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("of %d frames: %v", written, err)
	}
}

func TestFlushOfFramesThatArriveNowhere(t *testing.T) {
	b, _, _ := stuff(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if err := b.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	b.stall = 10 * time.Millisecond
	if err := b.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "frames may not have been sent") {
		t.Error(err)
	}
	b.linger = 0
}

// A peer that neither takes anything nor ends the connection is gone after a while.
func TestAPeerThatIsSilent(t *testing.T) {
	b, _, _ := stuff(t)
	giveUp(b.conn, 10*time.Millisecond)
	for {
		_, err := b.WriteFrames([]canbus.Frame{frame(1)})
		if err == nil {
			continue
		}
		if gone, ok := errors.AsType[*canbus.GoneError](err); !ok || gone.InDoubt == 0 || !errors.Is(err, syscall.ETIMEDOUT) {
			t.Error(err)
		}
		return
	}
}

// A WriteFrames that waits for the peer ends with Close.
func TestCloseEndsAWriteToAPeerThatReadsNothing(t *testing.T) {
	b, _, _ := stuff(t)
	b.linger = 0
	ended := make(chan error)
	go func() {
		for {
			if _, err := b.WriteFrames([]canbus.Frame{frame(1)}); err != nil {
				ended <- err
				return
			}
		}
	}()
	b.Close()
	if err := <-ended; err != net.ErrClosed {
		t.Error(err)
	}
}
