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
	"os"
	"slices"
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

// What ECUs answer to the First Frame of a message: this one asks for time, and then for the
// rest.
func ExampleFlowStatus() {
	asked := make(chan isotpnet.FlowStatus, 2)
	dialer := isotpnet.Dialer{Config: isotpnet.Config{Trace: &isotpnet.Trace{
		FlowControlReceived: func(e isotpnet.TraceEvent) { asked <- e.Status },
	}}}
	conn, err := dialer.Dial("isotp", "virtual:flowstatus/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	ecu, err := canbus.Open(context.Background(), "virtual:flowstatus")
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()
	go func() {
		readFrames(ecu, 1) // the First Frame
		writeFrames(ecu, mustParseFrames("7E8#310000", "7E8#300000")...)
	}()
	n, err := conn.Write(make([]byte, 20))
	fmt.Println(n, err)
	for range 2 {
		switch status := <-asked; status {
		case isotpnet.FlowWait:
			fmt.Println("the ECU needs time:", status)
		default:
			fmt.Println("then:", status)
		}
	}
	// Output:
	// 20 <nil>
	// the ECU needs time: WAIT
	// then: CTS
}

// A program that tries again after a deadline. The flow control of its first message may still
// come, so the second one waits for that, until its own deadline. Nothing of it was sent: it can
// be tried once more, with a deadline that is longer than the wait.
func ExampleOwedError() {
	const address = "virtual:owed/7E0:7E8"
	dialer := isotpnet.Dialer{Config: isotpnet.Config{FlowControlTimeout: 10 * time.Second}}
	conn, err := dialer.Dial("isotp", address)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	message := make([]byte, 100)
	for {
		conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, err = conn.Write(message)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			log.Fatal(err)
		}
		owed, ok := errors.AsType[*isotpnet.OwedError](err)
		if !ok {
			continue // the message was begun: its flow control may still come
		}
		fmt.Println("nothing was sent")
		stop := startLateECU(address)
		defer stop()
		conn.SetWriteDeadline(owed.Until.Add(5 * time.Second))
		_, err = conn.Write(message)
		fmt.Println("again:", err)
		return
	}
	// Output:
	// nothing was sent
	// again: <nil>
}

// startLateECU starts the ECU of a tester. It begins with a flow control for a message of before.
func startLateECU(tester string) (stop func()) {
	addr := isotpnet.MustParseAddr(tester).Mirror()
	stop = startECU(addr.String(), func(request []byte) []byte { return request[:1] })
	bus, err := canbus.Open(context.Background(), addr.Bus())
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	writeFrames(bus, mustParseFrames("7E8#300000")...)
	return stop
}

// A reader that comes late gets the messages for which there was room, and is told where others
// are missing.
func ExampleOverrunError() {
	heard := make(chan bool, 10)
	tester, ecu, err := isotpnet.Pipe(&isotpnet.Config{
		ReadBuffer: 50, // for an example
		Trace:      &isotpnet.Trace{FrameReceived: func(isotpnet.TraceEvent) { heard <- true }},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer tester.Close()
	defer ecu.Close()
	for i := range 6 { // in Single Frames, which no flow control holds up
		fmt.Fprint(tester, i)
		<-heard
	}

	buf := make([]byte, 8)
	for range 4 {
		n, err := ecu.Read(buf)
		if overrun, ok := errors.AsType[*isotpnet.OverrunError](err); ok {
			fmt.Println("some are missing here, because the bus lost frames:", overrun.Bus)
			break
		}
		fmt.Printf("%s, error %v\n", buf[:n], err)
	}
	// Output:
	// 0, error <nil>
	// 1, error <nil>
	// 2, error <nil>
	// some are missing here, because the bus lost frames: false
}

// For an ECU that takes no longer messages. The error says how long a part of the data may be.
func ExampleMessageTooLongError() {
	stop := startECU("virtual:toolong/7E8:7E0", func(part []byte) []byte { return []byte{byte(len(part))} })
	defer stop()
	dialer := isotpnet.Dialer{Config: isotpnet.Config{MaxSendSize: 128}}
	conn, err := dialer.Dial("isotp", "virtual:toolong/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	data := make([]byte, 300)
	_, err = conn.Write(data)
	tooLong, ok := errors.AsType[*isotpnet.MessageTooLongError](err)
	if !ok {
		log.Fatal(err)
	}
	fmt.Println(tooLong.Size, "bytes are too many for one message")
	for part := range slices.Chunk(data, int(tooLong.Max)) {
		if _, err := conn.Write(part); err != nil {
			log.Fatal(err)
		}
		var taken [1]byte
		conn.Read(taken[:])
		fmt.Println("the ECU has", taken[0], "bytes more")
	}
	// Output:
	// 300 bytes are too many for one message
	// the ECU has 128 bytes more
	// the ECU has 128 bytes more
	// the ECU has 44 bytes more
}
