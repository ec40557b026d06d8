package isotpnet

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/internal/mux"
	"example.com/isotp/internal/stream"
)

// A gatedBackend brings messages to the other end of a pair of streams, except those
// that onStart keeps.
type gatedBackend struct {
	streamBackend
	by       mux.Handler
	peer     stream.Endpoint
	onStart  func(m []byte) (keeps bool)
	recalled func() (left bool)
}

func (b *gatedBackend) name() string                { return "gated" }
func (b *gatedBackend) epoch() time.Time            { return time.Now() }
func (b *gatedBackend) recall(bool) (left bool)     { return b.recalled() }
func (b *gatedBackend) handle(by mux.Handler) error { b.by = by; return nil }
func (b *gatedBackend) close() error                { return nil }

func (b *gatedBackend) start(m []byte) {
	if b.onStart != nil && b.onStart(m) {
		return
	}
	b.peer.HandleMessage(0, m)
	b.by.Sent(0, true, nil)
	var answer [stream.MaxMessage]byte
	for {
		n, _ := b.peer.Poll(answer[:])
		if n == 0 {
			return
		}
		b.peer.Sent(0, true, nil)
		b.by.Message(0, answer[:n], nil)
	}
}

// The deadline comes when the message is polled and not yet started, by a goroutine
// other than Write's.
func TestRecallBeforeTheStartIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(gatedBackend)
		b.peer.Init(stream.Config{MaxMessage: stream.MaxMessage, Single: 7, PeerSingle: 7, Window: stream.MaxWindow, MaxSessions: 1, Random: func() uint32 { return 1 }})
		b.peer.Listen(1)
		p := newStreamPair(pairKey{}, MustParseAddr("/7E0:7E8"), new(Config))
		if err := p.open(func() (*Conn, error) { return &Conn{backend: b, maxSend: 4095}, nil }); err != nil {
			t.Fatal(err)
		}
		c, err := p.dial(t.Context(), streamNetwork, stream.KeepAlive{Off: true})
		if err != nil {
			t.Fatal(err)
		}

		kept := make(chan struct{}) // a message waits for goOn
		goOn := make(chan struct{})
		b.onStart = func([]byte) bool {
			kept <- struct{}{}
			<-goOn
			return true
		}
		started := false
		b.recalled = func() bool {
			if started {
				p.sent(p.now(), false, os.ErrDeadlineExceeded)
			}
			return false
		}
		type result struct {
			n   int
			err error
		}
		written := make(chan result)
		go func() {
			n, err := c.Write(make([]byte, 10_000))
			written <- result{n, err}
		}()
		<-kept
		goOn <- struct{}{}
		synctest.Wait()
		go p.sent(p.now(), true, nil)
		<-kept // the second message, which the goroutine of sent starts
		c.SetWriteDeadline(past)
		synctest.Wait() // Write has recalled it, for nothing
		started = true
		goOn <- struct{}{}
		if r := <-written; r.n != 4084 || !errors.Is(r.err, os.ErrDeadlineExceeded) {
			t.Errorf("Write: %d, %v", r.n, r.err)
		}
		b.onStart = nil
		c.Close()
	})
}
