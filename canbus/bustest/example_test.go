package bustest_test

import (
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/canbus/virtual"
)

// The test of a driver, which would be TestBus in its bus_test.go. Each of its parts gets a new
// wire with two buses on it.
func ExampleTestBus() {
	var onWire bustest.MakePair = func() (a, b canbus.Bus, stop func(), err error) {
		network, err := virtual.New(virtual.Options{Bitrate: 1_000_000})
		if err != nil {
			return nil, nil, nil, err
		}
		if a, err = network.Tap(); err != nil {
			return nil, nil, nil, err
		}
		if b, err = network.Tap(); err != nil {
			return nil, nil, nil, err
		}
		return a, b, func() { network.Close() }, nil
	}
	_ = func(t *testing.T) { // func TestBus
		bustest.TestBus(t, onWire, bustest.Options{}) // the driver can do everything
	}
}
