package isotpnet

import (
	"errors"
	"syscall"
	"time"

	"example.com/isotp/internal/stream"
)

var _ streamBackend = (*kernelConn)(nil)

// maxDowns is how often in a row reading may fail because the interface is down: the
// kernel says so once, and then waits for it to be up.
const maxDowns = 3

func (k *kernelConn) epoch() time.Time { return k.began }

func (k *kernelConn) attach(p *streamPair) { go k.readFor(p) }

func (k *kernelConn) start(p *streamPair, m []byte) {
	k.setWriteDeadline(time.Time{}) // the last one may have been taken back
	go func() {
		k.sendTurn.Lock()
		handed, err := k.transmit(m)
		k.sendTurn.Unlock()
		if _, owed := err.(*OwedError); !owed || k.givenUp.Load() {
			k.sent(len(m), handed, err)
			k.tell()
		}
		p.sent(p.now(), handed, err)
	}()
}

// recall: what the kernel has taken cannot be taken back, even if the kernel itself
// waits with it for the end of another message. It goes its way. One that the kernel
// takes just now goes its way too, without anybody waiting for its end: the peer will
// get it, or notice that it is missing.
func (k *kernelConn) recall(givenUp bool) (left bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sending {
		return true
	}
	k.givenUp.Store(givenUp)
	k.setWriteDeadline(past)
	return false
}

// readFor is the goroutine that reads a pair's messages.
func (k *kernelConn) readFor(p *streamPair) {
	buf := make([]byte, stream.MaxMessage)
	whole := true // no part of a message was read
	downs := 0
	for {
		n, _, end, err := k.receive(buf, false)
		switch {
		case err == nil:
			m := buf[:n]
			if !whole || !end {
				m = nil // longer ones are none of ours
			}
			p.message(p.now(), m)
			whole, downs = end, 0
		case isLoss(err):
		case errors.Is(err, syscall.ENETDOWN) && downs < maxDowns:
			downs++
			p.down(&busError{err: err}) // the streams end with it
		default:
			p.fail(err)
			return
		}
	}
}
