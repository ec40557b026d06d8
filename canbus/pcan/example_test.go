package pcan_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"

	"example.com/isotp/canbus/pcan"
	"example.com/isotp/isotpnet"
)

// The first PCAN-USB of a computer with Windows, at 500 kbit/s, and 2 Mbit/s in the data of
// CAN FD, whose frames carry messages of up to 62 bytes in one.
func Example() {
	dialer := isotpnet.Dialer{Config: isotpnet.Config{FD: true, BRS: true}}
	c, err := dialer.Dial("isotp", "pcan:USB1@500000,data=2000000/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(make([]byte, 62)); err != nil {
		log.Fatal(err)
	}
}

// Which adapters are attached, and free.
func ExampleChannels() {
	channels, err := pcan.Channels()
	if errors.Is(err, fs.ErrNotExist) {
		log.Fatal("PEAK's driver is not installed: ", err)
	}
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range channels {
		if !c.InUse {
			fmt.Printf("pcan:%s@500000  %s, CAN FD: %v\n", c.Name, c.Description, c.FD)
		}
	}
}

// The sample points of a carmaker, as PEAK's programs write them, for ISO-TP over the bus.
func ExampleOpen() {
	bus, err := pcan.Open(context.Background(), "USB1", pcan.Options{
		Timing: "f_clock=80000000,nom_brp=2,nom_tseg1=63,nom_tseg2=16,nom_sjw=16," +
			"data_brp=2,data_tseg1=15,data_tseg2=4,data_sjw=4",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	if !bus.Properties().Echo {
		log.Print("this adapter does not tell when a frame is on the wire")
	}
	dialer := isotpnet.Dialer{Bus: bus, Config: isotpnet.Config{FD: true, BRS: true}}
	conn, err := dialer.Dial("isotp", "/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
}
