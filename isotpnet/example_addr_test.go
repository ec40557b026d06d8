package isotpnet_test

import (
	"context"
	"fmt"
	"log"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// The addressing modes of ISO 15765-2, by constructor. What they return can be
// written as text too, which is shown.
func ExampleAddr() {
	const bus = "can0"
	type (
		side  = isotpnet.Side
		fixed = isotpnet.Fixed
	)
	show := func(mode string, a isotpnet.Addr, err error) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%-17s %-10v %v\n", mode, a.Kind(), a)
	}
	a, err := isotpnet.PairAddr(bus, side{ID: 0x456}, side{ID: 0x123})
	show("normal, 11 bit", a, err)
	a, err = isotpnet.PairAddr(bus, side{ID: 0x789ABC, Extended: true}, side{ID: 0x123456, Extended: true})
	show("normal, 29 bit", a, err)
	a, err = isotpnet.FixedAddr(bus, fixed{Target: 0x22, Source: 0x11})
	show("normal fixed", a, err)
	a, err = isotpnet.PairAddr(bus, side{ID: 0x456, HasByte: true, Byte: 0xAA}, side{ID: 0x123, HasByte: true, Byte: 0x55})
	show("extended, 11 bit", a, err)
	a, err = isotpnet.PairAddr(bus, side{ID: 0x456, HasByte: true, Byte: 0x99}, side{ID: 0x123, HasByte: true, Byte: 0x99})
	show("mixed, 11 bit", a, err)
	a, err = isotpnet.FixedAddr(bus, fixed{Target: 0x22, Source: 0x11, HasExtension: true, Extension: 0x99})
	show("mixed, 29 bit", a, err)
	a, err = isotpnet.FunctionalAddr(bus, side{ID: 0x7DF})
	show("functional", a, err)
	a, err = isotpnet.FixedFunctionalAddr(bus, fixed{Target: 0x33, Source: 0xF1})
	show("functional, fixed", a, err)
	a, err = isotpnet.NodeAddr(bus, fixed{Source: 0x10})
	show("a node", a, err)
	a, err = isotpnet.GroupAddr(bus, fixed{Target: 0x33})
	show("a group", a, err)
	show("an OBD-II tester", isotpnet.OBDAddr(bus), nil)
	// Output:
	// normal, 11 bit    pair       can0/456:123
	// normal, 29 bit    pair       can0/00789ABC:00123456
	// normal fixed      pair       can0/fixed:22:11
	// extended, 11 bit  pair       can0/456#AA:123#55
	// mixed, 11 bit     pair       can0/456#99:123#99
	// mixed, 29 bit     pair       can0/mixed:22:11#99
	// functional        functional can0/7DF:
	// functional, fixed functional can0/func:33:F1
	// a node            node       can0/fixed::10
	// a group           group      can0/func:33
	// an OBD-II tester  OBD        can0/obd
}

// The numbers of an address, as the identifiers of each side, and as N_TA and N_SA.
func ExampleAddr_Fixed() {
	a := isotpnet.MustParseAddr("can0/fixed:10:F1")
	send, _ := a.Send()
	listen, _ := a.Listen()
	fmt.Printf("sends to %X, listens on %X\n", send.ID, listen.ID)
	n, _ := a.Fixed()
	fmt.Printf("N_TA %X, N_SA %X\n", n.Target, n.Source)
	// Output:
	// sends to 18DA10F1, listens on 18DAF110
	// N_TA 10, N_SA F1
}

// The frames of a message of 10 bytes that comes to an address, in each mode:
// First Frame, our flow control, and the Consecutive Frames.
func ExampleAddr_frames() {
	config := isotpnet.Config{BlockSize: 8, Padding: isotpnet.NoPadding()}
	for _, text := range []string{
		"456:123",
		"00789ABC:00123456",
		"fixed:AA:55",
		"456#AA:123#55",
		"00789ABC#AA:00123456#55",
		"456#99:123#99",
		"mixed:AA:55#99",
		"fixed@14DA:AA:55",
	} {
		fmt.Println(text)
		for _, f := range framesTo(isotpnet.MustParseAddr("virtual:frames/"+text), config) {
			fmt.Println("  ", f)
		}
	}
	// Output:
	// 456:123
	//    123#100A000102030405
	//    456#300800
	//    123#2106070809
	// 00789ABC:00123456
	//    00123456#100A000102030405
	//    00789ABC#300800
	//    00123456#2106070809
	// fixed:AA:55
	//    18DA55AA#100A000102030405
	//    18DAAA55#300800
	//    18DA55AA#2106070809
	// 456#AA:123#55
	//    123#55100A0001020304
	//    456#AA300800
	//    123#55210506070809
	// 00789ABC#AA:00123456#55
	//    00123456#55100A0001020304
	//    00789ABC#AA300800
	//    00123456#55210506070809
	// 456#99:123#99
	//    123#99100A0001020304
	//    456#99300800
	//    123#99210506070809
	// mixed:AA:55#99
	//    18CE55AA#99100A0001020304
	//    18CEAA55#99300800
	//    18CE55AA#99210506070809
	// fixed@14DA:AA:55
	//    14DA55AA#100A000102030405
	//    14DAAA55#300800
	//    14DA55AA#2106070809
}

// framesTo returns the frames of a message of 10 bytes that comes to an address.
func framesTo(addr isotpnet.Addr, config isotpnet.Config) []canbus.Frame {
	bus, err := canbus.Open(context.Background(), addr.Bus())
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	dialer := isotpnet.Dialer{Config: config}
	conn, err := dialer.Dial("isotp", addr.String())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	peer, err := dialer.Dial("isotp", addr.Mirror().String())
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	if _, err := peer.Write([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}); err != nil {
		log.Fatal(err)
	}
	return readFrames(bus, 3)
}

// Each direction has a mode of its own: this one sends with an identifier of 29 bits and
// hears mixed addressing of 11 bits.
func ExamplePairAddr() {
	addr, err := isotpnet.PairAddr("virtual:asymmetric",
		isotpnet.Side{ID: 0x18DAAA55, Extended: true},
		isotpnet.Side{ID: 0x123, HasByte: true, Byte: 0x99})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(addr)
	for _, f := range framesTo(addr, isotpnet.Config{BlockSize: 8, Padding: isotpnet.NoPadding()}) {
		fmt.Println("  ", f)
	}
	// Output:
	// virtual:asymmetric/18DAAA55:123#99
	//    123#99100A0001020304
	//    18DAAA55#300800
	//    123#99210506070809
}

// A text that is no address is an error that says what would be one.
func ExampleParseAddr() {
	for _, text := range []string{"can0/0x7E0:0x7e8", "can0/7E0", "can0/7E0:8E8", "can0/fixed:10"} {
		addr, err := isotpnet.ParseAddr(text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(addr, "on", addr.Bus(), "mirror", addr.Mirror())
	}
	// Output:
	// can0/7E0:7E8 on can0 mirror can0/7E8:7E0
	// address can0/7E0: no colon in "7E0": want SEND:LISTEN, such as 7E0:7E8
	// address can0/7E0:8E8: identifier 8E8 is above 7FF, the highest of 11 bits (one of 29 bits is 000008E8)
	// address can0/fixed:10: "fixed:10" has no source address: want for example fixed:10:F1, or fixed::10 for the node 10 and any peer
}

// What a program can do with an address that its user has typed.
func ExampleKind() {
	for _, text := range []string{"can0/7E0:7E8", "can0/7DF:", "can0/fixed::10", "can0/func:33", "can0/obd"} {
		switch kind := isotpnet.MustParseAddr(text).Kind(); kind {
		case isotpnet.KindPair:
			fmt.Println(text, "has one peer: Dial, or Listen")
		case isotpnet.KindFunctional:
			fmt.Println(text, "has any number of peers to send to, and none to hear: Dial")
		case isotpnet.KindNode:
			fmt.Println(text, "has any peer: Listen, or ListenPacket")
		default:
			fmt.Println(text, "is of the kind", kind)
		}
	}
	// Output:
	// can0/7E0:7E8 has one peer: Dial, or Listen
	// can0/7DF: has any number of peers to send to, and none to hear: Dial
	// can0/fixed::10 has any peer: Listen, or ListenPacket
	// can0/func:33 is of the kind group
	// can0/obd is of the kind OBD
}
