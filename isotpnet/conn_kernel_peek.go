//go:build linux

package isotpnet

import (
	"net"

	"golang.org/x/sys/unix"
)

// discard throws away the messages in the socket's buffer. Where a Read waits there
// are none.
func (k *kernelConn) discard() (messages int, err error) {
	if k.closed.Load() {
		return 0, net.ErrClosed
	}
	if k.sendOnly || !k.readTurn.TryLock() {
		return 0, nil
	}
	defer k.tell()
	defer k.readTurn.Unlock()
	r := &k.read
	if len(r.rest) > 0 || r.opened {
		messages++
		r.drop()
	}
	err = k.raw.Control(func(fd uintptr) {
		k.mu.Lock()
		defer k.mu.Unlock()
		messages += k.queue.drop()
		k.armDrain() // it may have been full
		var buf [1]byte
		for {
			errno := k.recv.recv(int(fd), nil, buf[:])
			if errno == unix.EAGAIN {
				break
			}
			if errno != 0 {
				k.took(int(fd), errno)
				if k.gone || k.told {
					break
				}
				continue
			}
			messages++
			k.countReceived()
		}
		k.overrun(dropped(int(fd)))
		switch k.readErr.(type) {
		case *ProtocolError:
			k.readErr = nil
		}
		if k.readErr == ErrOverrun {
			k.readErr = nil
		}
	})
	return messages, err
}

// await waits for a message and keeps it.
func (k *kernelConn) await() (MessageInfo, error) {
	if k.sendOnly {
		return MessageInfo{}, ErrSendOnly
	}
	defer k.tell()
	k.readTurn.Lock()
	defer k.readTurn.Unlock()
	if err := k.next(nil); err != nil {
		return MessageInfo{}, err
	}
	info := k.read.info
	info.Rest = len(k.read.rest)
	return info, nil
}

func (k *kernelConn) progress() (received, sent Progress) { return Progress{}, Progress{} }
