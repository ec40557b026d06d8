package isotpnet

import (
	"errors"
	"syscall"
	"time"

	"example.com/isotp/internal/stream"
)

var _ streamBackend = (*kernelConn)(nil)

// sendTracked sends a message. What the kernel has taken cannot be recalled: the peer
// will get it, or notice that it is missing.
func (k *kernelConn) sendTracked(p []byte) (handed bool, err error) {
	handed, err = k.transmit(p)
	k.sent(len(p), handed, err)
	k.tell()
	return handed, err
}

// maxDowns is how often in a row reading may fail because the interface is down: the
// kernel says so once, and then waits for it to be up.
const maxDowns = 3

func (k *kernelConn) epoch() time.Time { return k.began }

func (k *kernelConn) consume(p *streamPair) { go k.readFor(p) }

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
			p.down(err)
		default:
			p.fail(err)
			return
		}
	}
}
