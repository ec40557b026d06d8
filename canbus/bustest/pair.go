package bustest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/isotp/canbus"
)

// A pair is the two buses of a check. A reader of a bus reads all of it, echoes too: a
// reader that does not may hold the bus up.
type pair struct {
	a, b       canbus.Bus
	options    Options
	properties canbus.Properties // of both
	goroutines sync.WaitGroup
}

// wait waits for the goroutines of a check, which end with the buses.
func (p *pair) wait() error {
	ended := make(chan struct{})
	go func() {
		p.goroutines.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(patience):
		return errors.New("ReadFrames or WriteFrames does not return, although the bus is closed")
	}
}

// A reader reads a bus until it ends.
type reader struct {
	mu     sync.Mutex
	news   sync.Cond
	frames []canbus.Frame // as they were before they were sent; without echoes
	raw    []canbus.Frame // the same, as they were read
	echoes []canbus.Frame
	echo   bool // of the bus's Properties
	err    error
}

// stale is what a caller's buffer may hold: a driver that leaves a part of it would return
// that of another frame.
var stale = canbus.Frame{ID: 0x666, Flags: 0xFFFF, Len: 0xFF, Channel: 0xFE, Timestamp: -1}

// read starts to read a bus, at most so many frames at a time.
func (p *pair) read(bus canbus.Bus, size int) *reader {
	r := &reader{echo: p.properties.Echo}
	r.news.L = &r.mu
	p.goroutines.Go(func() {
		buf := make([]canbus.Frame, size)
		for {
			for i := range buf {
				buf[i] = stale
			}
			n, err := bus.ReadFrames(buf)
			if !r.add(buf, n, err) {
				return
			}
		}
	})
	return r
}

// add adds what a call has read, and reports whether there may be more.
func (r *reader) add(buf []canbus.Frame, n int, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.news.Broadcast()
	if n < 0 || n > len(buf) {
		r.err = fmt.Errorf("ReadFrames returned %d frames of %d", n, len(buf))
		return false
	}
	if n == 0 && err == nil {
		r.err = errors.New("ReadFrames returned no frame and no error")
		return false
	}
	for _, f := range buf[:n] {
		if f.Channel == stale.Channel {
			r.err = fmt.Errorf("ReadFrames does not set Channel of %v, and leaves that of the caller's buffer", f)
			return false
		}
		if f.Has(canbus.Echo) {
			r.echoes = append(r.echoes, plain(f))
			if !r.echo {
				r.err = fmt.Errorf("frame %v has the flag Echo, and the bus no Properties.Echo: to hand on frames that were written, strip them first (canbus.Frame.Strip)", f)
				return false
			}
		} else {
			r.frames = append(r.frames, plain(f))
			r.raw = append(r.raw, f)
		}
	}
	if err != nil && !errors.Is(err, canbus.ErrTemporary) {
		r.err = err
		return false
	}
	return true
}

// until waits until done returns true, or the bus ends.
func (r *reader) until(done func() bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !done() {
		if r.err != nil {
			return fmt.Errorf("reading, after %d frames and %d echoes: %w", len(r.frames), len(r.echoes), r.err)
		}
		r.news.Wait()
	}
	return nil
}

// count is how many frames have been read.
func (r *reader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.frames)
}

// want waits for these frames, and nothing else.
func (r *reader) want(frames ...canbus.Frame) error {
	if err := r.until(func() bool { return len(r.frames) >= len(frames) }); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return equal("frame", r.frames, frames)
}

// wantEchoes is want for echoes. If the bus does not echo, it checks that there are none.
func (r *reader) wantEchoes(p *pair, frames ...canbus.Frame) error {
	if p.properties.Echo {
		if err := r.until(func() bool { return len(r.echoes) >= len(frames) }); err != nil {
			return err
		}
	} else {
		frames = nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return equal("echo", r.echoes, frames)
}

// end waits for the end of the bus, and returns the error that told it.
func (r *reader) end() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.err == nil {
		r.news.Wait()
	}
	return r.err
}

// last waits until this frame has been read, and returns all read before it.
func (r *reader) last(f canbus.Frame) ([]canbus.Frame, error) {
	i, next := -1, 0
	err := r.until(func() bool {
		for ; next < len(r.frames); next++ {
			if r.frames[next] == plain(f) {
				i = next
			}
		}
		return i >= 0
	})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.frames[:i:i], nil
}

func equal(what string, got, want []canbus.Frame) error {
	for i, f := range got {
		if i >= len(want) {
			return fmt.Errorf("%s %d too many: %v", what, i, f)
		}
		if w := plain(want[i]); f != w {
			return fmt.Errorf("%s %d is %v, want %v", what, i, f, w)
		}
	}
	if len(got) < len(want) {
		return fmt.Errorf("%d of %d frames", len(got), len(want))
	}
	return nil
}

// plain returns a frame without the flags and the time that the bus adds, and without bytes
// that have no meaning.
func plain(f canbus.Frame) canbus.Frame {
	refused := f.Flags & canbus.Refused
	f.Strip()
	f.Flags |= refused
	if f.Has(canbus.Remote) {
		clear(f.Data[:])
	}
	clear(f.Data[min(int(f.Len), canbus.MaxLen):])
	return f
}

// write writes all frames.
func write(bus canbus.Bus, frames ...canbus.Frame) error {
	for len(frames) > 0 {
		n, err := bus.WriteFrames(frames)
		if n < 0 || n > len(frames) {
			return fmt.Errorf("WriteFrames took %d frames of %d", n, len(frames))
		}
		frames = frames[n:]
		switch {
		case err != nil && !errors.Is(err, canbus.ErrTemporary):
			return fmt.Errorf("writing, with %d frames to go: %w", len(frames), err)
		case err != nil:
			time.Sleep(time.Millisecond) // for the bus to have room
		case n == 0:
			return errors.New("WriteFrames took no frame and returned no error")
		}
	}
	return nil
}

// frame makes a classic frame.
func frame(id uint32, data ...byte) canbus.Frame {
	f := canbus.Frame{ID: id, Len: uint8(len(data))}
	copy(f.Data[:], data)
	return f
}

// numbered makes frames that are all different.
func numbered(n int) []canbus.Frame {
	list := make([]canbus.Frame, n)
	for i := range list {
		list[i] = frame(0x100+uint32(i%7), byte(i), byte(i>>8), byte(i>>16))
	}
	return list
}
