package isotpnet_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"example.com/isotp/isotpnet"
)

// A tester asks all ECUs with one functional request. The answers come from each ECU
// on its own, those of several frames as well.
func ExampleListenPacket() {
	// Two ECUs, members of the functional group 33.
	var ecus sync.WaitGroup
	for i, address := range []string{"virtual:car/fixed::10,func:33", "virtual:car/fixed::11,func:33"} {
		ln, err := isotpnet.Listen("isotp", address)
		if err != nil {
			log.Fatal(err)
		}
		defer ln.Close()
		ecus.Go(func() {
			c, err := ln.Accept() // a connection with the tester that has asked
			if err != nil {
				return
			}
			defer c.Close()
			c.Read(make([]byte, 8))
			time.Sleep(time.Duration(i) * time.Millisecond)
			fmt.Fprintf(c, "I am %v", c.RemoteAddr().(isotpnet.Addr).Mirror())
		})
	}

	tester, err := isotpnet.ListenPacket("isotp", "virtual:car/fixed::F1")
	if err != nil {
		log.Fatal(err)
	}
	defer tester.Close()
	if _, err := tester.WriteTo([]byte{0x3E, 0x00}, isotpnet.MustParseAddr("virtual:car/func:33:F1")); err != nil {
		log.Fatal(err)
	}
	buf := make([]byte, 4095)
	for range 2 {
		n, ecu, err := tester.ReadFrom(buf)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%v: %s\n", ecu, buf[:n])
	}
	ecus.Wait()
	// Unordered output:
	// virtual:car/fixed:10:F1: I am virtual:car/fixed:10:F1
	// virtual:car/fixed:11:F1: I am virtual:car/fixed:11:F1
}

// An answer that comes after its time-out must not be taken for the next one.
func ExampleConn_Drain() {
	tester, ecu, err := isotpnet.Pipe(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()
	defer tester.Close()
	tester.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := tester.Read(make([]byte, 8)); errors.Is(err, os.ErrDeadlineExceeded) {
		fmt.Println("no answer in time")
	}
	ecu.Write([]byte("late"))

	tester.SetReadDeadline(time.Now().Add(time.Minute))
	tester.AwaitMessage() // in an example it must have come
	n, _ := tester.Drain()
	fmt.Println("thrown away:", n)
	ecu.Write([]byte("in time"))
	buf := make([]byte, 8)
	k, err := tester.Read(buf)
	fmt.Println(string(buf[:k]), err)
	// Output:
	// no answer in time
	// thrown away: 1
	// in time <nil>
}
