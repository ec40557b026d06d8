package kvaser

import (
	"context"
	"fmt"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/internal/account"
)

// A FullError is a temporary error of WriteFrames: for the moment no frames can be sent.
type FullError struct {
	Channel string
	BusOff  bool // the controller is off the bus, and will be started again
}

func (e *FullError) Error() string {
	if e.BusOff {
		return fmt.Sprintf("kvaser: %s is off the bus after too many errors: are the bit rate, the wiring and the termination right?", e.Channel)
	}
	return fmt.Sprintf("kvaser: %s: the queue of frames to send stays full: does a node acknowledge them?", e.Channel)
}

// WriteFrames implements [canbus.Bus]. It waits while 64 frames have no acknowledgement. While
// CANlib's queue is full, or the controller off the bus, and still is 1 ms later, it returns a
// [*FullError]. It takes the frames before one that it refuses: a frame that is not valid (see
// [canbus.Frame.Validate]), or a CAN FD frame on a channel for classic CAN.
func (b *Bus) WriteFrames(frames []canbus.Frame) (int, error) {
	frames, bad, err := b.frames.Admit(frames[:min(len(frames), account.MaxInFlight)], b.refuse)
	if err != nil {
		return 0, err
	}
	n, err := b.write(frames)
	switch {
	case n == len(frames):
		return n, bad
	case n > 0 || err != nil:
		return n, err
	}
	if err := b.life.Sleep(fullPause); err != nil {
		return 0, err
	}
	if n, err = b.write(frames); n == 0 && err == nil {
		err = b.full()
	}
	return n, err
}

// write gives frames to CANlib, and returns how many there was room for.
func (b *Bus) write(frames []canbus.Frame) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range frames {
		if err := b.life.WriteErr(); err != nil {
			return i, err
		}
		if b.state&statusBusOff != 0 {
			return i, nil
		}
		f := &frames[i]
		b.tx.encode(f)
		b.frames.Write(f)
		s := b.lib.write(b.handle, &b.tx)
		if s >= ok {
			continue
		}
		b.frames.TakeBack()
		switch {
		case s == errTxBufOfl:
			return i, nil
		case s.fatal():
			b.fail("canWrite", s)
			return i, b.life.Err()
		}
		return i, fmt.Errorf("kvaser: %s: frame %X: %w", b.name, f.ID, &Error{"canWrite", int(s)})
	}
	return len(frames), nil
}

// refuse returns an error for a frame that the channel was not opened for.
func (b *Bus) refuse(f *canbus.Frame) error {
	switch {
	case b.listen:
		return fmt.Errorf("kvaser: frame %X on %s, which was opened to listen only", f.ID, b.name)
	case f.Has(canbus.FD) && !b.props.FD:
		return fmt.Errorf("kvaser: CAN FD frame %X on %s, which was opened for classic CAN (DataBitrate, or ,data=2000000 in its name, makes it CAN FD)", f.ID, b.name)
	}
	return nil
}

func (b *Bus) full() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return canbus.Temporary(&FullError{b.name, b.state&statusBusOff != 0})
}

// Flush implements [canbus.Flusher]. It waits until each frame is on the wire, as its
// acknowledgement tells, or refused. It gives up when none of them is for one second more than all
// take on the wire.
func (b *Bus) Flush(ctx context.Context) error { return b.frames.Flush(ctx) }
