package bench

import (
	"net"
	"testing"

	"example.com/isotp/isotpnet"
)

// BenchmarkMessage sends messages of 4095 bytes from end to end.
func BenchmarkMessage(b *testing.B) {
	for _, place := range []place{pipe, twoDials, twoTaps} {
		for _, bc := range []struct {
			name   string
			config isotpnet.Config
			frames int
		}{
			{"classic/BS=0", isotpnet.Config{}, framesClassic},
			{"classic/BS=8", isotpnet.Config{BlockSize: 8}, framesClassicBS8},
			{"FD/BS=0", isotpnet.Config{FD: true}, framesFD},
			{"FD/BS=8", isotpnet.Config{FD: true, BlockSize: 8}, framesFDBS8},
		} {
			b.Run(place.name+"/"+bc.name, func(b *testing.B) {
				tester, ecu := place.pair(b, bc.config)
				go readMessages(ecu, make([]byte, size), func() {})
				message := make([]byte, size)
				run(b, bc.frames, "frame", func() {
					_, err := tester.Write(message)
					must(b, err)
				})
			})
		}
	}
}

// BenchmarkLongMessage sends messages of 1 MiB, each read whole before the next.
func BenchmarkLongMessage(b *testing.B) {
	const size = 1 << 20
	for _, place := range []place{pipe, twoDials} {
		b.Run(place.name+"/FD", func(b *testing.B) {
			tester, ecu := place.pair(b, isotpnet.Config{FD: true, MaxMessageSize: size})
			read := make(chan struct{})
			go readMessages(ecu, make([]byte, size), func() { read <- struct{}{} })
			message := make([]byte, size)
			run(b, 1, "message", func() {
				_, err := tester.Write(message)
				must(b, err)
				<-read
			})
		})
	}
}

// BenchmarkRoundTrip sends a request in a Single Frame, and an answer in another back.
func BenchmarkRoundTrip(b *testing.B) {
	for _, bc := range []struct {
		name   string
		place  place
		config isotpnet.Config
	}{
		{"Pipe/classic", pipe, isotpnet.Config{}},
		{"Pipe/FD", pipe, isotpnet.Config{FD: true}},
		{"TwoDials/classic", twoDials, isotpnet.Config{}},
		{"TwoDials/FD", twoDials, isotpnet.Config{FD: true}},
		{"TwoTaps/classic", twoTaps, isotpnet.Config{}},
		{"TwoTaps/FD", twoTaps, isotpnet.Config{FD: true}},
		{"Stream/FD", stream, isotpnet.Config{FD: true}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			tester, ecu := bc.place.pair(b, bc.config)
			go answer(ecu)
			request, buf := []byte{0x22, 0xF1, 0x90}, make([]byte, 64)
			run(b, 1, "trip", func() {
				_, err := tester.Write(request)
				must(b, err)
				_, err = tester.Read(buf)
				must(b, err)
			})
		})
	}
}

// answer sends back what it reads.
func answer(c net.Conn) {
	buf := make([]byte, 64)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}
