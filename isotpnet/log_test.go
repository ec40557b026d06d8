package isotpnet_test

import (
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// A fakeLog is a log of so many messages of 20 bytes, numbered, one a second.
type fakeLog struct {
	messages uint32
	frame    uint32 // the next one
	cut      bool   // its last frame is missing
}

var logBegin = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)

func (l *fakeLog) ReadFrames(b []canbus.Frame) (n int, err error) {
	for n < len(b) {
		number, part := l.frame/3, l.frame%3
		if number == l.messages || l.cut && number == l.messages-1 && part == 2 {
			return n, io.EOF
		}
		l.frame++
		f := canbus.Frame{ID: 0x7E8, Len: 8}
		f.Stamp(logBegin.Add(time.Duration(number) * time.Second).UnixNano())
		f.Data[0] = 0x20 + byte(part)
		if part == 0 {
			f.Data[0], f.Data[1] = 0x10, 20
			binary.BigEndian.PutUint32(f.Data[2:], number)
		}
		b[n] = f
		n++
	}
	return n, nil
}

func (*fakeLog) WriteFrames([]canbus.Frame) (int, error) { return 0, errors.ErrUnsupported }
func (*fakeLog) Close() error                            { return nil }

func (*fakeLog) Properties() canbus.Properties {
	return canbus.Properties{Waits: true, OwnTime: true}
}

// TestLongLogIsReadWholeInConstantMemory reads far more than Config.ReadBuffer holds, and
// more slowly than the log comes.
func TestLongLogIsReadWholeInConstantMemory(t *testing.T) {
	const messages = 200_000
	c := dialOn(t, &fakeLog{messages: messages}, "/:7E8", isotpnet.Config{ListenOnly: true})
	buf := make([]byte, 100)
	var before, after runtime.MemStats
	for i := range uint32(messages) {
		n, info, err := c.ReadMessage(buf)
		if err != nil || n != 20 || binary.BigEndian.Uint32(buf) != i {
			t.Fatalf("message %d: %X, %v", i, buf[:n], err)
		}
		if want := logBegin.Add(time.Duration(i) * time.Second); !info.First.Equal(want) || !info.Last.Equal(want) {
			t.Fatalf("message %d came from %v to %v, want %v", i, info.First, info.Last, want)
		}
		switch i {
		case messages / 10:
			runtime.GC()
			runtime.ReadMemStats(&before)
		case messages / 10 * 9:
			runtime.GC()
			runtime.ReadMemStats(&after)
		}
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("%d bytes more after most of the log than after a tenth of it", grown)
	}
	if _, err := c.Read(buf); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestEndOfALogInMidMessageIsTold(t *testing.T) {
	aborted := make(chan isotpnet.TraceEvent, 1)
	c := dialOn(t, &fakeLog{messages: 2, cut: true}, "/:7E8", isotpnet.Config{
		ListenOnly: true, ReportAborted: true,
		Trace: &isotpnet.Trace{ReceptionAborted: func(e isotpnet.TraceEvent) { aborted <- e }},
	})
	buf := make([]byte, 100)
	if _, err := c.Read(buf); err != nil {
		t.Fatal(err)
	}
	_, err := c.Read(buf)
	if p, ok := errors.AsType[*isotpnet.ProtocolError](err); ok && p.Code == isotpnet.CodeBusEnded {
		_, err = c.Read(buf) // it was there before the end
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) || !isotpnet.Final(err) {
		t.Errorf("at the end: %v", err)
	}
	e := <-aborted
	if want := logBegin.Add(time.Second); e.Code != isotpnet.CodeBusEnded || e.Size != 13 || !e.Time.Equal(want) {
		t.Errorf("the trace says %v after %d bytes at %v, want BusEnded after 13 at %v", e.Code, e.Size, e.Time, want)
	}
	if n := c.Stats().Errors[isotpnet.CodeBusEnded]; n != 1 {
		t.Errorf("%d counted", n)
	}
}
