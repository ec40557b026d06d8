package j2534

import (
	"errors"
	"fmt"

	"example.com/isotp/canbus"
)

// errFull is why a frame was not taken, although it may be later.
var errFull = errors.New("its transmit buffer stays full: does another node acknowledge the frames, at this bit rate?")

// WriteFrames implements [canbus.Bus]. It waits while 64 frames have no echo, or the wire is
// busy where there are no echoes. While the library's buffer is full all the same it returns a
// temporary error after 1 ms. It takes the frames before one that it refuses: a frame that is
// not valid (see [canbus.Frame.Validate]), a CAN FD frame or a remote frame.
func (b *Bus) WriteFrames(frames []canbus.Frame) (int, error) {
	frames, bad, err := b.frames.Admit(frames[:min(len(frames), batchLen)], b.refuse)
	if err != nil || len(frames) == 0 {
		return 0, err
	}
	taken, err := b.hand(frames)
	if err == errFull {
		b.life.Sleep(fullTime)
		taken, err = b.hand(frames)
	}
	switch {
	case err == errFull:
		return 0, canbus.Temporary(fmt.Errorf("j2534: %s: %w", b.adapter.Name, err))
	case err != nil || taken < len(frames):
		return taken, err
	}
	return taken, bad
}

// refuse returns an error for a frame that pass-thru adapters do not send.
func (b *Bus) refuse(f *canbus.Frame) error {
	switch {
	case f.Has(canbus.FD):
		return fmt.Errorf("j2534: CAN FD frame %X: SAE J2534-1 04.04 has classic CAN only", f.ID)
	case f.Has(canbus.Remote):
		return fmt.Errorf("j2534: remote frame %X: SAE J2534-1 04.04 has none", f.ID)
	}
	return nil
}

// hand has the goroutine that calls the library write frames.
func (b *Bus) hand(frames []canbus.Frame) (taken int, err error) {
	select {
	case b.orders <- frames:
		a := <-b.answers
		return a.taken, a.err
	case <-b.life.Stopped():
		return 0, b.life.WriteErr()
	}
}
