package isotpnet_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	"example.com/isotp/isotpnet"
)

// The examples of the documentation of Python's can-isotp that have no place
// elsewhere. docs/from-can-isotp.md says which example is whose counterpart.

// A Write blocks until the message is sent, and its error says why it was not.
func Example_blockingSend() {
	stop := startECU("virtual:blockingsend/123:456", func([]byte) []byte { return []byte("ok") })
	defer stop()
	conn, err := isotpnet.Dial("isotp", "virtual:blockingsend/456:123")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Write([]byte("a long payload that is sent in small pieces")); err != nil {
		fmt.Println("not sent:", err)
		return
	}
	fmt.Println("sent")
	// Output:
	// sent
}

// A send that does not block is a Write in a goroutine of its own. Where can-isotp
// asks transmitting(), a channel tells.
func Example_nonBlockingSend() {
	stop := startECU("virtual:nonblockingsend/123:456", func([]byte) []byte { return []byte("ok") })
	defer stop()
	conn, err := isotpnet.Dial("isotp", "virtual:nonblockingsend/456:123")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write([]byte("a long payload that is sent in small pieces"))
		sent <- err
	}()
	fmt.Println("here there is time for something else")
	fmt.Println("sent, error", <-sent)
	// Output:
	// here there is time for something else
	// sent, error <nil>
}

// A goroutine that receives until the connection is closed. Nothing needs to be
// started or called from time to time, and no variable says when to stop.
func Example_receivingInTheBackground() {
	conn, err := isotpnet.Dial("isotp", "virtual:background/456:123")
	if err != nil {
		log.Fatal(err)
	}
	messages := make(chan string)
	go func() {
		defer close(messages)
		buf := make([]byte, 4095)
		for {
			n, err := conn.Read(buf)
			if isotpnet.Final(err) {
				return // the connection was closed, or the bus has failed
			}
			if err != nil {
				log.Print(err) // and go on: the next message may be good
				continue
			}
			messages <- string(buf[:n])
		}
	}()

	peer, err := isotpnet.Dial("isotp", "virtual:background/123:456")
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	peer.Write([]byte("first"))
	peer.Write([]byte("and a second, which is longer"))
	fmt.Println(<-messages)
	fmt.Println(<-messages)

	conn.Close()
	_, more := <-messages
	fmt.Println("more:", more)
	// Output:
	// first
	// and a second, which is longer
	// more: false
}

// A main loop with events from several sources. Where a program built on
// TransportLayerLogic calls process() and asks available() in turn, the loop waits
// in a select, and the protocol runs by itself.
func Example_eventLoop() {
	conn, peer, err := isotpnet.Pipe(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	received := make(chan []byte)
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			buf := make([]byte, 4095)
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			received <- buf[:n]
		}
	})
	ctx, quit := context.WithTimeout(context.Background(), time.Minute)
	defer quit()
	sent := make(chan error, 1)
	go func() {
		_, err := peer.Write([]byte("a message of several frames"))
		sent <- err
	}()

loop:
	for {
		select {
		case message := <-received:
			fmt.Printf("%s\n", message)
			break loop
		case <-ctx.Done():
			fmt.Println("nothing came")
			break loop
		}
	}
	fmt.Println("sent, error", <-sent)
	conn.Close()
	reader.Wait()
	// Output:
	// a message of several frames
	// sent, error <nil>
}

// A functional message is one frame, for every ECU that hears it.
func Example_functionalAddressing() {
	hear := isotpnet.Dialer{Config: isotpnet.Config{ListenOnly: true}}
	group, err := hear.Dial("isotp", "virtual:group/:7DF")
	if err != nil {
		log.Fatal(err)
	}
	defer group.Close()

	conn, err := isotpnet.Dial("isotp", "virtual:group/7DF:")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("Hello")); err != nil {
		log.Fatal(err)
	}
	buf := make([]byte, 8)
	n, err := group.Read(buf)
	fmt.Printf("%s, error %v\n", buf[:n], err)

	_, err = conn.Write([]byte("Hello, everybody"))
	fmt.Println("too long:", errors.Is(err, isotpnet.ErrMessageTooLong))
	_, err = conn.Read(buf)
	fmt.Println("answers come here:", !errors.Is(err, isotpnet.ErrSendOnly))
	// Output:
	// Hello, error <nil>
	// too long: true
	// answers come here: false
}

// What one sets with set_fc_opts of an isotp.socket, on the user backend.
func Example_flowControlOptions() {
	receive := isotpnet.Dialer{Config: isotpnet.Config{STmin: 5 * time.Millisecond, BlockSize: 10}}
	s, err := receive.Dial("isotp:user", "virtual:options/456:123")
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	asked := make(chan isotpnet.TraceEvent, 1)
	send := isotpnet.Dialer{Config: isotpnet.Config{Trace: &isotpnet.Trace{
		FlowControlReceived: func(e isotpnet.TraceEvent) { asked <- e },
	}}}
	s2, err := send.Dial("isotp:user", "virtual:options/123:456")
	if err != nil {
		log.Fatal(err)
	}
	defer s2.Close()
	if _, err := s2.Write([]byte("Hello, in frames of 8 bytes")); err != nil {
		log.Fatal(err)
	}

	buf := make([]byte, 4095)
	n, err := s.Read(buf)
	fmt.Printf("%s, error %v\n", buf[:n], err)
	e := <-asked
	fmt.Println("asked for:", e.Status, e.BlockSize, e.STmin)
	// Output:
	// Hello, in frames of 8 bytes, error <nil>
	// asked for: CTS 10 5ms
}
