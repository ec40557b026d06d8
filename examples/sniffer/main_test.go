package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

func TestSniffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, err := canbus.Open(t.Context(), "virtual:sniffer")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var out bytes.Buffer
		ended := make(chan error)
		go func() { ended <- listen(ctx, &out, bus) }()
		exchange(t)
		synctest.Wait()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		begin := time.Now().Format("15:04:05.000000")
		want := begin + "  7E0  [3]  22 F1 90  \n" +
			begin + "  7E8  [12]  62 F1 90 57 56 57 5A 5A 5A 31 4A 5A  \n"
		if out.String() != want {
			t.Errorf("%s\nwant\n%s", &out, want)
		}
	})
}

// A pulled is the bus of an adapter that is pulled out.
type pulled struct{ canbus.Bus }

func (pulled) ReadFrames([]canbus.Frame) (int, error) {
	return 0, &canbus.GoneError{Bus: "the adapter", Err: io.ErrUnexpectedEOF}
}

func (pulled) Close() error { return nil }

func TestAnAdapterThatIsPulledOut(t *testing.T) {
	err := listen(t.Context(), io.Discard, pulled{})
	if _, gone := errors.AsType[*canbus.GoneError](err); !gone {
		t.Errorf("%v, want that the adapter is gone", err)
	}
}

// exchange sends a request and its answer.
func exchange(t *testing.T) {
	t.Helper()
	ecu, err := isotpnet.Dial("isotp", "virtual:sniffer/7E8:7E0")
	if err != nil {
		t.Fatal(err)
	}
	defer ecu.Close()
	tester, err := isotpnet.Dial("isotp", "virtual:sniffer/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	defer tester.Close()
	buf := make([]byte, 100)
	for _, step := range []struct {
		from, to interface {
			Write([]byte) (int, error)
			Read([]byte) (int, error)
		}
		message string
	}{{tester, ecu, "\x22\xF1\x90"}, {ecu, tester, "\x62\xF1\x90WVWZZZ1JZ"}} {
		if _, err := step.from.Write([]byte(step.message)); err != nil {
			t.Fatal(err)
		}
		if n, err := step.to.Read(buf); err != nil || string(buf[:n]) != step.message {
			t.Fatalf("% X, %v", buf[:n], err)
		}
	}
}
