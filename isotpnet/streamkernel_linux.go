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
	k.setWriteDeadline(time.Time{}) // the last one may have been recalled
	go func() {
		k.sendTurn.Lock()
		handed, err := k.transmit(m)
		k.sendTurn.Unlock()
		k.sent(len(m), handed, err)
		k.tell()
		p.sent(p.now(), handed, err)
	}()
}

// recall: what the kernel has taken cannot be recalled. The peer will get it, or
// notice that it is missing.
func (k *kernelConn) recall() { k.setWriteDeadline(past) }

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
