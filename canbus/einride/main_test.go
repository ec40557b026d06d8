package einride

import (
	"testing"

	"example.com/isotp/test/kernel/cantest"
	"example.com/isotp/test/netns"
)

// Some tests here need multicast, and others CAN.
func TestMain(m *testing.M) {
	if !cantest.InMachine() {
		netns.Enter()
	}
	cantest.Main(m)
}
