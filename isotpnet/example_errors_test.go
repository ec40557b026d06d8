package isotpnet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// mustParseFrames makes frames of their texts.
func mustParseFrames(texts ...string) []canbus.Frame {
	frames := make([]canbus.Frame, len(texts))
	for i, text := range texts {
		f, err := canbus.ParseFrame(text)
		if err != nil {
			log.Fatal(err)
		}
		frames[i] = f
	}
	return frames
}

// writeFrames puts frames on a bus.
func writeFrames(bus canbus.Bus, frames ...canbus.Frame) {
	for len(frames) > 0 {
		n, err := bus.WriteFrames(frames)
		if err != nil {
			log.Fatal(err)
		}
		frames = frames[n:]
	}
}

// No ECU is on the bus that could answer.
func ExampleProtocolError() {
	dialer := isotpnet.Dialer{Config: isotpnet.Config{FlowControlTimeout: 10 * time.Millisecond}}
	conn, err := dialer.Dial("isotp", "virtual:protocolerror/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	_, err = conn.Write(make([]byte, 100))
	fmt.Println(err)
	if e, ok := errors.AsType[*isotpnet.ProtocolError](err); ok && e.Code == isotpnet.CodeTimeoutBs {
		fmt.Println("no ECU at", conn.RemoteAddr())
	}
	if e, ok := errors.AsType[net.Error](err); ok {
		fmt.Println("a time-out:", e.Timeout())
	}
	// Output:
	// write isotp virtual:protocolerror/7E8:7E0->virtual:protocolerror/7E0:7E8: N_TIMEOUT_Bs: no flow control came in time
	// no ECU at virtual:protocolerror/7E0:7E8
	// a time-out: true
}

// Every error that is not the result of a call, because it is about what a peer
// has done, goes to a Trace. Its functions are called by other goroutines, and
// must not block.
func ExampleTrace() {
	type event struct {
		what string
		isotpnet.TraceEvent
	}
	events := make(chan event, 16)
	report := func(what string) func(isotpnet.TraceEvent) {
		return func(e isotpnet.TraceEvent) { events <- event{what, e} }
	}
	dialer := isotpnet.Dialer{Config: isotpnet.Config{Trace: &isotpnet.Trace{
		FrameIgnored:     report("ignored"),
		ReceptionAborted: report("given up"),
		SendAborted:      report("not sent"),
		MessageReceived:  report("received"),
	}}}
	conn, err := dialer.Dial("isotp", "virtual:trace/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	peer, err := canbus.Open(context.Background(), "virtual:trace")
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	writeFrames(peer, mustParseFrames(
		"7E8#2141414141414141", // a Consecutive Frame of no message
		"7E8#100A414141414141", // a First Frame, of 10 bytes
		"7E8#2241414141",       // sequence number 2, but 1 was due
		"7E8#F0",               // no frame of ISO-TP at all
		"7E8#027E00",           // a good message
	)...)
	for range 3 {
		e := <-events
		fmt.Printf("%s: %v\n", e.what, e.Code)
	}
	fmt.Println((<-events).Size, "bytes received")
	// Output:
	// ignored: N_UNEXP_PDU: consecutive frame of no message
	// given up: N_WRONG_SN: wrong sequence number
	// ignored: invalid frame: not a protocol data unit
	// 2 bytes received
}

// With a Logger, messages given up are logged at level Warn, everything else at
// level Debug.
func ExampleConfig_logger() {
	// To print what is logged this example reads it from a pipe.
	r, w := io.Pipe()
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: withoutTime}))

	dialer := isotpnet.Dialer{Config: isotpnet.Config{
		FlowControlTimeout: 10 * time.Millisecond,
		Logger:             logger.With("ecu", "gearbox"),
	}}
	conn, err := dialer.Dial("isotp", "virtual:logger/7E1:7E9")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	go conn.Write(make([]byte, 100)) // no ECU answers

	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(line)
	// Output:
	// level=WARN msg="isotp: send aborted" ecu=gearbox why="N_TIMEOUT_Bs: no flow control came in time" size=6 addr=virtual:logger/7E1:7E9
}

// A tester that waits for one answer wants to know when the answer was given up.
func ExampleConfig_reportAborted() {
	started := make(chan bool, 1)
	dialer := isotpnet.Dialer{Config: isotpnet.Config{
		ReportAborted:           true,
		ConsecutiveFrameTimeout: 10 * time.Millisecond,
		Trace:                   &isotpnet.Trace{MessageStarted: func(isotpnet.TraceEvent) { started <- true }},
	}}
	conn, err := dialer.Dial("isotp", "virtual:aborted/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	peer, err := canbus.Open(context.Background(), "virtual:aborted")
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()

	result := make(chan error)
	go func() {
		_, err := conn.Read(make([]byte, 100))
		result <- err
	}()
	writeFrames(peer, mustParseFrames("7E8#1014620000000000")...) // and no more
	<-started
	if e, ok := errors.AsType[*isotpnet.ProtocolError](<-result); ok {
		fmt.Println(e)
	}
	// Output:
	// N_TIMEOUT_Cr: no consecutive frame came in time
}
