package stream

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A script drives one endpoint by hand, and plays its peer with messages as text:
//
//	OPEN 0001 1234 01 02   KIND, SESSION, SEQ and the payload in hexadecimal
//
// "<" before the kind says that it is from the session's acceptor, ">" that it is
// from its opener.
type script struct {
	*testing.T
	e   Endpoint
	now Time
	out [MaxMessage]byte
}

// normal is with normal addressing, withByte with an address byte.
const normal, withByte single = 7, 6

// newScript makes an endpoint that numbers its sessions from 1 on, and has 0x1000 as
// its first SEQ.
func newScript(t *testing.T, change ...func(*Config)) *script {
	number := uint32(0)
	cfg := Config{
		MaxMessage:  MaxMessage,
		Single:      int(normal),
		PeerSingle:  int(normal),
		Window:      4096,
		MaxSessions: 8,
		Random:      func() uint32 { number++; return 0x1000_0000 + number },
	}
	for _, f := range change {
		f(&cfg)
	}
	sc := &script{T: t, now: 1000}
	sc.e.Init(cfg)
	return sc
}

// text writes a message as the script has it.
func text(p []byte) string {
	var m message
	if !m.parse(p, normal) {
		return fmt.Sprintf("damaged %X", p)
	}
	from := ">"
	if p[0]&fromAcceptor != 0 {
		from = "<"
	}
	s := fmt.Sprintf("%s%v %04X %04X", from, m.kind, uint16(m.key), m.seq)
	for i, b := range m.payload {
		if i == 8 {
			return s + fmt.Sprintf(" and %d more", len(m.payload)-i)
		}
		s += fmt.Sprintf(" %02X", b)
	}
	return s
}

// bytesOf makes a message of its text.
func (sc *script) bytesOf(s string) []byte {
	sc.Helper()
	words := strings.Fields(s)
	var k kind
	for i, name := range kindNames {
		if name == words[0][1:] {
			k = kind(i)
		}
	}
	b, err := hex.DecodeString(strings.Join(words[1:], ""))
	if err != nil || k.String() != words[0][1:] {
		sc.Fatalf("bad message %q", s)
	}
	p := make([]byte, MaxMessage)
	key := key(b[0])<<8 | key(b[1])
	if words[0][0] == '<' {
		key |= acceptedKey
	}
	return p[:normal.put(p, k, key, uint16(b[2])<<8|uint16(b[3]), b[4:])]
}

// gets gives the endpoint messages from its peer.
func (sc *script) gets(messages ...string) {
	sc.Helper()
	for _, m := range messages {
		sc.e.HandleMessage(sc.now, sc.bytesOf(m))
	}
}

// poll returns the next message, "" if there is none.
func (sc *script) poll() string {
	n, _ := sc.e.Poll(sc.out[:])
	if n == 0 {
		return ""
	}
	return text(sc.out[:n])
}

// sends checks which messages the endpoint sends, and that there are no others.
func (sc *script) sends(messages ...string) {
	sc.Helper()
	for i := 0; ; i++ {
		m := sc.poll()
		if m != "" {
			sc.e.Sent(sc.now, true, nil)
		}
		switch {
		case i < len(messages) && m != messages[i]:
			sc.Fatalf("sends %q, want %q", m, messages[i])
		case i >= len(messages) && m != "":
			sc.Fatalf("sends %q, want nothing more", m)
		case m == "":
			return
		}
	}
}

// after lets time pass, calling HandleTimeout as asked.
func (sc *script) after(d time.Duration) {
	end := sc.now.Add(d)
	for {
		at, ok := sc.e.PollTimeout()
		if !ok || at > end {
			break
		}
		sc.now = max(sc.now, at)
		sc.e.HandleTimeout(sc.now)
	}
	sc.now = end
}

// dial opens a session, where the peer's first SEQ is 0x3000.
func (sc *script) dial() *Session {
	sc.Helper()
	s, err := sc.e.Dial(sc.now)
	if err != nil {
		sc.Fatal(err)
	}
	sc.sends(fmt.Sprintf(">OPEN %04X %04X 02 10", uint16(s.key), s.first))
	sc.gets(fmt.Sprintf("<ACCEPT %04X 3000 02 10", uint16(s.key)))
	if !s.Opened() || s.Err() != nil {
		sc.Fatal("the session is not open")
	}
	return s
}

// accept lets the peer open the session of that number, with the first SEQ 0x2000.
func (sc *script) accept(number int) *Session {
	sc.Helper()
	sc.e.Listen(4)
	sc.gets(fmt.Sprintf(">OPEN %04X 2000 02 10", number))
	sc.sends(fmt.Sprintf("<ACCEPT %04X 1000 02 10", number))
	s := sc.e.Accept()
	if s == nil {
		sc.Fatal("nothing to accept")
	}
	return s
}

// reads checks what can be read, the error behind it included.
func (sc *script) reads(s *Session, want string) {
	sc.Helper()
	var got strings.Builder
	p := make([]byte, 100)
	for {
		n, err := s.Read(p)
		fmt.Fprintf(&got, "%X", p[:n])
		if err != nil {
			fmt.Fprintf(&got, " %v", err)
		}
		if n == 0 {
			break
		}
	}
	if got := strings.TrimSpace(got.String()); got != want {
		sc.Fatalf("read %q, want %q", got, want)
	}
}

// gone checks that the session is over.
func (sc *script) gone(s *Session, err string) {
	sc.Helper()
	got := ""
	if s.Err() != nil {
		got = s.Err().Error()
	}
	if s.state != gone || got != err {
		sc.Fatalf("the session is in state %d with the error %q; want it gone with %q", s.state, got, err)
	}
}
