package isotpnet_test

import (
	"context"
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
	for _, address := range []string{"virtual:car/fixed::10,func:33", "virtual:car/fixed::11,func:33"} {
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

// An ECU that answers any tester, and keeps no connection for it.
func ExamplePacketConn() {
	var lc isotpnet.ListenConfig
	ecu, err := lc.ListenPacketAddr(context.Background(), "isotp", isotpnet.MustParseAddr("virtual:server/fixed::10"))
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()
	go func() {
		buf := make([]byte, 4095)
		for {
			request, info, tester, err := ecu.ReadMessageFrom(buf) // a longer one is in a new slice
			if isotpnet.Final(err) {
				return
			}
			if err == nil && !info.Functional {
				ecu.WriteTo(append([]byte{request[0] + 0x40}, request[1:]...), tester)
			}
		}
	}()

	for _, address := range []string{"virtual:server/fixed:10:F1", "virtual:server/fixed:10:F2"} {
		tester, err := isotpnet.Dial("isotp", address)
		if err != nil {
			log.Fatal(err)
		}
		defer tester.Close()
		tester.Write([]byte{0x3E, 0x00})
		answer := make([]byte, 8)
		n, err := tester.Read(answer)
		fmt.Printf("%v: % X %v\n", tester.LocalAddr(), answer[:n], err)
	}
	// Output:
	// virtual:server/fixed:F1:10: 7E 00 <nil>
	// virtual:server/fixed:F2:10: 7E 00 <nil>
}

// A node keeps something for two peers at a time, and has three.
func ExamplePacketConn_Stats() {
	lc := isotpnet.ListenConfig{MaxPeers: 2}
	node, err := lc.ListenPacketAddr(context.Background(), "isotp", isotpnet.MustParseAddr("virtual:peers/fixed::10"))
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	for source := range byte(3) {
		peer, err := isotpnet.Dial("isotp", fmt.Sprintf("virtual:peers/fixed:10:%02X", 0xF1+source))
		if err != nil {
			log.Fatal(err)
		}
		defer peer.Close()
		peer.Write([]byte("hello"))
		if _, _, err := node.ReadFrom(make([]byte, 8)); err != nil {
			log.Fatal(err)
		}
	}
	stats := node.Stats()
	fmt.Println(stats.MessagesReceived, "messages")
	fmt.Println(stats.PeersMade, "peers, of which it knows", stats.Peers, "now")
	// Output:
	// 3 messages
	// 3 peers, of which it knows 2 now
}

// A message that is longer than the buffer of ReadFrom is lost in part, as a datagram is. Its
// sender can be asked for it again.
func ExampleShortBufferError() {
	node, err := isotpnet.ListenPacket("isotp", "virtual:short/fixed::F1")
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	peer, err := isotpnet.Dial("isotp", "virtual:short/fixed:F1:10")
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	go peer.Write([]byte("a message of 24 bytes..."))

	buf := make([]byte, 16)
	n, from, err := node.ReadFrom(buf)
	if short, ok := errors.AsType[*isotpnet.ShortBufferError](err); ok {
		fmt.Printf("%q of %v, with a buffer of %d it is whole\n", buf[:n], from, short.Size)
	}
	// Output: "a message of 24 " of virtual:short/fixed:10:F1, with a buffer of 24 it is whole
}
