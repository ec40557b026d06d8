package sniff_test

import (
	"fmt"
	"log"

	"example.com/isotp/canbus"
	"example.com/isotp/sniff"
)

// The messages in frames that a log or a bus has brought.
func Example() {
	s, err := sniff.New(sniff.Options{Message: func(m *sniff.Message) {
		fmt.Printf("%v: % X\n", m.Sender(), m.Data)
	}})
	if err != nil {
		log.Fatal(err)
	}
	for _, text := range []string{
		"7E0#0322F190",
		"7E8#1008", // too short for a First Frame: it is no message
		"7E8#100A62F190575657",
		"7E0#300000",
		"7E8#215A5A5A31",
		"7E0#023E00",
	} {
		f, err := canbus.ParseFrame(text)
		if err != nil {
			log.Fatal(err)
		}
		s.Frame(&f, "can0")
	}
	s.Close()
	// Output:
	// 7E0: 22 F1 90
	// 7E8: 62 F1 90 57 56 57 5A 5A 5A 31
	// 7E0: 3E 00
}

// What one frame says, whatever came before it.
func ExampleDecode() {
	for _, text := range []string{"7E0#0322F190", "7E8#101462F190575657", "7E0#300814", "7E8#215A5A5A"} {
		f := mustParse(text)
		switch pci := sniff.Decode(&f, false); pci.Type {
		case sniff.SingleFrame, sniff.FirstFrame:
			fmt.Printf("%v of %d bytes, which begin with % X\n", pci.Type, pci.Length, pci.Data)
		case sniff.ConsecutiveFrame:
			fmt.Printf("%v %d: % X\n", pci.Type, pci.SN, pci.Data)
		case sniff.FlowControl:
			fmt.Printf("%v: %v\n", pci.Type, pci.Status)
		}
	}
	// Output:
	// SF of 3 bytes, which begin with 22 F1 90
	// FF of 20 bytes, which begin with 62 F1 90 57 56 57
	// FC: CTS
	// CF 1: 5A 5A 5A
}
