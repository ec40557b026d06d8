package isotpnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// The zero Config is a good one. Here are some fields for an ECU that is slow to
// answer, easily overrun, and wants its frames filled up with 55.
func ExampleConfig() {
	dialer := isotpnet.Dialer{Config: isotpnet.Config{
		FlowControlTimeout:      2 * time.Second,        // N_Bs
		ConsecutiveFrameTimeout: 150 * time.Millisecond, // N_Cr
		OverrideSTmin:           500 * time.Microsecond, // whatever the ECU asks for
		BlockSize:               8,
		Padding:                 isotpnet.PadWith(0x55),
	}}
	bus, err := canbus.Open(context.Background(), "virtual:config")
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	conn, err := dialer.Dial("isotp", "virtual:config/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte{0x3E, 0x00})
	fmt.Println(readFrames(bus, 1)[0])

	// What cannot be is an error of Dial that says what would be right.
	dialer.Config.BlockSize = 300
	_, err = dialer.Dial("isotp", "virtual:config/7E1:7E9")
	var configError *isotpnet.ConfigError
	if errors.As(err, &configError) {
		fmt.Println(configError)
	}
	// Output:
	// 7E0#023E005555555555
	// Config.BlockSize is 300: it must be from 0 to 255
}

// For code that takes a connection for one of bytes: a bytes.Reader writes all that it
// has at once, and SplitWrites makes messages of 4095 bytes of it.
func ExampleConfig_splitWrites() {
	sender, receiver, err := isotpnet.Pipe(&isotpnet.Config{SplitWrites: true})
	if err != nil {
		log.Fatal(err)
	}
	defer receiver.Close()
	go func() {
		defer sender.Close()
		if _, err := io.Copy(sender, bytes.NewReader(make([]byte, 10_000))); err != nil {
			log.Fatal(err)
		}
	}()
	for {
		n, err := receiver.Read(make([]byte, 4095))
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(n, "bytes")
	}
	// Output:
	// 4095 bytes
	// 4095 bytes
	// 1810 bytes
	// EOF
}

// With FD a message of up to 62 bytes is a single frame, and frames above 8 bytes
// are filled up to the next length there is.
func ExampleConfig_fd() {
	bus, err := canbus.Open(context.Background(), "virtual:fd")
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	dialer := isotpnet.Dialer{Config: isotpnet.Config{FD: true, BRS: true}}
	conn, err := dialer.Dial("isotp", "virtual:fd/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("short"))
	conn.Write([]byte("some more bytes"))
	for _, f := range readFrames(bus, 2) {
		fmt.Println(f.Len, f)
	}
	// Output:
	// 8 7E0##10573686F7274CCCC
	// 20 7E0##1000F736F6D65206D6F7265206279746573CCCCCC
}

// A third party listens to what the ECU says to the tester, and sends nothing
// itself, not even flow control.
func ExampleConfig_listenOnly() {
	stop := startECU("virtual:listenonly/7E8:7E0", func([]byte) []byte {
		return []byte("an answer of several frames")
	})
	defer stop()
	dialer := isotpnet.Dialer{Config: isotpnet.Config{ListenOnly: true}}
	spy, err := dialer.Dial("isotp", "virtual:listenonly/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer spy.Close()

	tester, err := isotpnet.Dial("isotp", "virtual:listenonly/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer tester.Close()
	if _, err := tester.Write([]byte("a question")); err != nil {
		log.Fatal(err)
	}

	buf := make([]byte, 4095)
	n, err := spy.Read(buf)
	fmt.Printf("%s, error %v\n", buf[:n], err)
	_, err = spy.Write(buf[:n])
	fmt.Println("may write:", !errors.Is(err, isotpnet.ErrListenOnly))
	// Output:
	// an answer of several frames, error <nil>
	// may write: false
}

// A bound on how much is sent, for adapters that lose frames when they come too
// fast. The product of rate and window is what may be sent at once.
func ExampleRateLimit() {
	limited := func(bitsPerSecond int, window time.Duration) isotpnet.Dialer {
		return isotpnet.Dialer{Config: isotpnet.Config{
			RateLimit: isotpnet.RateLimit{BitsPerSecond: bitsPerSecond, Window: window},
		}}
	}
	stop := startECU("virtual:ratelimit/7E8:7E0", func(request []byte) []byte { return request[:1] })
	defer stop()

	dialer := limited(80_000, 100*time.Millisecond)
	conn, err := dialer.Dial("isotp", "virtual:ratelimit/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	// 8000 bits, 125 frames of 8 bytes, may go at once; this is 58 frames.
	n, err := conn.Write(make([]byte, 400))
	fmt.Println(n, err)

	dialer = limited(100, 100*time.Millisecond)
	_, err = dialer.Dial("isotp", "virtual:ratelimit/7E1:7E9")
	var configError *isotpnet.ConfigError
	fmt.Println("less than one frame at a time:", errors.As(err, &configError), configError.Field)
	// Output:
	// 400 <nil>
	// less than one frame at a time: true RateLimit
}

// A Conn counts what it does, and what its peer does wrong, which no Read tells.
func ExampleConn_Stats() {
	conn, err := isotpnet.Dial("isotp", "virtual:stats/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	ecu, err := canbus.Open(context.Background(), "virtual:stats")
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()
	writeFrames(ecu, mustParseFrames(
		"7E8#100A414141414141", // a First Frame, of 10 bytes
		"7E8#2241414141",       // sequence number 2, but 1 was due
		"7E8#027E00",           // a good message
	)...)
	if _, err := conn.Read(make([]byte, 100)); err != nil {
		log.Fatal(err)
	}

	stats := conn.(*isotpnet.Conn).Stats()
	fmt.Println("received:", stats.FramesReceived, "frames,", stats.MessagesReceived, "message,", stats.BytesReceived, "bytes")
	for code, count := range stats.Errors {
		fmt.Println(code, count)
	}
	// Output:
	// received: 3 frames, 1 message, 2 bytes
	// N_WRONG_SN: wrong sequence number 1
}

// The times that were left between frames, for a peer that asks for 1 ms.
func ExampleGap() {
	tester, ecu, err := isotpnet.Pipe(&isotpnet.Config{STmin: time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()
	defer tester.Close()
	go ecu.Read(make([]byte, 40))
	if _, err := tester.Write(make([]byte, 40)); err != nil { // 5 frames behind the first one
		log.Fatal(err)
	}
	gap := tester.Stats().STminGap
	fmt.Println(gap.Count, "gaps, each of 1 ms at least:", gap.Min >= time.Millisecond)
	// Output: 4 gaps, each of 1 ms at least: true
}

// For a bench on which microseconds count, and a processor is to spare: frames leave closer to
// the moment at which they may, and never before it.
func ExamplePacing() {
	tester, ecu, err := isotpnet.Pipe(&isotpnet.Config{
		STmin:  300 * time.Microsecond,
		Pacing: isotpnet.PaceSpin,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()
	defer tester.Close()
	go ecu.Read(make([]byte, 40))
	if _, err := tester.Write(make([]byte, 40)); err != nil {
		log.Fatal(err)
	}
	gap := tester.Stats().STminGap
	fmt.Println("too soon:", gap.Min < 300*time.Microsecond)
	// Output: too soon: false
}
