package sniff_test

import (
	"fmt"
	"log"

	"example.com/isotp/canbus"
	"example.com/isotp/sniff"
)

// feed gives frames to a Sniffer.
func feed(s *sniff.Sniffer, frames ...string) {
	for _, text := range frames {
		f := mustParse(text)
		s.Frame(&f, "can0")
	}
}

func mustParse(text string) canbus.Frame {
	f, err := canbus.ParseFrame(text)
	if err != nil {
		log.Fatal(err)
	}
	return f
}

// Each frame, and its place in the conversation.
func ExampleFrameEvent() {
	s, err := sniff.New(sniff.Options{Frame: func(e *sniff.FrameEvent) {
		switch e.Part {
		case sniff.InMessage:
			fmt.Printf("%-20v %v of message %d\n", e.Frame, e.PCI.Type, e.Message)
		case sniff.Answer:
			fmt.Printf("%-20v %v for message %d\n", e.Frame, e.PCI.Status, e.Message)
		case sniff.Stray:
			fmt.Printf("%-20v %v of no message\n", e.Frame, e.PCI.Type)
		case sniff.Ignored:
			fmt.Printf("%-20v is ignored: %v\n", e.Frame, e.PCI.Fault)
		default:
			fmt.Printf("%-20v of no pair\n", e.Frame)
		}
	}})
	if err != nil {
		log.Fatal(err)
	}
	feed(s,
		"7E0#0322F190",
		"7E8#100862F190575657", "7E0#300000", "7E8#215A5A",
		"7E8#225A5A",
		"7E0#0F",
	)
	s.Close()
	// Output:
	// 7E0#0322F190         SF of message 1
	// 7E8#100862F190575657 FF of message 2
	// 7E0#300000           CTS for message 2
	// 7E8#215A5A           CF of message 2
	// 7E8#225A5A           CF of no message
	// 7E0#0F               is ignored: a length that cannot be
}

// Messages that were given up, and why.
func ExampleResult() {
	s, err := sniff.New(sniff.Options{Message: func(m *sniff.Message) {
		switch m.Result {
		case sniff.Complete:
			fmt.Printf("%v: % X\n", m.Sender(), m.Data)
		case sniff.Refused:
			fmt.Printf("%v: too long for its receiver: %d bytes\n", m.Sender(), m.Size)
		default:
			fmt.Printf("%v: %s\n", m.Sender(), m.Why())
		}
	}})
	if err != nil {
		log.Fatal(err)
	}
	feed(s,
		"7E0#1FFF360102030405", "7E8#320000",
		"7E0#1014360102030405", "7E8#300000", "7E0#2106070809101112", "7E0#2313141516171819",
		"7E0#023E00",
	)
	s.Close()
	// Output:
	// 7E0: too long for its receiver: 4095 bytes
	// 7E0: wrong sequence number: 3, want 2
	// 7E0: 3E 00
}

// What is wrong with frames that every receiver ignores.
func ExampleFault() {
	for _, text := range []string{"7E0#023E00", "7E0#0F3E00", "7E0#F0", "7E0#100622F190", "7E0#R"} {
		f := mustParse(text)
		if pci := sniff.Decode(&f, false); pci.Fault != sniff.NoFault {
			fmt.Printf("%-14s %v\n", text, pci.Fault)
		}
	}
	// Output:
	// 7E0#0F3E00     a length that cannot be
	// 7E0#F0         no type of ISO 15765-2
	// 7E0#100622F190 a First Frame shorter than 8 bytes
	// 7E0#R          no N_PCI
}

// What a receiver asks its sender for.
func ExampleFlowStatus() {
	for _, text := range []string{"7E8#300814", "7E8#30000F", "7E8#310000", "7E8#320000"} {
		f := mustParse(text)
		pci := sniff.Decode(&f, false)
		if pci.Status != sniff.ContinueToSend {
			fmt.Println(pci.Status)
			continue
		}
		gap, _ := sniff.SeparationTime(pci.STmin)
		fmt.Printf("%v, block size %d, %v between frames\n", pci.Status, pci.BlockSize, gap)
	}
	// Output:
	// CTS, block size 8, 20ms between frames
	// CTS, block size 0, 15ms between frames
	// WAIT
	// OVFLW
}
