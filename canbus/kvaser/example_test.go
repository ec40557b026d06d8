package kvaser_test

import (
	"fmt"
	"log"

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
