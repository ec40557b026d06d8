package sniff_test

import (
	"fmt"
	"log"

	"example.com/isotp/sniff"
)

// Who talks to whom on a bus, and how much: the traffic alone shows it.
func ExampleConversation() {
	s, err := sniff.New(sniff.Options{Message: func(*sniff.Message) {}})
	if err != nil {
		log.Fatal(err)
	}
	feed(s,
		"641#5510081122334455", "642#F1300000", "641#5521667788", // extended addressing
		"7E0#023E00", "7E8#027E00",
		"100#0102030405060708", // no ISO-TP
	)
	s.Close()
	for _, c := range s.Conversations() {
		fmt.Println(c.Pair, c.Pair.Mode())
		for _, sent := range []sniff.Sent{c.A, c.B} {
			fmt.Printf("  frames %d, messages %d, bytes %d\n", sent.Frames, sent.Messages, sent.Bytes)
		}
	}
	// Output:
	// 641#55:642#F1 extended
	//   frames 2, messages 1, bytes 8
	//   frames 1, messages 0, bytes 0
	// 7E0:7E8 normal
	//   frames 1, messages 1, bytes 2
	//   frames 1, messages 1, bytes 2
}

// Whether what was found is all there was.
func ExampleSniffer_Stats() {
	s, err := sniff.New(sniff.Options{Message: func(*sniff.Message) {}})
	if err != nil {
		log.Fatal(err)
	}
	feed(s, "7E0#023E00", "7E8#101462F190575657", "100#0102030405060708")
	s.Close()
	stats := s.Stats()
	fmt.Println("messages:", stats.Messages, "given up:", stats.GivenUp)
	fmt.Println("frames:", stats.Frames, "of no pair:", stats.Unassigned)
	// Output:
	// messages: 1 given up: 1
	// frames: 3 of no pair: 1
}

// One pair, whose addresses are known, and nothing else.
func ExamplePair() {
	pair := sniff.Pair{
		A: sniff.Address{ID: 0x641, HasByte: true, Byte: 0x55},
		B: sniff.Address{ID: 0x642, HasByte: true, Byte: 0xF1},
	}
	s, err := sniff.New(sniff.Options{
		Pairs:   []sniff.Pair{pair},
		Message: func(m *sniff.Message) { fmt.Printf("%v: % X\n", m.Sender(), m.Data) },
	})
	if err != nil {
		log.Fatal(err)
	}
	feed(s, "641#55023E00", "7E0#023E00", "642#F1027E00")
	s.Close()
	// Output:
	// 641#55: 3E 00
	// 642#F1: 7E 00
}
