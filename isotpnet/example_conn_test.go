package isotpnet_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// A message of 1 MB goes from a reader to a writer, and is never in memory as a
// whole on either side.
func ExampleConn_SendFrom() {
	tester, ecu, err := isotpnet.Pipe(&isotpnet.Config{FD: true})
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()
	defer tester.Close()

	image := strings.Repeat("0123456789", 100_000) // a file, more likely
	sent := make(chan error, 1)
	go func() { sent <- tester.SendFrom(strings.NewReader(image), int64(len(image))) }()

	message, info, err := ecu.NextReader()
	if err != nil {
		log.Fatal(err)
	}
	hash := sha256.New()
	n, err := io.Copy(hash, message)
	if err != nil {
		log.Fatal(err)
	}
	want := sha256.Sum256([]byte(image))
	fmt.Println(n, "of", info.Size, "bytes received, the right ones:", bytes.Equal(hash.Sum(nil), want[:]))
	fmt.Println("sent:", <-sent)
	// Output:
	// 1000000 of 1000000 bytes received, the right ones: true
	// sent: <nil>
}

// The bytes of a message come from whatever writes to an io.Pipe. The size must
// be known before, since it goes first.
func ExampleConn_SendFrom_generator() {
	tester, ecu, err := isotpnet.Pipe(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()
	defer tester.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 4095)
		n, err := ecu.Read(buf)
		fmt.Printf("%d bytes, the last are %s, error %v\n", n, buf[n-4:n], err)
	})

	source, w := io.Pipe()
	go func() {
		for i := range 500 {
			fmt.Fprintf(w, "%04d", i)
		}
		w.Close()
	}()
	if err := tester.SendFrom(source, 500*4); err != nil {
		log.Fatal(err)
	}
	wg.Wait()

	// A source that ends too early.
	err = tester.SendFrom(strings.NewReader("too short"), 100)
	var protocolError *isotpnet.ProtocolError
	if errors.As(err, &protocolError) {
		fmt.Println(protocolError.Code == isotpnet.CodeSourceFailed, protocolError.Err)
	}
	// Output:
	// 2000 bytes, the last are 0499, error <nil>
	// true unexpected EOF
}

// NextReader gives the bytes of a message as they arrive.
func ExampleConn_NextReader() {
	tester, ecu, err := isotpnet.Pipe(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()
	defer tester.Close()
	go tester.Write([]byte("date,km\n2024-05-01,10200\n2024-06-01,11350\n"))

	message, info, err := ecu.NextReader()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Size, "bytes are to come")
	if _, err := io.Copy(os.Stdout, message); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 42 bytes are to come
	// date,km
	// 2024-05-01,10200
	// 2024-06-01,11350
}

// What does not fit in the buffer is not lost: it stays for the next read.
func ExampleConn_ReadMessage() {
	tester, ecu, err := isotpnet.Pipe(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()
	defer tester.Close()
	go func() {
		tester.Write([]byte("a message of 24 bytes..."))
		tester.Write([]byte("another"))
	}()

	buf := make([]byte, 16)
	for range 3 {
		n, info, err := ecu.ReadMessage(buf)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%-19q message of %2d bytes, %d left to read\n", buf[:n], info.Size, info.Rest)
	}
	// Output:
	// "a message of 24 "  message of 24 bytes, 8 left to read
	// "bytes..."          message of 24 bytes, 0 left to read
	// "another"           message of  7 bytes, 0 left to read
}

// A tester asks all ECUs at once whether they are there, with one frame on the
// functional address 7DF. Each answers on its own physical address.
func ExampleConn_WriteFunctional() {
	functional := isotpnet.MustParseAddr("/7DF:")
	var ecus sync.WaitGroup
	for _, address := range []string{"virtual:functional/7E8:7E0", "virtual:functional/7E9:7E1"} {
		config := isotpnet.ListenConfig{Functional: []isotpnet.Addr{functional}}
		ln, err := config.Listen(context.Background(), "isotp", address)
		if err != nil {
			log.Fatal(err)
		}
		defer ln.Close()
		ecus.Go(func() {
			conn, err := ln.Accept()
			if err != nil {
				log.Fatal(err)
			}
			defer conn.Close()
			buf := make([]byte, 8)
			_, info, err := conn.(*isotpnet.Conn).ReadMessage(buf)
			if err != nil || !info.Functional {
				log.Fatal("not a functional request: ", err)
			}
			conn.Write([]byte{0x7E, 0x00})
		})
	}

	dialer := isotpnet.Dialer{Functional: functional}
	var conns []*isotpnet.Conn
	for _, address := range []string{"virtual:functional/7E0:7E8", "virtual:functional/7E1:7E9"} {
		conn, err := dialer.DialAddr(context.Background(), "isotp", isotpnet.MustParseAddr(address))
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}

	// Whichever connection sends it, all ECUs hear it.
	if _, err := conns[0].WriteFunctional([]byte{0x3E, 0x00}); err != nil {
		log.Fatal(err)
	}
	answer := make([]byte, 8)
	for _, conn := range conns {
		n, err := conn.Read(answer)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%v: % X\n", conn.RemoteAddr(), answer[:n])
	}
	ecus.Wait()

	_, err := conns[0].WriteFunctional(make([]byte, 8))
	fmt.Println("more than a single frame:", errors.Is(err, isotpnet.ErrMessageTooLong))
	// Output:
	// virtual:functional/7E0:7E8: 7E 00
	// virtual:functional/7E1:7E9: 7E 00
	// more than a single frame: true
}

// A read that waits no longer than it is told to. Reading can go on afterwards.
func ExampleConn_SetReadDeadline() {
	conn, err := isotpnet.Dial("isotp", "virtual:deadline/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err = conn.Read(make([]byte, 8)) // no peer is there to send something
	fmt.Println("in time:", !errors.Is(err, os.ErrDeadlineExceeded))
	// Output:
	// in time: false
}

// A write deadline in the past stops the message that is being sent.
func ExampleConn_SetWriteDeadline() {
	peer, err := canbus.Open(context.Background(), "virtual:stop")
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	conn, err := isotpnet.Dial("isotp", "virtual:stop/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	done := make(chan error)
	go func() {
		_, err := conn.Write(make([]byte, 1000))
		done <- err
	}()
	fmt.Println(readFrames(peer, 1)[0]) // the First Frame is out
	conn.SetWriteDeadline(time.Unix(1, 0))
	fmt.Println("stopped:", errors.Is(<-done, os.ErrDeadlineExceeded))

	conn.SetWriteDeadline(time.Time{})
	_, err = conn.Write([]byte{0x3E, 0x00})
	fmt.Println("and the next:", err)
	// Output:
	// 7E0#13E8000000000000
	// stopped: true
	// and the next: <nil>
}

// io.Copy sends a file as messages of up to 4095 bytes, and puts them together
// again on the other side.
func ExampleConn_ReadFrom() {
	dir, err := os.MkdirTemp("", "isotp")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "image.bin")
	if err := os.WriteFile(name, make([]byte, 10_000), 0o666); err != nil {
		log.Fatal(err)
	}

	tester, ecu, err := isotpnet.Pipe(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()
	go func() {
		defer tester.Close()
		file, err := os.Open(name)
		if err != nil {
			log.Fatal(err)
		}
		defer file.Close()
		if _, err := io.Copy(tester, file); err != nil {
			log.Fatal(err)
		}
	}()

	// On a real bus there is no end of file: say in a message how much is to
	// come, and use io.CopyN.
	var image bytes.Buffer
	n, err := io.Copy(&image, ecu)
	fmt.Println(n, "bytes in", ecu.Stats().MessagesReceived, "messages, error", err)
	// Output:
	// 10000 bytes in 3 messages, error <nil>
}

// How far a message has come that takes long, for a bar or a log.
func ExampleConn_Progress() {
	var dialer isotpnet.Dialer
	conn, err := dialer.DialAddr(context.Background(), "isotp", isotpnet.MustParseAddr("virtual:progress/7E0:7E8"))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	ecu, err := canbus.Open(context.Background(), "virtual:progress")
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()
	writeFrames(ecu, mustParseFrames("7E8#101A616263646566", "7E8#216768696A6B6C6D")...)

	message, _, err := conn.NextReader()
	if err != nil {
		log.Fatal(err)
	}
	part := make([]byte, 13)
	io.ReadFull(message, part)
	received, _ := conn.Progress()
	fmt.Printf("%s: %d of %d bytes, %d %%\n", part, received.Done, received.Size, 100*received.Done/received.Size)
	// Output: abcdefghijklm: 13 of 26 bytes, 50 %
}
