package main

import (
	"context"
	"errors"
	"time"

	"example.com/isotp/canbus/candump"
)

type replayCmd struct {
	File      string         `arg:"" help:"The log, as candump -l writes it. -: standard input."`
	Bus       string         `arg:"" optional:"" help:"Name of the bus to send the frames on, as vcan0; without it the one in ISOTP_BUS. More: isotp help buses."`
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

// Examples implements exampler.
func (*replayCmd) Examples() []string {
	return []string{
		"echo '(0.0) can0 7E0#0322F190' | isotp replay - virtual:demo",
		"echo '(0.0) can0 7E0#0322F190' | isotp replay --fast --interface can0 - udp:239.74.163.2:43113",
	}
}

// Run sends until the log ends.
func (c *replayCmd) Run(ctx context.Context, s *streams) error {
	var err error
	if c.Bus, err = busOr(c.Bus); err != nil {
		return err
	}
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
	defer closeAfter(ctx, log)()
	defer closeAfter(ctx, bus)()
	p := startPlayer(bus)
	err = p.play(log)
	if err == nil {
		err = p.drain(ctx)
	}
	p.end()
	p.tell(s.stderr)
	return errors.Join(interrupted(ctx, err), p.failed(c.Bus), log.failed())
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
