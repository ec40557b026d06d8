package scan

import (
	"sync"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/internal/wire"
)

// A simECU is an ECU, and what is special about it.
type simECU struct {
	hears   []wire.Address
	answers []wire.Address // each answer is sent on all of them
	delay   time.Duration
	silent  bool // to First Frames
	uds     bool // answers 3E 00
	code    byte // with that negative response
	full    bool // ignores frames of less than 8 bytes
	short   bool // does not fill its own frames up
	deaf    bool // to First Frames while it waits for Consecutive Frames
	waits   int  // WAITs before CTS, each 300 ms
	longest uint32
	fd      bool // answers in CAN FD frames
	bs, st  uint8

	busyUntil time.Time // when it no longer waits for Consecutive Frames
}

// A simBus is the tap of all that is simulated.
type simBus struct {
	tap *virtual.Tap
	mu  sync.Mutex // held while tap writes
}

func (b *simBus) write(frames ...canbus.Frame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(frames) > 0 {
		n, err := b.tap.WriteFrames(frames)
		if err != nil {
			return
		}
		frames = frames[n:]
	}
}

// simulate has ECUs answer until the test ends.
func simulate(t *testing.T, n *virtual.Network, ecus []*simECU) *simBus {
	tap, err := n.Tap()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tap.Close() })
	b := &simBus{tap: tap}
	go func() {
		buf := make([]canbus.Frame, 64)
		for {
			n, err := tap.ReadFrames(buf)
			if err != nil {
				return
			}
			for i := range buf[:n] {
				for _, e := range ecus {
					e.hear(b, &buf[i])
				}
			}
		}
	}()
	return b
}

func (e *simECU) hear(b *simBus, f *canbus.Frame) {
	for _, a := range e.hears {
		var pdu wire.PDU
		if f.Has(canbus.Echo) || !a.Match(f) || pdu.Parse(f, a.Overhead()) != wire.OK || e.full && f.Len < 8 {
			continue
		}
		for _, to := range e.answers {
			format := e.format(to)
			var answer canbus.Frame
			switch {
			case pdu.Kind == wire.SingleFrame && e.uds && string(pdu.Data) == "\x3E\x00":
				text := []byte{0x7E, 0}
				if e.code != 0 {
					text = []byte{0x7F, 0x3E, e.code}
				}
				copy(format.SingleFrame(&answer, len(text)), text)
			case pdu.Kind == wire.FirstFrame && !e.silent && !(e.deaf && time.Now().Before(e.busyUntil)):
				e.busyUntil = time.Now().Add(time.Second)
				status := wire.ContinueToSend
				if e.longest > 0 && pdu.Length > e.longest {
					status = wire.Overflow
				}
				for i := range e.waits {
					format.FlowControl(&answer, wire.Wait, 0, 0)
					b.sendAfter(answer, time.Duration(i)*300*time.Millisecond)
				}
				format.FlowControl(&answer, status, e.bs, e.st)
			default:
				continue
			}
			b.sendAfter(answer, e.delay+time.Duration(e.waits)*300*time.Millisecond)
		}
	}
}

func (e *simECU) format(to wire.Address) wire.Format {
	f := wire.Format{Address: to, FrameSize: 8, MinFrameSize: 8, Fill: 0x55, FD: e.fd}
	if e.short {
		f.MinFrameSize = 0
	}
	return f
}

func (b *simBus) sendAfter(f canbus.Frame, after time.Duration) {
	time.AfterFunc(after, func() { b.write(f) })
}

func addr(text string) wire.Address {
	list, err := ParseWithBytes(text)
	if len(text) == 3 || len(text) == 8 {
		list, err = ParseIDs(text)
	}
	if err != nil || list.Len() != 1 {
		panic(text)
	}
	return list.At(0)
}

// ecu returns an ECU with the addresses of a text: what it hears, a colon, where it answers.
func (e simECU) at(hears, answers string) *simECU {
	for _, text := range words(hears) {
		e.hears = append(e.hears, addr(text))
	}
	for _, text := range words(answers) {
		e.answers = append(e.answers, addr(text))
	}
	return &e
}
