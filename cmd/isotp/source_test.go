package main

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/sniff"
)

// A frame of a live bus is shown when it comes, and an interrupt is no error.
func TestALiveBusIsShownUntilInterrupted(t *testing.T) {
	const name = "virtual:listened"
	bus, err := canbus.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	for _, command := range []string{"dump --time none", "sniff --time none"} {
		t.Run(command, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			r, w := io.Pipe()
			ended := make(chan int, 1)
			go func() {
				ended <- run(ctx, append(words(command), name), nil, w, io.Discard)
				w.Close()
			}()
			shown := make(chan string, 1)
			go func() {
				p := make([]byte, 1000)
				n, _ := r.Read(p)
				shown <- string(p[:n])
				io.Copy(io.Discard, r)
			}()
			f, err := canbus.ParseFrame("7E0#023E00")
			if err != nil {
				t.Fatal(err)
			}
			// Nothing says that the command listens by now: it is sent until it is shown.
			for again := time.NewTicker(time.Millisecond); ; {
				if _, err := bus.WriteFrames([]canbus.Frame{f}); err != nil {
					t.Fatal(err)
				}
				select {
				case text := <-shown:
					if !strings.HasPrefix(text, " can0  7E0  [") || !strings.Contains(text, "3E 00") {
						t.Errorf("it shows %q", text)
					}
				case <-again.C:
					continue
				}
				again.Stop()
				break
			}
			interrupt()
			if status := <-ended; status != exitOK {
				t.Errorf("exit status %d", status)
			}
		})
	}
}

// A frame that was in time, and is read 300 ms later, comes in time.
func TestAFrameOfALiveBusMayBeReadLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var results []sniff.Result
		sniffer, err := sniff.New(sniff.Options{Message: func(m *sniff.Message) { results = append(results, m.Result) }})
		if err != nil {
			t.Fatal(err)
		}
		src := &source{Live: true}
		begin := time.Now()
		frame := func(text string, after time.Duration) {
			f, err := canbus.ParseFrame(text)
			if err != nil {
				t.Fatal(err)
			}
			f.Stamp(begin.Add(after).UnixNano())
			sniffer.Frame(&f, "can0")
		}
		frame("7E0#100A111111111111", 0)
		time.Sleep(1200 * time.Millisecond)
		src.advance(sniffer)
		frame("7E0#2122222222", 900*time.Millisecond)
		if len(results) != 1 || results[0] != sniff.Complete {
			t.Errorf("the message is %v", results)
		}
	})
}
