package stream

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"
)

// FuzzStream gives an endpoint messages of any kind, with the user doing something
// between them, and checks that it stays within its bounds, answers in the format,
// and never takes more than the window.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 7, 0x07, 0, 7, 0x20, 0, 2, 0x10, 1, 0, 2, 7, 0x27, 0, 7, 0x20, 0, 'h', 'i'})
	f.Add([]byte{3, 0, 0, 7, 0x97, 0, 1, 0x30, 0, 2, 0x10, 4, 0, 0, 5, 0xB5, 0, 1, 0x30, 0})
	f.Add([]byte{3, 0, 0, 7, 0x97, 0, 1, 0x30, 0, 2, 0x00, 4, 0, 6, 100, 0, 7, 0xC7, 0, 1, 0x30, 0, 0, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		var e Endpoint
		number := uint32(0)
		e.Init(Config{MaxMessage: 64, Single: int(normal), PeerSingle: int(normal), Window: 1024, MaxSessions: 4, Random: func() uint32 { number++; return 0x1000_0000 + number }})
		e.Listen(2)
		now := Time(0)
		var live []*Session
		out, in := make([]byte, 64), make([]byte, 300)
		for len(script) >= 2 {
			op, arg := script[0], script[1]
			script = script[2:]
			var s *Session
			if len(live) > 0 {
				s = live[int(arg)%len(live)]
			}
			switch op % 10 {
			case 0, 1: // a message, as it is or with a CHECK that is right
				n := min(int(arg), len(script))
				m := bytes.Clone(script[:n])
				script = script[n:]
				if end := n - checkLen; op%10 == 1 && end >= shortHeader {
					binary.BigEndian.PutUint32(m[end:], crc32.ChecksumIEEE(m[:end]))
				}
				e.HandleMessage(now, m)
			case 2:
				if s := e.Accept(); s != nil {
					live = append(live, s)
				}
			case 3:
				if s, err := e.Dial(now); err == nil {
					live = append(live, s)
				}
			case 4:
				if s != nil && s.Opened() && s.Offered() == 0 && s.own == streaming && !s.closed {
					s.Offer(now, make([]byte, 1+int(arg)))
				}
			case 5:
				if s != nil {
					s.Read(in[:arg])
				}
			case 6:
				now = now.Add(time.Duration(arg) * 20 * time.Millisecond)
				e.HandleTimeout(now)
			case 7:
				if s != nil {
					s.CloseWrite()
				}
			case 8:
				if s != nil {
					s.Close(now)
				}
			case 9:
				e.StopListening()
				e.Listen(int(arg) % 3)
			}
			for i := 0; ; i++ {
				n, _ := e.Poll(out)
				if n == 0 {
					break
				}
				var m message
				if !m.parse(out[:n], normal) {
					t.Fatalf("sent %X", out[:n])
				}
				if i > 1000 {
					t.Fatal("it does not stop sending")
				}
				e.Sent(now, arg%7 != 0 || i > 0, nil)
			}
			if at, ok := e.PollTimeout(); ok && at < now-Time(time.Hour) {
				t.Fatalf("due at %d, now %d", at, now)
			}
			if e.Sessions() > 4 || len(e.sessions) != len(e.list) || e.Waiting() > 2 {
				t.Fatalf("%d sessions (%d named), %d of them waiting", e.Sessions(), len(e.sessions), e.Waiting())
			}
			for _, s := range e.list {
				if s.buf.len() > 1024 || s.sent > s.limit || s.received > s.granted+1024 {
					t.Fatalf("%d bytes buffered, %d of %d sent", s.buf.len(), s.sent, s.limit)
				}
			}
			for s, _ := e.TakeEvents(); s != nil; s, _ = e.TakeEvents() {
			}
		}
	})
}

// FuzzMessage takes messages apart and puts them together again.
func FuzzMessage(f *testing.F) {
	f.Add([]byte{0x07, 0, 7, 0x20, 0, 1, 0x10})
	f.Add([]byte{0x2F, 0, 1, 0, 2, 0, 17, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	f.Add([]byte{0x2C, 0, 1, 0, 2, 1, 2, 3, 4, 5, 6, 7})
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, l := range []single{normal, withByte} {
			var m message
			whole := m.parse(p, l)
			if end := len(p) - checkLen; !whole && end >= shortHeader {
				p = binary.BigEndian.AppendUint32(bytes.Clone(p[:end]), crc32.ChecksumIEEE(p[:end]))
				whole = m.parse(p, l)
			}
			if !whole {
				continue
			}
			b := make([]byte, len(p))
			n := l.put(b, m.kind, m.key^acceptedKey, m.seq, m.payload)
			if !bytes.Equal(b[:n], p) || m.seq != binary.BigEndian.Uint16(p[3:]) {
				t.Errorf("%X was parsed as %+v, which is written %X", p, m, b)
			}
		}
	})
}

func FuzzBuffer(f *testing.F) {
	f.Add([]byte{200, 100, 250, 250, 3, 250, 250})
	f.Fuzz(func(t *testing.T, sizes []byte) {
		var b buffer
		var want []byte
		next := byte(0)
		for i, size := range sizes {
			if i%2 == 0 {
				p := make([]byte, int(size)*5)
				for j := range p {
					p[j] = next
					next++
				}
				b.write(p)
				want = append(want, p...)
			} else {
				p := make([]byte, int(size)*5)
				n := b.take(p)
				if n != min(len(p), len(want)) || !bytes.Equal(p[:n], want[:n]) {
					t.Fatalf("took %d bytes that are not the %d expected", n, min(len(p), len(want)))
				}
				want = want[n:]
			}
			if b.len() != len(want) {
				t.Fatalf("len is %d, want %d", b.len(), len(want))
			}
		}
	})
}
