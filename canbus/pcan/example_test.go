package pcan_test

import (
	"fmt"
	"log"

	_ "example.com/isotp/canbus/pcan"
	"example.com/isotp/isotpnet"
)

// The first PCAN-USB of a computer with Windows, at 500 kbit/s, and 2 Mbit/s in the data of
// CAN FD.
func Example() {
	c, err := isotpnet.Dial("isotp", "pcan:USB1@500000,data=2000000/7E0:7E8")
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
