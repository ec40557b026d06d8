package slcan

import (
	"time"

	"example.com/isotp/canbus"
)

// receive is the goroutine that reads the port, because a Read has no time-out.
func (b *Bus) receive() {
	chunk := make([]byte, chunkLen)
	for {
		n, err := b.port.Read(chunk)
		if !b.hear(chunk[:n]) {
			return
		}
		if err != nil {
			b.fail(err)
			return
		}
	}
}

// hear takes text from the adapter. It waits while many frames are not read, which holds
// the adapter up, unless the text may have answers to our frames. It reports false once the
// bus is over.
func (b *Bus) hear(text []byte) bool {
	for b.isFull() {
		select {
		case <-b.roomy:
		case <-b.life.Over():
			return false
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	settled := b.flight.settled
	if b.head > 0 {
		b.in = b.in[:copy(b.in, b.in[b.head:])]
		b.head = 0
	}
	now := time.Now()
	for {
		word, end, rest, done := b.lex.next(text)
		text = rest
		if !done {
			break
		}
		if !b.isReady() {
			b.hearEarly(now, word, end)
			continue
		}
		b.hearLine(now, word, end)
	}
	if len(b.in) > 0 {
		signal(b.readable)
	}
	if b.flight.settled != settled {
		signal(b.roomy)
		b.change()
	}
	return true
}

func (b *Bus) isReady() bool {
	select {
	case <-b.ready:
		return true
	default:
		return false
	}
}

// isFull reports whether hear must hold the adapter up.
func (b *Bus) isFull() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.in)-b.head >= maxUnread && b.flushing == 0 && b.flight.inFlight() == 0 && b.isReady()
}

// hearEarly takes a line while the adapter is set up. Under mu, which it releases while it
// waits for setUp to take the line.
func (b *Bus) hearEarly(now time.Time, word []byte, end byte) {
	if f, err := parseLine(word); err == nil && (word[0] != 'F' || len(word) != 3) {
		b.push(now, &f)
		if end != bel {
			return
		}
		word = nil
	}
	s := said{string(word), end}
	b.mu.Unlock()
	defer b.mu.Lock()
	select {
	case b.said <- s:
	case <-b.ready:
	case <-b.life.Over():
	}
}

// hearLine takes a line. Under mu.
func (b *Bus) hearLine(now time.Time, word []byte, end byte) {
	if is, ok := isAnswer(word, end); is {
		if len(word) > 0 && end == bel {
			b.hearFrame(now, word)
		}
		b.hearAnswer(now, ok)
		return
	}
	switch {
	case b.version != "" && string(word) == b.version:
		b.tailDue = b.tail
		b.hearFence(now, false)
		return
	case len(word) == 3 && word[0] == 'F':
		b.hearFence(now, true)
	}
	b.hearFrame(now, word)
}

// hearFrame takes a line that may be a frame. Under mu.
func (b *Bus) hearFrame(now time.Time, word []byte) {
	f, err := parseLine(word)
	switch {
	case err == nil:
		b.push(now, &f)
		if arbitration(&f) <= b.lowest {
			// Frames that the adapter has wait for this one.
			d := b.wire.time(&f)
			b.pace.Delay(d)
			b.wire.delay(now, d)
		}
	case err != errNoFrame:
		b.malformed.Add(1)
	}
}

// hearAnswer takes the answer to a frame, most likely. Under mu.
func (b *Bus) hearAnswer(now time.Time, ok bool) {
	if ok && b.tailDue > 0 {
		b.tailDue--
		return
	}
	b.moved = now
	answered := b.flight.answered
	taken := b.flight.answer(ok)
	if taken && ok {
		b.wire.answer(now, &b.flight.ring[answered%maxInFlight].frame)
	}
	switch {
	case ok:
	case b.flight.fenced && b.fenceStatus && !taken:
		b.hasStatus = false // the adapter has refused F
	default:
		b.complain(now, 1)
	}
	b.needMind()
}

// hearStatus takes the answer to F, before New returns.
func (b *Bus) hearStatus(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f, err := parseStatus([]byte(text)); err == nil {
		b.push(time.Now(), &f)
		signal(b.readable)
	}
}

// arbitration orders frames as the wire does: of frames that begin at the same time the one
// with the lowest value goes first.
func arbitration(f *canbus.Frame) uint32 {
	if f.Has(canbus.Extended) {
		return f.ID<<1 | 1
	}
	return f.ID << 19
}

// push gives a frame to ReadFrames. Under mu.
func (b *Bus) push(now time.Time, f *canbus.Frame) {
	if len(b.in)-b.head >= maxUnread+chunkLen/shortest {
		b.dropped.Add(1)
		return
	}
	b.in = append(b.in, *f)
	b.in[len(b.in)-1].Stamp(now.UnixNano())
}

// echo gives a frame that was written back to ReadFrames. Under mu.
func (b *Bus) echo(f *canbus.Frame) {
	b.push(time.Now(), f)
	signal(b.readable)
}

// forget throws away the frames that were not read.
func (b *Bus) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.in, b.head = b.in[:0], 0
	b.dropped.Store(0)
}

// ReadFrames implements [canbus.Bus]. It leaves out and counts lines that are no frames: see
// [Bus.Malformed].
func (b *Bus) ReadFrames(frames []canbus.Frame) (int, error) {
	if len(frames) == 0 {
		return 0, b.life.Err()
	}
	for {
		if n := b.take(frames); n > 0 {
			return n, nil
		}
		select {
		case <-b.life.Over():
			if n := b.take(frames); n > 0 {
				return n, nil
			}
			return 0, b.life.Err()
		case <-b.readable:
		}
	}
}

// take moves as many frames as fit to frames, and returns how many.
func (b *Bus) take(frames []canbus.Frame) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	full := len(b.in)-b.head >= maxUnread
	n := copy(frames, b.in[b.head:])
	if b.head += n; b.head == len(b.in) {
		b.in, b.head = b.in[:0], 0
	}
	if full {
		signal(b.roomy)
	}
	return n
}
