package socketcan_test

import (
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/canbus/socketcan"
	"example.com/isotp/test/vm/cantest"
)

func TestBusConforms(t *testing.T) {
	cantest.Need(t)
	for _, mtu := range []struct {
		name  string
		bytes int
	}{{"Classic", 16}, {"FD", 72}} {
		t.Run(mtu.name, func(t *testing.T) {
			name := fresh(t)
			must(t, cantest.SetLink(name, false))
			must(t, cantest.SetMTU(name, mtu.bytes))
			must(t, cantest.SetLink(name, true))
			bustest.TestBus(t, func() (a, b canbus.Bus, stop func(), err error) {
				if a, err = socketcan.Open(name); err != nil {
					return nil, nil, nil, err
				}
				b, err = socketcan.Open(name)
				return a, b, nil, err
			}, bustest.Options{Lossy: true})
		})
	}
}
