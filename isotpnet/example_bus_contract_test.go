package isotpnet_test

import (
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
)

// Readers copy the bus of the example.
func TestBusOfTheExampleKeepsTheContract(t *testing.T) {
	bustest.TestBus(t, func() (a, b canbus.Bus, stop func(), err error) {
		a, b = newChanBus()
		return a, b, nil, nil
	}, bustest.Options{})
}
