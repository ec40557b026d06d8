package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
)

type replayCmd struct {
	File      string         `arg:"" help:"The log, as candump -l writes it. -: standard input."`
	Bus       string         `arg:"" help:"Name of the bus to send the frames on, as vcan0. More: isotp help addresses."`
	Fast      bool           `xor:"pace" help:"As fast as the bus takes them, not at the log's own pace."`
	Speed     *float64       `xor:"pace" placeholder:"N" help:"N times as fast as the log's own pace; below 1: slower."`
	Interface string         `placeholder:"NAME" help:"Send the frames of this interface only."`
	MaxPause  *time.Duration `placeholder:"TIME" help:"Shorten longer pauses in the log to this."`
}

func (*replayCmd) Help() string {
	return `
Sends the frames of a log on a bus. It leaves out, and counts, error frames, which cannot be
sent, and CAN FD and remote frames if the bus does not carry them. It ends when all frames
are on the wire, as far as the bus knows, and fails if an adapter has refused some.

	isotp replay drive.log vcan0
	isotp replay --speed 10 --interface can1 drive.log udp:239.74.163.2:43113

To listen to a log, no bus is needed: candump:FILE is one.

	isotp recv --hex --listen-only candump:drive.log,fast/7E0:7E8
`
}

// Run sends until the log ends.
func (c *replayCmd) Run(ctx context.Context, s *streams) error {
	log, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer log.Close()
	bus, err := openBus(ctx, c.Bus)
	if err != nil {
		return err
	}
	defer bus.Close()
	stop := context.AfterFunc(ctx, func() {
		log.Close()
		bus.Close()
	})
	defer stop()
	p := startPlayer(bus)
	err = p.play(log)
	if err == nil {
		err = p.drain(ctx)
	}
	bus.Close()
	<-p.ended
	fmt.Fprintf(s.stderr, "%d frames sent\n", p.sent-p.refused)
	for _, kind := range p.leftOut {
		fmt.Fprintf(s.stderr, "%d %s frames left out%s\n", kind.frames, kind.name, kind.why)
	}
	var refused error
	if p.refused > 0 {
		refused = fmt.Errorf("%s refused by %s", count(uint64(p.refused), "frame"), c.Bus)
	}
	return errors.Join(interrupted(ctx, err), refused, log.failed())
}

func (c *replayCmd) open(ctx context.Context, s *streams) (*playedLog, error) {
	o := candump.Options{Fast: c.Fast, Interface: c.Interface}
	if c.Speed != nil {
		if o.Speed = *c.Speed; !(o.Speed > 0) {
			return nil, usageErrorf("--speed %v: it must be above 0, as 0.5 or 10", o.Speed)
		}
	}
	if c.MaxPause != nil {
		if o.MaxPause = *c.MaxPause; o.MaxPause <= 0 {
			return nil, usageErrorf("--max-pause %v: it must be above 0, as 500ms or 5s", o.MaxPause)
		}
	}
	return s.openLog(ctx, c.File, o, "--interface %s")
}

// A player sends a log's frames.
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
	why    string
}

// startPlayer returns a player that also reads the bus, until it is closed: some buses hold
// up a sender that does not read.
func startPlayer(bus canbus.Bus) *player {
	p := &player{bus: bus, echoes: canbus.PropertiesOf(bus).Echo, echoed: make(chan int, 1), ended: make(chan struct{})}
	go p.read()
	return p
}

func (p *player) read() {
	defer close(p.ended)
	frames := make([]canbus.Frame, 64)
	for count := 0; ; {
		n, err := p.bus.ReadFrames(frames)
		for i := range frames[:n] {
			if frames[i].Has(canbus.Echo) {
				count++
			}
			if frames[i].Has(canbus.Echo | canbus.Refused) {
				p.refused++
			}
		}
		select {
		case <-p.echoed:
		default:
		}
		p.echoed <- count
		switch {
		case err == nil:
		case errors.Is(err, canbus.ErrTemporary):
			time.Sleep(busPause)
		default:
			p.err = err
			return
		}
	}
}

// play sends all frames of the log that the bus can carry.
func (p *player) play(log canbus.Bus) error {
	frames := make([]canbus.Frame, 64)
	for {
		n, err := log.ReadFrames(frames)
		for i := range frames[:n] {
			f := &frames[i]
			if f.Has(canbus.ErrorFrame) {
				p.leave("error", nil)
				continue
			}
			err := p.send(frames[i : i+1])
			switch kind := uncommon(f); {
			case err == nil:
			case kind != "" && !errors.Is(err, net.ErrClosed):
				p.leave(kind, err)
			default:
				return fmt.Errorf("frame %v at %s: %w", f, f.Time().UTC().Format(time.RFC3339Nano), err)
			}
		}
		switch {
		case errors.Is(err, candump.ErrEnd):
			return nil
		case err != nil:
			return err
		}
	}
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

// leave counts a frame that the bus cannot carry. why is that of the first of its kind.
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
		switch {
		case err == nil:
		case errors.Is(err, canbus.ErrTemporary):
			time.Sleep(busPause) // for the bus to have room
		default:
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
	for count := 0; count < p.sent; {
		select {
		case count = <-p.echoed:
			timer.Reset(patience)
		case <-p.ended:
			return p.err
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return fmt.Errorf("%d frames have not left within %v: no other node on the bus acknowledges them", p.sent-count, patience)
		}
	}
	return nil
}

// busPause is how long to wait after a temporary error of a bus.
const busPause = 500 * time.Microsecond
