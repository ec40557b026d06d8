package udpmulticast_test

import (
	"fmt"
	"log"

	_ "example.com/isotp/canbus/udpmulticast"
	"example.com/isotp/isotpnet"
)

// Run on two computers of a network, or twice on one, with the identifiers the
// other way round there.
func Example() {
	c, err := isotpnet.Dial("isotp", "udp:239.74.163.2:43113/7E0:7E8")
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
