package isotpnet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/isotp/isotpnet"
)

// Messages of equal length whose Writes run into deadlines, whose sources fail,
// whose frames the bus loses, and whose connections are closed and dialled again in
// the middle: each that is read is one that was written, none is made of two, none
// comes twice, and they come in order. A repeated flow control, which names no
// message, can mix two; such worlds are only counted.
//
// A Write that returns nil says that all frames were on the bus. So no more messages
// can be missing than frames were lost or repeated, or connections closed.
func TestRandomMessages(t *testing.T) {
	const worlds, messages = 800, 50
	var sum messageCounts
	t.Run("worlds", func(t *testing.T) {
		inRandomWorlds(t, worlds, func(w *randomWorld) { testRandomMessages(w, messages, &sum) })
	})
	t.Logf("%d messages, %d written without an error, %d of those not read; %d read of those with an error; %d mixed where flow controls were repeated",
		sum.begun.Load(), sum.written.Load(), sum.unread.Load(), sum.readAllTheSame.Load(), sum.mixed.Load())
}

type messageCounts struct{ begun, written, unread, readAllTheSame, mixed atomic.Int64 }

// A messageEnd writes and reads at one end of the pair, on one Conn after another.
type messageEnd struct {
	w       *randomWorld
	side    uint64
	streams bool // it reads by NextReader
	dial    func() *isotpnet.Conn
	rng     *rand.Rand

	written map[uint64]error // by the number of a message
	redials int

	read   map[uint64]int // of the other end
	last   uint64
	broken int // messages of which NextReader's reader gave a part only
}

func testRandomMessages(w *randomWorld, messages int, sum *messageCounts) {
	ends := [2]*messageEnd{}
	for side := range ends {
		config, tap := w.config, newTap(w.t, w.n)
		config.MaxSendSize = 0
		config.BlockSize = pick(w.rng, config.BlockSize, 0, 8, 16)
		address := []string{testerAddr, ecuAddr}[side]
		ends[side] = &messageEnd{
			w: w, side: uint64(side), streams: w.rng.IntN(3) == 0,
			dial: func() *isotpnet.Conn { return dialOn(w.t, tap, address, config) }, rng: w.program(),
			written: make(map[uint64]error), read: make(map[uint64]int),
		}
	}
	var both sync.WaitGroup
	over := make(chan struct{})
	var writers sync.WaitGroup
	writers.Add(2)
	for _, e := range ends {
		both.Go(func() { e.run(messages/2, &writers, over, sum) })
	}
	writers.Wait()
	time.Sleep(5 * time.Second)
	close(over)
	both.Wait()
	ends[0].check(ends[1], sum)
	ends[1].check(ends[0], sum)
}

// run writes so many messages, and reads until over is closed.
func (e *messageEnd) run(messages int, writers *sync.WaitGroup, over chan struct{}, sum *messageCounts) {
	c := e.dial()
	reader := make(chan struct{})
	read := func() {
		defer close(reader)
		e.readAll(c, sum)
	}
	go read()
	for k := range uint64(messages) {
		e.write(c, k+1, sum)
		switch e.rng.IntN(12) {
		case 0:
			c.Close()
			<-reader
			e.redials++
			c, reader = e.dial(), make(chan struct{})
			go read()
		case 1:
			time.Sleep(time.Duration(e.rng.Int64N(int64(2 * time.Second))))
		case 2, 3:
			time.Sleep(time.Duration(e.rng.Int64N(int64(20 * time.Millisecond))))
		}
	}
	writers.Done()
	<-over
	c.Close()
	<-reader
}

// message makes the message with the number k. Its bytes follow from the seed, the side and
// k, so that other bytes do not pass for it.
func (e *messageEnd) message(k uint64, size int) []byte {
	p := make([]byte, size)
	fill(p, e.w.seed<<1|e.side, k)
	binary.BigEndian.PutUint16(p, uint16(k))
	return p
}

var errSource = errors.New("the source has failed")

func (e *messageEnd) write(c *isotpnet.Conn, k uint64, sum *messageCounts) {
	p := e.message(k, pick(e.rng, e.w.cut, e.w.cut, e.w.cut, 2+e.rng.IntN(5), 2+e.rng.IntN(e.w.cut)))
	c.SetWriteDeadline(deadline(e.rng))
	sum.begun.Add(1)
	var err error
	switch e.rng.IntN(5) {
	case 0:
		r := io.Reader(bytes.NewReader(p))
		if e.rng.IntN(2) == 0 {
			r = io.MultiReader(io.LimitReader(r, int64(e.rng.IntN(len(p)))), failingReader{errSource})
		}
		err = c.SendFrom(r, int64(len(p)))
	default:
		_, err = c.Write(p)
	}
	if pe, ok := errors.AsType[*isotpnet.ProtocolError](err); err != nil && !ok && !errors.Is(err, os.ErrDeadlineExceeded) {
		e.w.t.Errorf("%v: Write: %v", e.w, err)
	} else if ok && pe.Code != isotpnet.CodeTimeoutBs && pe.Code != isotpnet.CodeSourceFailed && e.w.lose+e.w.duplicate == 0 {
		e.w.t.Errorf("%v: on a bus that loses nothing Write's error is %v", e.w, err)
	}
	e.written[k] = err
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// readAll reads messages until c is closed.
func (e *messageEnd) readAll(c *isotpnet.Conn, sum *messageCounts) {
	buf := make([]byte, 8192)
	for {
		var n int
		var err error
		whole := true
		if e.streams {
			var r io.Reader
			if r, _, err = c.NextReader(); err == nil {
				n, err = io.ReadFull(r, buf)
				whole = err == io.ErrUnexpectedEOF // the message's end, and not that of buf
				if _, aborted := errors.AsType[*isotpnet.ProtocolError](err); aborted || whole {
					err = nil
				}
			}
		} else {
			n, err = c.Read(buf)
		}
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			e.w.t.Errorf("%v: Read: %v", e.w, err)
			return
		}
		e.took(buf[:n], whole, sum)
	}
}

// took checks a message, or what had come of one that was given up.
func (e *messageEnd) took(p []byte, whole bool, sum *messageCounts) {
	if !whole && len(p) < 2 {
		e.broken++
		return
	}
	other := messageEnd{w: e.w, side: 1 - e.side}
	k := uint64(0)
	if len(p) >= 2 {
		k = uint64(binary.BigEndian.Uint16(p))
	}
	switch {
	case !bytes.Equal(p, other.message(k, max(len(p), 2))):
		if sum.mixed.Add(1); e.w.duplicate == 0 {
			e.w.t.Errorf("%v: %d bytes were read that were not written, beginning as message %d of side %d", e.w, len(p), k, other.side)
		}
	case !whole:
		e.broken++
	case k <= e.last && e.w.duplicate == 0:
		e.w.t.Errorf("%v: message %d of side %d was read after %d", e.w, k, other.side, e.last)
	default:
		e.last = max(k, e.last)
		e.read[k]++
	}
}

// check compares what from has written with what e has read.
func (e *messageEnd) check(from *messageEnd, sum *messageCounts) {
	unread := 0
	for k, err := range from.written {
		read := e.read[k] > 0
		switch {
		case err == nil:
			if sum.written.Add(1); !read {
				unread++
			}
		case read:
			sum.readAllTheSame.Add(1)
		}
		delete(e.read, k)
	}
	sum.unread.Add(int64(unread))
	for k := range e.read {
		e.w.t.Errorf("%v: side %d has read a message %d, which was not written", e.w, e.side, k)
	}
	// A side that closes its Conn may lose one message that is complete and one that is
	// coming.
	if most := int(e.w.lost.Load()+e.w.duplicated.Load()) + 2*(e.redials+from.redials); unread > most {
		e.w.t.Errorf("%v: %d messages for side %d were written and not read, with %d frames lost, %d repeated, %d and %d redials",
			e.w, unread, e.side, e.w.lost.Load(), e.w.duplicated.Load(), e.redials, from.redials)
	}
}
