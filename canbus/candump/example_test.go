package candump_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
	"example.com/isotp/isotpnet"
)

// A tester's conversation with an ECU is recorded, and what was said then read from
// the log.
func Example() {
	dir, err := os.MkdirTemp("", "candump")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "drive.log")

	talk(file)

	d := isotpnet.Dialer{Config: isotpnet.Config{ListenOnly: true}}
	c, err := d.Dial("isotp", "candump:"+filepath.ToSlash(file)+",fast/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	answer := make([]byte, 4095)
	for {
		n, err := c.Read(answer)
		if errors.Is(err, candump.ErrEnd) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("% X\n", answer[:n])
	}
	// Output:
	// 62 F1 90 57 41 55 5A 5A 5A
}

// talk has a conversation on a bus that is recorded.
func talk(file string) {
	recorder, err := candump.Create(file, candump.RecorderOptions{
		MaxSize:  100 << 20,
		MaxFiles: 10,
		OnError:  func(err error) { log.Print(err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer recorder.Close()
	bus, err := canbus.Open(context.Background(), "virtual:drive")
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	d := isotpnet.Dialer{Bus: recorder.Wrap(bus, "can0")}
	tester, err := d.Dial("isotp", "/7E0:7E8")
	if err != nil {
		log.Fatal(err)
	}
	defer tester.Close()
	ecu, err := isotpnet.Dial("isotp", "virtual:drive/7E8:7E0")
	if err != nil {
		log.Fatal(err)
	}
	defer ecu.Close()

	done := make(chan error)
	go func() {
		request := make([]byte, 8)
		_, err := io.ReadFull(ecu, request[:3])
		if err == nil {
			_, err = ecu.Write(append([]byte{0x62, 0xF1, 0x90}, "WAUZZZ"...))
		}
		done <- err
	}()
	if _, err := tester.Write([]byte{0x22, 0xF1, 0x90}); err != nil {
		log.Fatal(err)
	}
	if _, err := tester.Read(make([]byte, 4095)); err != nil {
		log.Fatal(err)
	}
	if err := <-done; err != nil {
		log.Fatal(err)
	}
}
