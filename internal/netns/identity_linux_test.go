package netns_test

import (
	"testing"

	"example.com/isotp/canbus"
	_ "example.com/isotp/canbus/cannelloni"
	_ "example.com/isotp/canbus/slcan"
	_ "example.com/isotp/canbus/socketcan"
	_ "example.com/isotp/canbus/socketcand"
	_ "example.com/isotp/canbus/udpmulticast"
	_ "example.com/isotp/canbus/virtual"
)

// What is reached by the network is another bus in another namespace, and nothing else is.
func TestWhichBusesAreOthersElsewhere(t *testing.T) {
	for name, other := range map[string]bool{
		"lo":                              true,
		"can0":                            true,
		"cannelloni:udp:192.168.0.2":      true,
		"udp:239.74.163.2:43113":          true,
		"udp:239.74.163.2%lo:43113@none":  true,
		"socketcand:localhost:29536/can0": true,
		"slcan:tcp:localhost:3333@500000": true,
		"slcan:/dev/ttyACM0@500000":       false,
		"virtual:demo":                    false,
	} {
		here, there := canbus.Identity(name), ""
		elsewhere(t, func() { there = canbus.Identity(name) })
		if here != canbus.Identity(name) {
			t.Errorf("%s is not always the same", name)
		}
		if (here != there) != other {
			t.Errorf("%s is %q here and %q elsewhere", name, here, there)
		}
	}
}
