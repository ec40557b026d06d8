package kvaser_test

import (
	"slices"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/kvaser"
	"example.com/isotp/test/fakes/fake"
)

// These tests are over test/fakes, which was written without a look at this driver.

func TestOverTheFakeOfCANlib(t *testing.T) {
	fake.Run(t, fake.Driver{
		File:         "canlib32.dll",
		Channels:     [2]int{0, 1},
		Names:        [2]string{"kvaser:0", "kvaser:1"},
		ReceiveQueue: 4096,
	})
}

func TestChannelsOfTheFakeOfCANlib(t *testing.T) {
	fake.Open(t, "canlib32.dll")
	bus, err := canbus.Open(t.Context(), "kvaser:1@500000")
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	got, err := kvaser.Channels()
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		t.Logf("%+v", got[i])
		got[i].Description = ""
	}
	const product = "73-30130-00875-2"
	want := []kvaser.Channel{
		{Name: "0", Product: product, FD: true},
		{Name: "1", Product: product, FD: true, InUse: true},
		{Name: "2", Product: product},
		{Name: "3", Product: product, FD: true, Virtual: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}
