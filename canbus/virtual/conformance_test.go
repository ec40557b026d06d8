package virtual_test

import (
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/canbus/virtual"
)

func TestBusesConform(t *testing.T) {
	for name, o := range map[string]virtual.Options{
		"Ideal":   {},
		"Classic": {Classic: true},
		"Echo":    {Echo: true},
		"Tight":   {BufferLen: 1},
		"Wire":    {Bitrate: 1_000_000, DataBitrate: 8_000_000},
		"Queue1":  {Bitrate: 8_000_000, QueueLen: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var options bustest.Options
			if o.Bitrate > 0 {
				options.Report = func(a canbus.Bus) error { return a.(*virtual.Tap).BusOff(time.Millisecond) }
			}
			bustest.TestBus(t, func() (a, b canbus.Bus, stop func(), err error) {
				n, err := virtual.New(o)
				if err != nil {
					return nil, nil, nil, err
				}
				if a, err = n.Tap(); err != nil {
					return nil, nil, nil, err
				}
				b, err = n.Tap()
				return a, b, func() { n.Close() }, err
			}, options)
		})
	}
}
