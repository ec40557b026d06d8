package pcan

import (
	"errors"
	"fmt"

	"example.com/isotp/canbus"
)

// An outbox is what the library's functions for writing read.
type outbox struct {
	classic message
	message messageFD
}

// errFull is why a frame was not taken, although it may be later.
var errFull = errors.New("its transmit queue stays full: does another node acknowledge the frames, at this bit rate?")

// errOff likewise.
var errOff = errors.New("bus-off: too many errors; is the bit rate that of the others, and the wiring right?")

// WriteFrames implements [canbus.Bus]. It waits while 64 frames are in flight, or the wire is
// busy where there are no echoes. While the library's queue is full all the same, or the
// controller is bus-off, it returns a temporary error after 1 ms. It takes the frames before
// one that it refuses: a frame that is not valid (see [canbus.Frame.Validate]), or a CAN FD
// frame on a channel for classic CAN.
func (b *Bus) WriteFrames(frames []canbus.Frame) (int, error) {
	frames, bad, err := b.frames.Admit(frames[:min(len(frames), batchLen)], b.refuse)
	if err != nil {
		return 0, err
	}
	for i := range frames {
		err := b.write(&frames[i])
		if isBusy(err) && i == 0 {
			b.life.Sleep(fullTime)
			err = b.write(&frames[i])
		}
		switch {
		case err == nil:
		case isBusy(err) && i > 0:
			return i, nil
		case isBusy(err):
			return 0, canbus.Temporary(fmt.Errorf("pcan: %s: %w", b.name, err))
		default:
			return i, err
		}
	}
	return len(frames), bad
}

func isBusy(err error) bool { return err == errFull || err == errOff }

// refuse returns an error for a frame that the channel was not opened for.
func (b *Bus) refuse(f *canbus.Frame) error {
	switch {
	case f.Has(canbus.FD) && !b.props.FD:
		return fmt.Errorf("pcan: CAN FD frame %X on %s, which was opened for classic CAN (DataBitrate, or ,data=2000000 in its name, makes it CAN FD)", f.ID, b.name)
	case b.listens:
		return fmt.Errorf("pcan: frame %X on %s, which was opened to listen only", f.ID, b.name)
	}
	return nil
}

// write gives a frame to the library. It returns errFull or errOff if that cannot take it now.
func (b *Bus) write(f *canbus.Frame) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	if err := b.life.WriteErr(); err != nil {
		return err
	}
	b.frames.Write(f)
	s := b.hand(f)
	err := b.taken(s)
	if err != nil && !b.frames.TakeBack() {
		return nil // it is on the wire, whatever the library says
	}
	if err != nil && !isBusy(err) && !s.has(refusals) {
		b.fail(s, "")
		return b.life.Err()
	}
	return err
}

// refusals are of one frame: the channel is of use.
const refusals = statusIllData | statusIllParamVal | statusIllParamType

// taken returns why the library has not taken a frame; nil if it has. The states of the bus
// but bus-off are no reason.
func (b *Bus) taken(s status) error {
	switch {
	case !s.usable():
		return fmt.Errorf("pcan: %s: the frame is refused: %w", b.name, s)
	case s.has(anyFull):
		return errFull
	case s.has(statusBusOff):
		return errOff
	}
	return nil
}

// hand calls the library.
func (b *Bus) hand(f *canbus.Frame) status {
	m := &b.out.message
	encode(m, f)
	if b.setting.fd {
		return b.lib.writeFD(b.handle, m)
	}
	b.out.classic = message{id: m.id, kind: m.kind, len: m.dlc, data: [8]byte(m.data[:])}
	return b.lib.write(b.handle, &b.out.classic)
}
