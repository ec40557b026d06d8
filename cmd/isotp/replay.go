package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
)

type replayCmd struct {
	File      string         `arg:"" help:"The log, in any format that isotp convert reads. -: standard input."`
	Buses     []string       `arg:"" optional:"" name:"bus" help:"Name of the bus to send the frames on, as vcan0; without it the one in ISOTP_BUS. NAME=BUS: only the frames of the log's interface NAME; several such go to several buses at once. More: isotp help buses."`
	Fast      bool           `xor:"pace" help:"As fast as the bus takes them, not at the log's own pace."`
	Speed     *float64       `xor:"pace" placeholder:"N" help:"N times as fast as the log's own pace; below 1: slower."`
	Gap       *time.Duration `xor:"pace" placeholder:"TIME" help:"This time between all frames, as 10ms, whatever the log says."`
	Interface string         `placeholder:"NAME" help:"Send the frames of this interface only."`
	MaxPause  *time.Duration `placeholder:"TIME" help:"Shorten longer pauses in the log to this."`
	Loop      loopCount      `placeholder:"N" default:"1" help:"Send the log N times; 0 or forever: until interrupted (${default})."`
	Count     uint64         `placeholder:"N" help:"End after N frames."`
	Verbose   bool           `short:"v" help:"Print the frames that are sent on standard output, as candump -L does."`
}

// loopCount is how often a log is sent; 0: forever.
type loopCount uint64

// UnmarshalText takes a number, or the word forever.
func (l *loopCount) UnmarshalText(text []byte) error {
	if string(text) == "forever" {
		*l = 0
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 63)
	if err != nil {
		return fmt.Errorf("%q is not a number, nor forever", text)
	}
	*l = loopCount(n)
	return nil
}

func (*replayCmd) Help() string {
	return `
Sends the frames of a log on a bus. It leaves out, and counts, error frames, which cannot be
sent, and CAN FD and remote frames if the bus does not carry them. It ends when all frames
are on the wire, as far as the bus knows, and fails if an adapter has refused some.

	isotp replay drive.log vcan0
	isotp replay --speed 10 --interface can1 drive.log udp:239.74.163.2:43113
	isotp replay --loop forever drive.pcapng can0=vcan0 can1=vcan1

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

// Validate is called by the parser.
func (c *replayCmd) Validate() error {
	if c.File == "-" && c.Loop != 1 {
		return errors.New("--loop: standard input can be read only once")
	}
	return nil
}

// Run sends until the log ends, as often as is asked for.
func (c *replayCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.options()
	if err != nil {
		return err
	}
	r := &replay{replayCmd: c, s: s}
	if err := r.route(); err != nil {
		return err
	}
	log, err := r.open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { log.Close() }()
	defer r.end()
	if err := r.start(ctx); err != nil {
		return err
	}
	r.shown = s.progress(framesText, int64(r.Count), nil)
	defer r.shown.end()
	var lines []error // of the first loop: those of the others are the same
	for loop := loopCount(1); ; loop++ {
		err = r.play(ctx, log)
		if loop == 1 {
			lines = append(lines, log.failed())
		}
		if err != nil || loop == c.Loop || r.done() || r.played == 0 {
			break
		}
		again, openErr := r.open(ctx, o)
		if openErr != nil {
			err = openErr
			break
		}
		log.Close()
		log = again
	}
	if err == nil {
		err = r.drain(ctx)
	}
	if c.Loop == 0 && ctx.Err() != nil {
		err = nil // nothing else can end it
	}
	r.end()
	r.tell()
	return errors.Join(append(lines, interrupted(ctx, err), r.failed())...)
}

func (c *replayCmd) options() (candump.Options, error) {
	o := candump.Options{Fast: c.Fast, Interface: c.Interface}
	if c.Speed != nil {
		if o.Speed = *c.Speed; !(o.Speed > 0) {
			return o, usageErrorf("--speed %v: it must be above 0, as 0.5 or 10", o.Speed)
		}
	}
	if c.Gap != nil {
		if o.Gap = *c.Gap; o.Gap <= 0 {
			return o, usageErrorf("--gap %v: it must be above 0, as 10ms", o.Gap)
		}
	}
	if c.MaxPause != nil {
		if o.MaxPause = *c.MaxPause; o.MaxPause <= 0 {
			return o, usageErrorf("--max-pause %v: it must be above 0, as 500ms or 5s", o.MaxPause)
		}
		if c.Gap != nil {
			return o, usageErrorf("--gap and --max-pause at once: with --gap the log's pauses do not matter")
		}
	}
	return o, nil
}

// A replay is a log on its way to one or more buses.
type replay struct {
	*replayCmd
	s      *streams
	routes []*route
	played uint64 // frames that had a route
	shown  *progress
	others interfaceNames
}

// A route is where the frames of an interface go.
type route struct {
	from   string // the interface's name in the log; "": all of them
	bus    string
	player *player
	frames uint64 // that came from there
}

// route finds out what goes where.
func (r *replay) route() error {
	for _, text := range r.Buses {
		from, bus, found := strings.Cut(text, "=")
		if !found || strings.ContainsAny(from, ":/,") {
			from, bus = "", text // the = belongs to the bus's name
		}
		if bus == "" || found && from == "" && bus != text {
			return usageErrorf("%q: want BUS, or NAME=BUS with an interface's name in the log, as can0=vcan1", text)
		}
		if from == "" && len(r.Buses) > 1 {
			return usageErrorf("%s: with several buses each needs the name of an interface in the log, as can0=%s", text, text)
		}
		for _, other := range r.routes {
			if other.from == from {
				return usageErrorf("the frames of %s are to go to %s and to %s", from, other.bus, bus)
			}
		}
		r.routes = append(r.routes, &route{from: from, bus: bus})
	}
	if len(r.routes) > 0 {
		return nil
	}
	bus, err := busOr("")
	r.routes = []*route{{bus: bus}}
	return err
}

func (r *replay) open(ctx context.Context, o candump.Options) (*playedLog, error) {
	choose := "--interface %s"
	if r.routes[0].from != "" || r.played > 0 {
		choose = "" // they are told apart, or it was said before
	}
	return r.s.openLog(ctx, r.File, o, choose)
}

// start opens the buses.
func (r *replay) start(ctx context.Context) error {
	for _, to := range r.routes {
		bus, err := openBus(ctx, to.bus)
		if err != nil {
			return err
		}
		to.player = startPlayer(bus)
	}
	return nil
}

// end closes the buses that are open, and waits until they are no longer read.
func (r *replay) end() {
	for _, to := range r.routes {
		if to.player != nil {
			to.player.end()
		}
	}
}

// done reports whether as many frames were played as are asked for.
func (r *replay) done() bool { return r.Count > 0 && r.played >= r.Count }

// play sends all frames of the log that have a route and that its bus can carry.
func (r *replay) play(ctx context.Context, log *playedLog) error {
	defer closeAfter(ctx, log)()
	for _, to := range r.routes {
		defer closeAfter(ctx, to.player.bus)()
	}
	frames, names := make([]canbus.Frame, 64), make([]string, 64)
	for {
		n, err := log.ReadFramesOf(frames, names)
		for i := range frames[:n] {
			if err := r.playFrame(frames[i:i+1], names[i]); err != nil || r.done() {
				return err
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

// playFrame sends the one frame, which is of that interface.
func (r *replay) playFrame(frame []canbus.Frame, name string) error {
	for _, to := range r.routes {
		if to.from != "" && to.from != name {
			continue
		}
		to.frames++
		r.played++
		r.shown.add(1)
		sent := to.player.sent
		err := to.player.playFrame(frame)
		if r.Verbose && to.player.sent > sent {
			fmt.Fprintf(r.s.stdout, "%s\n", canbus.AppendLogLine(nil, &frame[0], to.bus))
		}
		return err
	}
	r.others.add(name)
	return nil
}

func (r *replay) drain(ctx context.Context) error {
	var list []error
	for _, to := range r.routes {
		list = append(list, to.player.drain(ctx))
	}
	return errors.Join(list...)
}

// tell says, after end, what was sent and what was not.
func (r *replay) tell() {
	for _, to := range r.routes {
		on := ""
		if len(r.routes) > 1 {
			on = " on " + to.bus
		}
		to.player.tell(r.s.stderr, on)
	}
	if len(r.others) > 0 {
		fmt.Fprintf(r.s.stderr, "frames of other interfaces left out: %v\n", r.others)
	}
}

// failed says, after end, what was refused, and which interfaces the log does not have.
func (r *replay) failed() error {
	var list []error
	for _, to := range r.routes {
		list = append(list, to.player.failed(to.bus))
		if to.from == "" || to.frames > 0 || len(r.others) == 0 {
			continue
		}
		err := errNoInterface(r.File, to.from, r.others)
		if slices.Contains(r.others, to.bus) {
			err = fmt.Errorf("%w (the log's name comes first: %s=%s)", err, to.bus, to.from)
		}
		list = append(list, err)
	}
	return errors.Join(list...)
}
