package pcan_test

import (
	"slices"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/pcan"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/conntest"
	"example.com/isotp/test/fakes/fake"
)

// These tests are over test/fakes, which was written without a look at this driver.

const dll = "PCANBasic.dll"

func TestOverTheFakeOfPCANBasic(t *testing.T) {
	fake.Run(t, fake.Driver{
		File:         dll,
		Channels:     [2]int{0x51, 0x52},
		Names:        [2]string{"pcan:USB1", "pcan:USB2"},
		ReceiveQueue: 32767,
	})
}

func TestChannelsOfTheFakeOfPCANBasic(t *testing.T) {
	for name, old := range map[string]int{"New": 0, "Old": 1} {
		t.Run(name, func(t *testing.T) {
			fake.Open(t, dll).Do("fake_old", old)
			bus, err := canbus.Open(t.Context(), "pcan:USB2@500000")
			if err != nil {
				t.Fatal(err)
			}
			defer bus.Close()
			got, err := pcan.Channels()
			if err != nil {
				t.Fatal(err)
			}
			want := []pcan.Channel{
				{Name: "USB1", Description: "PCAN-USB Pro FD, device 17, controller 0", FD: true},
				{Name: "USB2", Description: "PCAN-USB Pro FD, device 17, controller 1", FD: true, InUse: true},
				{Name: "USB3", Description: "PCAN-USB, device 18, controller 0"},
				{Name: "USB4", Description: "PCAN-USB, device 19, controller 0"},
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
}

// An old library has no echoes: frames count as sent once there was time for them.
func TestConnectionsOverAnOldPCANBasic(t *testing.T) {
	l := fake.Open(t, dll)
	l.Do("fake_old", 1)
	l.Do("fake_real_time", 1)
	var buses [2]canbus.Bus
	for i, name := range []string{"pcan:USB1@500000", "pcan:USB2@500000"} {
		bus, err := canbus.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		defer bus.Close()
		if canbus.PropertiesOf(bus).Echo {
			t.Error("the bus says that it has echoes")
		}
		buses[i] = bus
	}
	c1, c2, stop, err := conntest.Dial(func() (a, b canbus.Bus, stop func(), err error) {
		return buses[0], buses[1], nil, nil
	}, isotpnet.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	conntest.Exchange(t, c1, c2)
}
