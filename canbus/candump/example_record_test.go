package candump_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"syscall"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
	"example.com/isotp/canbus/virtual"
)

// Frames from anywhere become a log, here on standard output.
func ExampleRecorder() {
	recorder, err := candump.NewRecorder(os.Stdout, candump.RecorderOptions{})
	if err != nil {
		log.Fatal(err)
	}
	frames := []canbus.Frame{
		{ID: 0x7E0, Len: 2, Data: [64]byte{0x01, 0x3E}, Flags: canbus.Echo}, // ours
		{ID: 0x7E8, Len: 2, Data: [64]byte{0x01, 0x7E}},
	}
	for i := range frames {
		frames[i].Stamp(1_700_000_000e9 + int64(i)*1e6) // else they have the time of now
	}
	recorder.Record(frames, "can0")
	if err := recorder.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// (1700000000.000000) can0 7E0#013E T
	// (1700000000.001000) can0 7E8#017E
}

// A fullDisk has no room for anything.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// The disk is full, and still is at the end.
func ExampleLostError() {
	recorder, err := candump.NewRecorder(fullDisk{}, candump.RecorderOptions{
		OnError: func(err error) { log.Print(err) }, // the first time, and each second
	})
	if err != nil {
		log.Fatal(err)
	}
	recorder.Record(make([]canbus.Frame, 3), "can0")

	err = recorder.Close()
	if lost, ok := errors.AsType[*candump.LostError](err); ok {
		fmt.Println(lost.Frames, "frames are not in the log; full:", errors.Is(lost.Err, syscall.ENOSPC))
	}
	// Output: 3 frames are not in the log; full: true
}

// Whether the log has all frames, for a line of status: a frame of 9 bytes is none of classic
// CAN.
func ExampleRecorder_Stats() {
	recorder, err := candump.NewRecorder(io.Discard, candump.RecorderOptions{})
	if err != nil {
		log.Fatal(err)
	}
	recorder.Record([]canbus.Frame{{ID: 0x7E0, Len: 8}, {ID: 0x7E0, Len: 9}}, "can0")
	recorder.Close() // nothing waits any longer
	stats := recorder.Stats()
	fmt.Printf("recorded %d, waiting %d, lost %d, dropped by the bus %d\n",
		stats.Recorded, stats.Waiting, stats.Lost, stats.Dropped)
	// Output: recorded 1, waiting 0, lost 1, dropped by the bus 0
}

// A bus had no room for frames, because the recorder came to it late.
func ExampleDroppedError() {
	network, err := virtual.New(virtual.Options{BufferLen: 4, HangUp: true})
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	bus, err := network.Observe()
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	sender, err := network.Tap()
	if err != nil {
		log.Fatal(err)
	}
	sender.WriteFrames(make([]canbus.Frame, 6))
	sender.Close()

	recorder, err := candump.NewRecorder(io.Discard, candump.RecorderOptions{
		OnError: func(err error) {
			if dropped, ok := errors.AsType[*candump.DroppedError](err); ok {
				fmt.Println(dropped.Frames, "frames of", dropped.Bus, "were not read in time")
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := recorder.Listen(bus, "can0"); err != io.EOF {
		log.Fatal(err)
	}
	recorder.Close()
	fmt.Println("recorded:", recorder.Stats().Recorded)
	// Output:
	// 2 frames of can0 were not read in time
	// recorded: 4
}
