package slcan_test

import (
	"fmt"
	"log"

	_ "example.com/isotp/canbus/slcan"
	"example.com/isotp/isotpnet"
)

// An adapter at 500 kbit/s; on Windows its name is slcan:COM3@500000 or the like.
func Example() {
	c, err := isotpnet.Dial("isotp", "slcan:/dev/ttyACM0@500000/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte{0x22, 0xF1, 0x90}); err != nil {
		log.Fatal(err)
	}
	answer := make([]byte, 4095)
	n, err := c.Read(answer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%X\n", answer[:n])
}
