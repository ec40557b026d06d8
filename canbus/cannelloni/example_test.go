package cannelloni_test

import (
	"fmt"
	"log"

	_ "example.com/isotp/canbus/cannelloni"
	"example.com/isotp/isotpnet"
)

// An ECU on the bus of a Raspberry Pi, on which runs
//
//	cannelloni -I can0 -R 192.168.0.3 -t 1000
//
// if 192.168.0.3 is this computer.
func Example() {
	c, err := isotpnet.Dial("isotp", "cannelloni:udp:192.168.0.2:20000@500000/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "\x22\xF1\x90")
	answer := make([]byte, 4095)
	n, err := c.Read(answer)
	fmt.Printf("% X %v\n", answer[:n], err)
}
