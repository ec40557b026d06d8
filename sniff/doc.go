// Package sniff finds ISO-TP messages (ISO 15765-2) in the frames of a CAN bus or of a log,
// in both directions and in every addressing mode. It only listens: it sends nothing, and
// needs no bus.
//
// [Decode] reads one frame. A [Sniffer] is given all frames, one after the other, and calls
// back with whole messages, and with each frame and its place in a message:
//
//	s, err := sniff.New(sniff.Options{
//		Message: func(m *sniff.Message) { fmt.Printf("%v: % X %s\n", m.Sender(), m.Data, m.Why()) },
//	})
//	for {
//		... read the next frame
//		s.Frame(&frame, "can0")
//	}
//	s.Close()
//
// # Pairs
//
// Two addresses that talk to each other are a [Pair]. A Sniffer follows those of
// Options.Pairs, or else all that the traffic shows:
//
//   - The identifiers that standards have given to ISO-TP: 7E0 to 7EF and 7DF (ISO 15765-4),
//     and 18DA, 18DB, 18CE and 18CD with two addresses behind them (ISO 15765-2). Their first
//     valid frame is enough.
//   - An identifier whose First Frame another one answers with flow control, if the first
//     Consecutive Frame then follows. Whether the frames of either begin with an address byte
//     (extended and mixed addressing) shows in where these three have their N_PCI.
//     If several may have answered, a later First Frame decides.
//   - An identifier that sends a First Frame and two Consecutive Frames behind it, while no
//     other answers, or it is open which one: a log may hold one side only. The Pair is Alone,
//     until an answer shows the other side.
//
// Until then a Sniffer keeps the last frames of each identifier, so that the messages before
// are told, too, if late. Identifiers with as many frames that are no ISO-TP are no pair, nor
// are those that send nothing but Single Frames, refused First Frames, or messages of two
// frames that are not answered: for these there is Options.Pairs.
//
// What the wire does not tell is said by [Pair.Mode].
//
// # Time
//
// Time-outs go by the frames' timestamps. A frame without one is taken to come at the same
// time as the frame before it. If they go back by more than a second, the messages under way
// are given up.
//
// # Memory
//
// Buffers grow with what has come, not with what a First Frame announces, and up to limits:
// see Options.MaxData. Where there are more identifiers than can be remembered, [Stats] say so.
package sniff
