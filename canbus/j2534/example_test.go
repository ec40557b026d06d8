package j2534_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"example.com/isotp/canbus/j2534"
	"example.com/isotp/isotpnet"
)

// The first pass-thru adapter that this program can open.
func Example() {
	adapters, err := j2534.Adapters()
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range adapters {
		if why := a.Obstacle(); why != "" {
			fmt.Println("not", a.Name+":", why)
			continue
		}
		c, err := isotpnet.Dial("isotp", "j2534:"+a.Name+"@500000/7E0:7E8")
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		return
	}
}

// What a report to the project should have in it.
func ExampleBus_Version() {
	bus, err := j2534.Open(context.Background(), "openport", j2534.Options{Bitrate: 500_000})
	if e, ok := errors.AsType[*j2534.Error](err); ok {
		log.Fatalf("%s has answered with code %#x: %s", e.Call, e.Code, e.Text)
	}
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	v := bus.Version()
	fmt.Println("firmware", v.Firmware, "library", v.Library, "API", v.API)
}
