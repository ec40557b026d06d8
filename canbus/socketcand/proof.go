package socketcand

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/fifo"
)

const (
	// window is how many frames may be unproven at a time.
	window = 128
	// fenceLen is how many frames one < echo > proves at most. It is less than package
	// isotpnet has in flight at once, so that more frames can be written while the server
	// works on these.
	fenceLen = 16
	// echoTime is how long a server may take for its first < echo >.
	echoTime = 2 * time.Second
	// proofTime is how long Flush and Close wait for the next proof.
	proofTime = time.Second
)

// sent holds the frames that were written and are not proven yet. A server executes
// commands in order: when it answers an < echo >, it has executed all commands before that.
// An < echo > stands behind each batch, and behind every fenceLen frames of a long one.
type sent struct {
	frames fifo.Queue[canbus.Frame]
	fences fifo.Queue[fence]
	// errors is how many errors in words have come since the last answer. The server does
	// not say which frames it means.
	errors int
	// careful: an < echo > stands behind each frame, so that an error tells which frame it
	// means. It is set once a frame has been refused.
	careful bool
	proven  uint64 // how many frames are proven
	// stuck is proven+1 when settle has given up waiting.
	stuck uint64

	fd     trial
	reason string // why the server has refused a CAN FD frame
}

// A fence is an < echo >, and what it proves.
type fence struct {
	frames int       // how many frames it proves
	trial  bool      // it proves a CAN FD frame that WriteFrames waits for
	probe  chan bool // tells Open whether the server knows < echo >; nil for others
}

// A trial is what we know of the server's CAN FD. The released versions of socketcand do
// not know the command. So WriteFrames sends the first CAN FD frame alone and waits for its
// proof: if the server refuses the frame, WriteFrames returns an error that says why.
type trial uint8

const (
	untried trial = iota
	trying
	passed
	failed // the server has refused this frame
	absent // the server does not know the command
)

// probe finds out whether the server answers < echo >. It does not, if it says nothing for
// echoTime, or that it does not know the command.
func (b *Bus) probe() error {
	answer := make(chan bool, 1)
	b.mu.Lock()
	b.sent.fences.Push(fence{probe: answer})
	b.mu.Unlock()
	b.conn.SetWriteDeadline(time.Now().Add(echoTime))
	if _, err := io.WriteString(b.conn, "< echo >"); err != nil {
		return fmt.Errorf("socketcand: %s: %w", b.name, err)
	}
	b.conn.SetWriteDeadline(time.Time{})
	timer := time.NewTimer(echoTime)
	defer timer.Stop()
	select {
	case b.proves = <-answer:
	case <-timer.C:
	case <-b.life.Over():
		return b.life.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.proves {
		b.sent = sent{} // an answer that comes later proves nothing
	}
	return nil
}

// room waits until frames may be written, and returns how many of these.
func (b *Bus) room(frames []canbus.Frame) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.life.WriteErr() == nil {
		if n := min(b.untangled(frames), window-b.sent.frames.Len()); n > 0 {
			return n, nil
		}
		if b.sent.fd == absent && frames[0].Has(canbus.FD) {
			return 0, b.noFD(&frames[0])
		}
		b.changed.Wait()
	}
	return 0, b.life.WriteErr()
}

// untangled returns how many of the frames may be written together. Until the server has
// sent a CAN FD frame, such a frame is written alone; if the server does not know them, it
// is not written at all. Under mu.
func (b *Bus) untangled(frames []canbus.Frame) int {
	if b.sent.fd == passed {
		return len(frames)
	}
	i := slices.IndexFunc(frames, func(f canbus.Frame) bool { return f.Has(canbus.FD) })
	switch {
	case i < 0:
		return len(frames)
	case i == 0 && b.sent.fd != absent:
		return 1
	}
	return i
}

func (b *Bus) noFD(f *canbus.Frame) error {
	return fmt.Errorf("socketcand: %s does not send CAN FD frame %X: it says %q", b.name, f.ID, b.sent.reason)
}

// expect makes the text of a batch, and notes what its answers will prove, because they may
// come before the call that writes the text returns. It reports whether the batch is a
// trial.
func (b *Bus) expect(frames []canbus.Frame) (trial bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.life.WriteErr(); err != nil {
		return false, err
	}
	s := &b.sent
	if trial = s.fd != passed && frames[0].Has(canbus.FD); trial {
		s.fd = trying
	}
	unfenced := 0
	for i := range frames {
		f := &frames[i]
		b.out = appendSend(b.out, f)
		copied := *f
		copied.Strip()
		copied.Flags |= canbus.Echo
		s.frames.Push(copied)
		if unfenced++; !s.careful && unfenced < fenceLen && i < len(frames)-1 {
			continue
		}
		b.out = append(b.out, "< echo >"...)
		s.fences.Push(fence{frames: unfenced, trial: trial})
		unfenced = 0
	}
	return trial, nil
}

// answered handles the answer to an < echo >. Under mu.
func (b *Bus) answered() {
	s := &b.sent
	if s.fences.Len() == 0 {
		return
	}
	fence := s.fences.Pop()
	refused := s.errors > 0
	s.errors = 0
	if refused {
		s.careful = true
	}
	if fence.probe != nil {
		fence.probe <- true
	}
	for range fence.frames {
		f := s.frames.Pop()
		if refused {
			f.Flags |= canbus.Refused
		}
		if fence.trial && refused {
			continue // WriteFrames returns the error
		}
		// Received frames leave room for the echoes of a window.
		b.queue(f, queueLen+window)
	}
	switch {
	case !fence.trial:
	case !refused:
		s.fd = passed
	case s.reason == unknownCommand:
		s.fd = absent
	default:
		s.fd = failed
	}
	s.proven += uint64(fence.frames)
	b.changed.Broadcast()
}

// denied handles an error in words. It is about a frame before the next fence, if there is
// a fence. If there are several frames it does not say which, so none of them counts as
// sent. Under mu.
func (b *Bus) denied(words []string) {
	s := &b.sent
	if s.fences.Len() == 0 {
		return
	}
	switch next := s.fences.Waiting()[0]; {
	case next.probe != nil:
		s.fences.Pop()
		next.probe <- false
		return
	case next.trial:
		s.reason = strings.Join(words[1:], " ")
	}
	s.errors++
}

// tried waits until it is known whether the server has sent a CAN FD frame.
func (b *Bus) tried(f *canbus.Frame) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.sent.fd == trying && b.life.Err() == nil {
		b.changed.Wait()
	}
	switch b.sent.fd {
	case trying:
		return b.life.Err()
	case failed, absent:
		return b.noFD(f)
	}
	return nil
}

// settle waits until all frames that were written are proven.
func (b *Bus) settle(ctx context.Context) error {
	late := false
	wake := func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changed.Broadcast()
	}
	defer context.AfterFunc(ctx, wake)()
	timer := time.AfterFunc(proofTime, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		late = true
		b.changed.Broadcast()
	})
	defer timer.Stop()

	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.life.Err(); err != nil {
		return err
	}
	s := &b.sent
	proven := s.proven
	for want := proven + uint64(s.frames.Len()); s.proven < want; b.changed.Wait() {
		if s.proven != proven {
			proven, late = s.proven, false
			timer.Reset(proofTime)
		}
		switch {
		case b.life.Err() != nil:
			return b.life.Err()
		case ctx.Err() != nil:
			return ctx.Err()
		case late || s.stuck == s.proven+1:
			s.stuck = s.proven + 1
			return fmt.Errorf("socketcand: %s has not answered for %v: the last %d frames may not have been sent",
				b.name, proofTime, s.frames.Len())
		}
	}
	return nil
}

// hangUp ends our direction of a connection to a server that proves nothing, so that the
// server reads all of it, and waits until the server ends the other direction.
func (b *Bus) hangUp() {
	c, ok := b.conn.(interface{ CloseWrite() error })
	if !ok || c.CloseWrite() != nil {
		return
	}
	timer := time.NewTimer(proofTime)
	defer timer.Stop()
	select {
	case <-b.ended:
	case <-timer.C:
	}
}
