package einride

import (
	"testing"

	"example.com/isotp/test/netns"
	"example.com/isotp/test/vm/cantest"
)

// Some tests here need multicast, and others CAN.
func TestMain(m *testing.M) {
	if !cantest.InMachine() {
		netns.Enter()
	}
	cantest.Main(m)
}
