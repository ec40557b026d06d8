package kvaser_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/kvaser"
	"example.com/isotp/isotpnet"
)

// The first channel that does CAN FD and is no virtual one.
func Example() {
	channels, err := kvaser.Channels()
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range channels {
		if !c.FD || c.Virtual {
			continue
		}
		fmt.Println("using", c.Description)
		conn, err := isotpnet.Dial("isotp", "kvaser:"+c.Name+"@500000,data=2000000/7E0:7E8")
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close()
		return
	}
}

// What an ECU says to a tester, heard without a trace on the bus: the channel does not even
// acknowledge frames. Another program may have it open at the same bit rate.
func ExampleOpen() {
	bus, err := kvaser.Open(context.Background(), 0, kvaser.Options{Bitrate: 500_000, ListenOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	dialer := isotpnet.Dialer{Bus: bus, Config: isotpnet.Config{ListenOnly: true}}
	ear, err := dialer.Dial("isotp", "/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer ear.Close()
	message := make([]byte, 4095)
	for {
		n, err := ear.Read(message)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("% X\n", message[:n])
	}
}

// Why CANlib did not open a channel, by the number of its error.
func ExampleError() {
	_, err := kvaser.Open(context.Background(), 7, kvaser.Options{Bitrate: 500_000})
	const canERR_NOTFOUND = -3
	if e, ok := errors.AsType[*kvaser.Error](err); ok && e.Code == canERR_NOTFOUND {
		fmt.Println("there is no channel 7: see Channels")
		return
	}
	fmt.Println(err) // it says what can be done
}

// A program that writes frames itself waits until there is room, and says why there was none.
func ExampleFullError() {
	bus, err := kvaser.Open(context.Background(), 0, kvaser.Options{Bitrate: 500_000})
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	frames := make([]canbus.Frame, 1000)
	for len(frames) > 0 {
		n, err := bus.WriteFrames(frames)
		frames = frames[n:]
		if full, ok := errors.AsType[*kvaser.FullError](err); ok {
			log.Printf("%s, off the bus: %v", full.Channel, full.BusOff)
			time.Sleep(10 * time.Millisecond)
		} else if err != nil {
			log.Fatal(err)
		}
	}
}
