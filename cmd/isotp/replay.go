package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
)

type replayCmd struct {
	File      string        `arg:"" help:"A log, as candump -l writes it. -: standard input."`
	Bus       string        `arg:"" help:"Name of the bus to send the frames on, as vcan0."`
	Fast      bool          `xor:"pace" help:"As fast as the bus takes them, not at the log's own pace."`
	Speed     float64       `xor:"pace" placeholder:"N" help:"So many times as fast as the log's own pace; below 1: slower."`
	Interface string        `placeholder:"NAME" help:"The frames of this interface only."`
	MaxPause  time.Duration `placeholder:"TIME" help:"Make longer pauses in the log as short as this."`
}

func (*replayCmd) Help() string {
	return `
Sends the frames of a log on a bus. Error frames, which cannot be sent, are left out.

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
		return &usageError{err}
	}
	defer log.Close()
	bus, err := canbus.Open(c.Bus)
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
	err = p.play(log, func(err error) { warn(s, err) })
	if err == nil {
		err = p.drain(ctx)
	}
	bus.Close()
	<-p.ended
	fmt.Fprintf(s.stderr, "%d frames sent\n", p.sent)
	if p.leftOut > 0 {
		fmt.Fprintf(s.stderr, "%d error frames left out\n", p.leftOut)
	}
	if n := log.Malformed(); err == nil && n > 0 {
		err = fmt.Errorf("%d lines of %s were no frames", n, c.File)
	}
	return interrupted(ctx, err)
}

func (c *replayCmd) open(ctx context.Context, s *streams) (*candump.Bus, error) {
	o := candump.Options{Fast: c.Fast, Speed: c.Speed, Interface: c.Interface, MaxPause: c.MaxPause}
	if c.File == "-" {
		return candump.New(s.input(ctx), "standard input", o)
	}
	return candump.Open(c.File, o)
}

// A player sends a log's frames.
type player struct {
	bus           canbus.Bus
	echoes        bool
	sent, leftOut int
	echoed        chan int      // how many frames have come back, again and again
	ended         chan struct{} // the reader has, with err
	err           error
}

// startPlayer also reads the bus: some are held up by who does not.
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

// play sends all frames of the log. bad is told of lines that are none.
func (p *player) play(log canbus.Bus, bad func(error)) error {
	frames := make([]canbus.Frame, 64)
	for {
		n, err := log.ReadFrames(frames)
		for i := range frames[:n] {
			if frames[i].Has(canbus.ErrorFrame) {
				p.leftOut++
				continue
			}
			if err := p.send(frames[i : i+1]); err != nil {
				return fmt.Errorf("frame %v at %s: %w", frames[i], frames[i].Time().UTC().Format(time.RFC3339Nano), err)
			}
		}
		switch {
		case errors.Is(err, candump.ErrEnd):
			return nil
		case err != nil && errors.Is(err, canbus.ErrTemporary):
			bad(err)
		case err != nil:
			return err
		}
	}
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

// drain waits until all is on the wire, where the bus tells: what waits in its queue
// is gone with Close.
func (p *player) drain(ctx context.Context) error {
	if !p.echoes {
		return nil
	}
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
			return fmt.Errorf("%d frames have not left within %v: nobody acknowledges them", p.sent-count, patience)
		}
	}
	return nil
}

// busPause is how long to wait after a temporary error of a bus.
const busPause = 500 * time.Microsecond
