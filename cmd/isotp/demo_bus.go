package main

import (
	"strconv"
	"sync/atomic"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
)

// A demoBus is a CAN bus with two nodes.
type demoBus struct {
	tester, ecu *virtual.Tap
	onWire      atomic.Int64 // nanoseconds, counted where the bus has a bit rate
}

func newDemoBus(o virtual.Options) (*demoBus, error) {
	b := new(demoBus)
	if o.Bitrate > 0 {
		next := o.Intercept
		o.Intercept = func(f *canbus.Frame) virtual.Verdict {
			b.onWire.Add(int64(canbus.WireTime(f, o.Bitrate, o.DataBitrate)))
			if next != nil {
				return next(f)
			}
			return virtual.Deliver
		}
	}
	network, err := virtual.New(o)
	if err != nil {
		return nil, err
	}
	if b.tester, err = network.Tap(); err != nil {
		return nil, err
	}
	if b.ecu, err = network.Tap(); err != nil {
		b.tester.Close()
		return nil, err
	}
	return b, nil
}

// busy is for how long frames were on the wire.
func (b *demoBus) busy() time.Duration { return time.Duration(b.onWire.Load()) }

// Close ends the bus.
func (b *demoBus) Close() {
	b.tester.Close()
	b.ecu.Close()
}

// demoTime is how long a demo may take that is asked for no size.
const demoTime = 5 * time.Second

// demoSeconds is demoTime for the help.
var demoSeconds = strconv.Itoa(int(demoTime.Seconds()))

// affordable is about how many bytes can be sent in demoTime.
func (c *demoCmd) affordable() int64 {
	full := canbus.Frame{ID: 0x7E0, Len: canbus.MaxClassicLen}
	if c.FD {
		full.Flags = canbus.FD
		full.Len = canbus.MaxLen
	}
	if c.BRS {
		full.Flags |= canbus.BRS
	}
	if c.FrameSize > 0 {
		full.Len = uint8(min(c.FrameSize, canbus.MaxLen))
	}
	for i := range full.Payload() {
		full.Data[i] = byte(i * 37) // needs stuff bits as most data do
	}
	flowControl := canbus.Frame{ID: 0x7E8, Flags: full.Flags, Len: canbus.MaxClassicLen}

	// What a Consecutive Frame costs: its time on the wire, its share of a flow
	// control, the time between frames, and what the rate limit adds.
	cost := canbus.WireTime(&full, c.Bitrate, c.DataBitrate)
	if c.BlockSize > 0 {
		cost += canbus.WireTime(&flowControl, c.Bitrate, c.DataBitrate) / time.Duration(c.BlockSize)
	}
	switch {
	case c.OverrideSTmin > 0:
		cost += c.OverrideSTmin
	case c.OverrideSTmin == 0:
		cost += max(c.STmin, 0)
	}
	if c.RateLimit > 0 {
		bits := 8 * time.Duration(full.Len)
		cost = max(cost, bits*time.Second/time.Duration(c.RateLimit))
	}
	if cost == 0 {
		return 1<<63 - 1
	}
	frames := max(int64(demoTime/cost), 1)
	return frames * int64(full.Len-1)
}
