package candump_test

import (
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
)

const twoInterfaces = `(1700000000.000000) can0 100#01
(1700000000.010000) can1 7E0#021003
(1700000000.020000) can1 7E8#06500300xx
(3600000000.030000) can1 7E8#065003003201F4
`

// A log is played from memory, without waiting: the frames of one of its interfaces.
func ExampleBus() {
	bus, err := candump.New(strings.NewReader(twoInterfaces), "drive.log", candump.Options{Fast: true, Interface: "can1"})
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	frames := make([]canbus.Frame, 16)
	for {
		n, err := bus.ReadFrames(frames)
		for _, f := range frames[:n] {
			fmt.Println(f)
		}
		if errors.Is(err, canbus.ErrTemporary) {
			continue // a line that is no frame
		}
		if err != nil {
			fmt.Println(err == candump.ErrEnd, bus.Interfaces(), bus.Malformed())
			break
		}
	}
	// Output:
	// 7E0#021003
	// 7E8#065003003201F4
	// true [can0 can1] 1
}

// Ten times as fast as it was recorded, and no longer pause than a minute of the log's time.
func ExampleOptions() {
	bus, err := candump.New(strings.NewReader(twoInterfaces), "drive.log", candump.Options{
		Speed:    10,
		MaxPause: time.Minute,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	start := time.Now()
	var frame [1]canbus.Frame
	for range 2 {
		if _, err := bus.ReadFrames(frame[:]); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("1 ms after the first:", frame[0], time.Since(start) >= time.Millisecond)
	// Output: 1 ms after the first: 7E0#021003 true
}

// What a log has lost by a crash, or in an editor, is told where it is, and reading goes on.
func ExampleLineError() {
	bus, err := candump.New(strings.NewReader(twoInterfaces), "drive.log", candump.Options{Fast: true})
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	for read := 0; ; {
		n, err := bus.ReadFrames(make([]canbus.Frame, 16))
		read += n
		if bad, ok := errors.AsType[*candump.LineError](err); ok {
			fmt.Printf("%s:%d: %s\n", bad.File, bad.Line, bad.Text)
		} else if err != nil {
			fmt.Println(read, "frames are good")
			break
		}
	}
	// Output:
	// drive.log:3: (1700000000.020000) can1 7E8#06500300xx
	// 3 frames are good
}

// A name that the log does not have: the error says which it has.
func ExampleInterfaceError() {
	bus, err := candump.New(strings.NewReader(twoInterfaces), "drive.log", candump.Options{Fast: true, Interface: "vcan0"})
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	for {
		_, err := bus.ReadFrames(make([]canbus.Frame, 16))
		if wrong, ok := errors.AsType[*candump.InterfaceError](err); ok {
			fmt.Printf("no frames of %s, but of %s\n", wrong.Interface, strings.Join(wrong.There, " and "))
		}
		if err != nil && !errors.Is(err, canbus.ErrTemporary) {
			break
		}
	}
	// Output: no frames of vcan0, but of can0 and can1
}
