package slcan

import (
	"fmt"

	"example.com/isotp/canbus"
)

// WriteFrames implements [canbus.Bus]. It waits while the wire or the adapter is busy. It
// takes the frames before one that it refuses: a frame that is not valid (see
// [canbus.Frame.Validate]), or a CAN FD frame if the adapter has no data bit rate.
func (b *Bus) WriteFrames(frames []canbus.Frame) (int, error) {
	good, bad := canbus.CheckFrames(frames[:min(len(frames), batchLen)], b.refuse)
	if err := b.life.WriteErr(); err != nil {
		return 0, err
	}
	if good == 0 {
		return 0, bad
	}
	room, err := b.awaitRoom()
	if err != nil {
		return 0, err
	}
	good = min(good, room)
	n, err := b.pace.AdmitSome(frames[:good], b.life.Sleep)
	if err != nil {
		return 0, err
	}
	if err := b.acquire(); err != nil {
		return 0, err
	}
	defer b.release()
	b.out = b.out[:0]
	for i := range frames[:n] {
		b.out = appendFrame(b.out, &frames[i])
	}
	b.mu.Lock()
	b.inWrite = true
	b.lowest = arbitration(&frames[n-1])
	b.flight.write(frames[:n])
	if b.flight.fences && !b.flight.fenced && (b.flight.mode == unknown || b.flight.doubt) {
		b.appendFence()
	}
	b.needMind()
	b.mu.Unlock()
	_, err = b.port.Write(b.out)
	b.mu.Lock()
	b.wrote()
	b.wire.write(b.moved, frames[:n])
	b.flight.written()
	b.mu.Unlock()
	if err != nil {
		b.fail(err)
		return 0, b.life.Err()
	}
	return n, nil
}

// refuse returns an error for a frame that the channel was not opened for.
func (b *Bus) refuse(f *canbus.Frame) error {
	switch {
	case f.Has(canbus.FD) && !b.props.FD:
		return fmt.Errorf("slcan: CAN FD frame %X on %s, which was opened for classic CAN (DataBitrate, or ,data=2000000 in its name, makes it CAN FD)", f.ID, b.name)
	case !b.props.Echo:
		return fmt.Errorf("slcan: frame %X on %s, which was opened to listen only", f.ID, b.name)
	}
	return nil
}

// awaitRoom waits until more frames can be in flight, and returns how many.
func (b *Bus) awaitRoom() (int, error) {
	for {
		b.mu.Lock()
		room := b.flight.room()
		b.mu.Unlock()
		if room > 0 {
			return room, nil
		}
		select {
		case <-b.roomy:
		case <-b.life.Stopped():
			return 0, b.life.WriteErr()
		}
	}
}

// acquire waits for the port to be free to write.
func (b *Bus) acquire() error {
	select {
	case b.writing <- struct{}{}:
	case <-b.life.Over():
		return b.life.Err()
	}
	if err := b.life.Err(); err != nil {
		b.release()
		return err
	}
	return nil
}

func (b *Bus) release() { <-b.writing }

// send writes to the port.
func (b *Bus) send(text []byte) error {
	if err := b.acquire(); err != nil {
		return err
	}
	defer b.release()
	if _, err := b.port.Write(text); err != nil {
		b.fail(err)
		return b.life.Err()
	}
	return nil
}
