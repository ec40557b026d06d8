package isotpnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// An ECU for any tester: each has a connection of its own, which its first message makes.
func ExampleListener() {
	var lc isotpnet.ListenConfig
	ln, err := lc.ListenAddr(context.Background(), "isotp", isotpnet.MustParseAddr("virtual:testers/fixed::10"))
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	for _, address := range []string{"virtual:testers/fixed:10:F1", "virtual:testers/fixed:10:F2"} {
		tester, err := isotpnet.Dial("isotp", address)
		if err != nil {
			log.Fatal(err)
		}
		defer tester.Close()
		io.WriteString(tester, "hello")
	}

	for range 2 {
		conn, err := ln.AcceptConn() // Accept returns it as a net.Conn
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close()
		buf := make([]byte, 4095)
		n, err := conn.Read(buf)
		fmt.Printf("%v: %s %v\n", conn.RemoteAddr(), buf[:n], err)
	}
	ln.SetDeadline(time.Now())
	_, err = ln.Accept()
	fmt.Println("no other tester until now:", errors.Is(err, os.ErrDeadlineExceeded))
	// Output:
	// virtual:testers/fixed:F1:10: hello <nil>
	// virtual:testers/fixed:F2:10: hello <nil>
	// no other tester until now: true
}

// A tester was in the middle of a message when this ECU came to the bus.
func ExampleListener_Stats() {
	var lc isotpnet.ListenConfig
	ln, err := lc.ListenAddr(context.Background(), "isotp", isotpnet.MustParseAddr("virtual:middle/7E8:7E0"))
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	tester, err := canbus.Open(context.Background(), "virtual:middle")
	if err != nil {
		log.Fatal(err)
	}
	defer tester.Close()
	writeFrames(tester, mustParseFrames("7E0#2141414141414141", "7E0#22414141", "7E0#023E00")...)

	conn, err := ln.AcceptConn()
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	stats := ln.Stats()
	fmt.Println("connections:", stats.Made, "frames of no message:", stats.Stray)
	// Output: connections: 1 frames of no message: 2
}

// A service of an ECU for any tester, over streams: a tester has as many connections as it
// likes.
func ExampleStreamListener() {
	var lc isotpnet.ListenConfig
	ln, err := lc.ListenStream(context.Background(), "isotp-stream", isotpnet.MustParseAddr("virtual:service/fixed::10"))
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.AcceptStream() // Accept returns it as a net.Conn
			if err != nil {
				return
			}
			fmt.Fprintf(conn, "welcome, %v", conn.RemoteAddr())
			conn.CloseWrite() // all is said; the tester may still speak
		}
	}()

	for range 2 {
		tester, err := isotpnet.Dial("isotp-stream", "virtual:service/fixed:10:F1")
		if err != nil {
			log.Fatal(err)
		}
		defer tester.Close()
		text, err := io.ReadAll(tester)
		fmt.Printf("%s %v\n", text, err)
	}
	// Output:
	// welcome, virtual:service/fixed:F1:10 <nil>
	// welcome, virtual:service/fixed:F1:10 <nil>
}
