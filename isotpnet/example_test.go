package isotpnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"syscall"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// startECU answers each request that comes on an address by what respond makes
// of it, until stop is called. In a car the ECUs are there already.
func startECU(address string, respond func(request []byte) []byte) (stop func()) {
	ecu, err := isotpnet.Dial("isotp", address)
	if err != nil {
		log.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 4095)
		for {
			n, err := ecu.Read(buf)
			if err != nil {
				return
			}
			if _, err := ecu.Write(respond(buf[:n])); err != nil {
				return
			}
		}
	})
	return func() {
		ecu.Close()
		wg.Wait()
	}
}

// readFrames reads that many frames from a bus.
func readFrames(bus canbus.Bus, n int) []canbus.Frame {
	frames := make([]canbus.Frame, n)
	for got := 0; got < n; {
		k, err := bus.ReadFrames(frames[got:])
		if err != nil {
			log.Fatal(err)
		}
		got += k
	}
	return frames
}

// A tester asks an ECU for its vehicle identification number (the UDS service
// 22, identifier F190). On a Linux computer the address would be can0/7E0:7E8.
func ExampleDial() {
	stop := startECU("virtual:dial/7E8:7E0", func(request []byte) []byte {
		return append([]byte{0x62, 0xF1, 0x90}, "WVWZZZ1JZ3W386752"...)
	})
	defer stop()

	conn, err := isotpnet.Dial("isotp", "virtual:dial/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	// One Write is one message; the answer, longer than a CAN frame, is one too.
	if _, err := conn.Write([]byte{0x22, 0xF1, 0x90}); err != nil {
		log.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	answer := make([]byte, 4095)
	n, err := conn.Read(answer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d bytes: % X %s\n", n, answer[:3], answer[3:n])
	// Output:
	// 20 bytes: 62 F1 90 WVWZZZ1JZ3W386752
}

// An ECU hears requests on 7E0 and answers on 7E8. The first request makes the
// connection, which then is there for all the others too.
func ExampleListen() {
	ln, err := isotpnet.Listen("isotp", "virtual:listen/7E8:7E0")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	var ecu sync.WaitGroup
	ecu.Go(func() {
		conn, err := ln.Accept()
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close()
		buf := make([]byte, 4095)
		for range 2 {
			n, err := conn.Read(buf)
			if err != nil {
				log.Fatal(err)
			}
			buf[0] += 0x40 // a positive answer in UDS
			if _, err := conn.Write(buf[:n]); err != nil {
				log.Fatal(err)
			}
		}
	})

	tester, err := isotpnet.Dial("isotp", "virtual:listen/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer tester.Close()
	buf := make([]byte, 4095)
	for _, request := range [][]byte{{0x3E, 0x00}, {0x10, 0x03}} {
		if _, err := tester.Write(request); err != nil {
			log.Fatal(err)
		}
		n, err := tester.Read(buf)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("% X -> % X\n", request, buf[:n])
	}
	ecu.Wait()
	// Output:
	// 3E 00 -> 7E 00
	// 10 03 -> 50 03
}

// For tests of code that takes a net.Conn. Unlike connections on a real bus, the
// two ends of a Pipe learn of each other's Close.
func ExamplePipe() {
	tester, ecu, err := isotpnet.Pipe(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()
	go func() {
		fmt.Fprint(tester, "this message takes more than one frame")
		fmt.Fprint(tester, "this too, but it is another message")
		tester.Close()
	}()

	buf := make([]byte, 4095)
	for {
		n, err := ecu.Read(buf)
		if err == io.EOF {
			fmt.Println("the end")
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", buf[:n])
	}
	// Output:
	// this message takes more than one frame
	// this too, but it is another message
	// the end
}

func ExampleDialer() {
	stop := startECU("virtual:dialer/fixed:F1:10", func(request []byte) []byte {
		return []byte{0x50, 0x03, 0x00, 0x32, 0x01, 0xF4}
	})
	defer stop()

	dialer := &isotpnet.Dialer{
		Timeout: 5 * time.Second, // for opening the bus
		Config: isotpnet.Config{
			FlowControlTimeout: 500 * time.Millisecond,
			MaxMessageSize:     4095,
		},
	}
	addr, err := isotpnet.FixedAddr("virtual:dialer", isotpnet.Fixed{Target: 0x10, Source: 0xF1})
	if err != nil {
		log.Fatal(err)
	}
	// DialAddr returns a *Conn, Dial and DialContext a net.Conn that is one.
	conn, err := dialer.DialAddr(context.Background(), "isotp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Println("to", conn.RemoteAddr())
	fmt.Println("as", conn.LocalAddr())

	conn.Write([]byte{0x10, 0x03})
	answer := make([]byte, 64)
	n, info, err := conn.ReadMessage(answer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("% X, functional: %v\n", answer[:n], info.Functional)
	// Output:
	// to virtual:dialer/fixed:10:F1
	// as virtual:dialer/fixed:F1:10
	// 50 03 00 32 01 F4, functional: false
}

// Any number of connections share a bus. They take no frames from each other, nor from
// other readers of the bus. Only one connection may answer on a pair of addresses.
func ExampleDialer_sharedBus() {
	logger, err := canbus.Open(context.Background(), "virtual:shared")
	if err != nil {
		log.Fatal(err)
	}
	defer logger.Close()
	var engine, gearbox net.Conn
	for _, c := range []struct {
		conn    *net.Conn
		address string
	}{
		{&engine, "virtual:shared/7E0:7E8"},
		{&gearbox, "virtual:shared/7E1:7E9"},
	} {
		conn, err := isotpnet.Dial("isotp", c.address)
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close()
		*c.conn = conn
	}
	_, err = isotpnet.Dial("isotp", "virtual:shared/7E1:7E9")
	fmt.Println("a second time:", errors.Is(err, syscall.EADDRINUSE))

	engine.Write([]byte{0x3E, 0x00})
	gearbox.Write([]byte{0x3E, 0x80})
	for _, f := range readFrames(logger, 2) {
		fmt.Println(f)
	}
	// Output:
	// a second time: true
	// 7E0#023E00CCCCCCCCCC
	// 7E1#023E80CCCCCCCCCC
}
