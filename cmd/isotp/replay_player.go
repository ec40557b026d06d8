package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"example.com/isotp/canbus"
)

// A player sends a log's frames on a bus.
type player struct {
	bus     canbus.Bus
	echoes  bool
	sent    int           // frames that the bus has taken
	leftOut []*leftOut    // frames that it cannot carry
	echoed  chan int      // the latest count of frames that have come back as echoes
	ended   chan struct{} // closed when read has returned; then refused and err may be read
	refused int           // frames that the bus had taken, and has not sent
	err     error         // why read returned
}

// leftOut are frames of a kind that a bus cannot carry.
type leftOut struct {
	name   string
	frames int
	why    string // of the first of them
}

// startPlayer returns a player that also reads the bus, until end is called: some buses
// hold up a sender that does not read.
func startPlayer(bus canbus.Bus) *player {
	p := &player{bus: bus, echoes: canbus.PropertiesOf(bus).Echo, echoed: make(chan int, 1), ended: make(chan struct{})}
	go p.read()
	return p
}

// end closes the bus and waits until it is no longer read.
func (p *player) end() {
	p.bus.Close()
	<-p.ended
}

func (p *player) read() {
	defer close(p.ended)
	frames := make([]canbus.Frame, 64)
	for echoes := 0; ; {
		n, err := p.bus.ReadFrames(frames)
		for i := range frames[:n] {
			if frames[i].Has(canbus.Echo) {
				echoes++
			}
			if frames[i].Has(canbus.Echo | canbus.Refused) {
				p.refused++
			}
		}
		select {
		case <-p.echoed:
		default:
		}
		p.echoed <- echoes
		if err != nil && !isPause(err) {
			p.err = err
			return
		}
	}
}

// isPause reports whether a call of a bus can be repeated after its error, and waits for a
// moment if so: the bus may need it to have room.
func isPause(err error) bool {
	if !errors.Is(err, canbus.ErrTemporary) {
		return false
	}
	time.Sleep(500 * time.Microsecond)
	return true
}

// playFrame sends the one frame, or leaves it out.
func (p *player) playFrame(frame []canbus.Frame) error {
	f := &frame[0]
	if f.Has(canbus.ErrorFrame) {
		p.leave("error", nil)
		return nil
	}
	err := p.send(frame)
	switch kind := uncommon(f); {
	case err == nil:
		return nil
	case kind != "" && !errors.Is(err, net.ErrClosed):
		p.leave(kind, err)
		return nil
	}
	return fmt.Errorf("frame %v at %s: %w", f, f.Time().UTC().Format(time.RFC3339Nano), err)
}

// uncommon names the kind of a frame that not every bus carries, "" if each does.
func uncommon(f *canbus.Frame) string {
	switch {
	case f.Has(canbus.FD):
		return "CAN FD"
	case f.Has(canbus.Remote):
		return "remote"
	}
	return ""
}

// leave counts a frame that the bus cannot carry, and keeps why for the first of its kind.
func (p *player) leave(name string, why error) {
	for _, kind := range p.leftOut {
		if kind.name == name {
			kind.frames++
			return
		}
	}
	kind := &leftOut{name: name, frames: 1}
	if why != nil {
		kind.why = ": " + why.Error()
	}
	p.leftOut = append(p.leftOut, kind)
}

func (p *player) send(frames []canbus.Frame) error {
	for len(frames) > 0 {
		n, err := p.bus.WriteFrames(frames)
		p.sent += n
		frames = frames[n:]
		if err != nil && !isPause(err) {
			return err
		}
	}
	return nil
}

// drain waits until all frames are on the wire, where the bus tells: Close throws away
// what waits in its queue, or in an adapter's.
func (p *player) drain(ctx context.Context) error {
	if p.echoes {
		if err := p.awaitEchoes(ctx); err != nil {
			return err
		}
	}
	if f, ok := canbus.As[canbus.Flusher](p.bus); ok {
		return f.Flush(ctx)
	}
	return nil
}

func (p *player) awaitEchoes(ctx context.Context) error {
	const patience = 10 * time.Second
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for echoes := 0; echoes < p.sent; {
		select {
		case echoes = <-p.echoed:
			timer.Reset(patience)
		case <-p.ended:
			return p.err
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return fmt.Errorf("%s not on the wire within %v: no other node on the bus acknowledges them", count(uint64(p.sent-echoes), "frame"), patience)
		}
	}
	return nil
}

// tell says, after end, what was sent and what was not. on is where, if there are several
// buses, as " on can0".
func (p *player) tell(w io.Writer, on string) {
	fmt.Fprintf(w, "%d frames sent%s\n", p.sent-p.refused, on)
	for _, kind := range p.leftOut {
		fmt.Fprintf(w, "%d %s frames left out%s%s\n", kind.frames, kind.name, on, kind.why)
	}
}

// failed says, after end, how many frames were refused; nil: none.
func (p *player) failed(bus string) error {
	if p.refused == 0 {
		return nil
	}
	return fmt.Errorf("%s refused by %s", count(uint64(p.refused), "frame"), bus)
}
