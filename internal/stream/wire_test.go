package stream

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"
)

// The bytes of messages as the package's documentation has them.
func TestMessagesOnTheWire(t *testing.T) {
	tests := []struct {
		name    string
		single  single
		kind    kind
		key     key
		seq     uint16
		payload string
		want    string
	}{
		{"OPEN", normal, kindOpen, 0xBEEF, 0x0102, "02FF", "07BEEF010202FF"},
		{"ACCEPT", normal, kindAccept, 0xBEEF | acceptedKey, 0x0102, "02FF", "97BEEF010202FF"},
		{"DATA of 2 bytes", normal, kindData, 0xBEEF, 0x0102, "AABB", "27BEEF0102AABB"},
		{"DATA of 3 bytes has a CHECK", normal, kindData, 0xBEEF, 0x0102, "010203", "2CBEEF0102010203 61378DEE"},
		{"DATA of 5 bytes", normal, kindData, 1, 2, "0000000000", "2E000100020000000000 337CFA80"},
		{"DATA of 6 bytes has a LENGTH", normal, kindData, 0xBEEF, 0x0103, "010203040506", "2FBEEF01030011010203040506 95BA13DF"},
		{"END", normal, kindEnd, 0xBEEF | acceptedKey, 0xFFFF, "", "B5BEEFFFFF"},
		{"WINDOW", normal, kindWindow, 1, 2, "1234", "47000100021234"},
		{"RESET", normal, kindReset, 1, 2, "03", "560001000203"},
		{"PING", normal, kindPing, 1, 2, "0001", "67000100020001"},
		{"PONG", normal, kindPong, 1 | acceptedKey, 2, "0001", "F7000100020001"},

		{"OPEN with an address byte", withByte, kindOpen, 0xBEEF, 0x0102, "02FF", "07BEEF010202FF"},
		{"RESET with an address byte", withByte, kindReset, 1, 2, "0602", "57000100020602"},
		{"DATA of 1 byte with an address byte", withByte, kindData, 1, 2, "AA", "2600010002AA"},
		{"DATA of 2 bytes with an address byte", withByte, kindData, 1, 2, "AABB", "2B00010002AABB 666971A1"},
		{"PING with an address byte", withByte, kindPing, 1, 2, "0001", "6B000100020001 5D3E0A29"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b [64]byte
			payload := unhex(t, tt.payload)
			n := tt.single.put(b[:], tt.kind, tt.key, tt.seq, payload)
			if got := hex.EncodeToString(b[:n]); got != hex.EncodeToString(unhex(t, tt.want)) {
				t.Fatalf("wrote %s, want %s", got, tt.want)
			}
			var m message
			if !m.parse(b[:n], tt.single) {
				t.Fatal("does not parse")
			}
			// What we send in a session that we have opened the peer receives in
			// one that it has accepted.
			if m.kind != tt.kind || m.key != tt.key^acceptedKey || m.seq != tt.seq || !bytes.Equal(m.payload, payload) {
				t.Errorf("parsed %+v", m)
			}
		})
	}
}

func TestDamagedMessagesAreNone(t *testing.T) {
	for _, tt := range []struct{ name, message string }{
		{"empty", ""},
		{"shorter than a header", "24000100"},
		{"LEN below 5", "2400010002"},
		{"one byte lost", "2700010002AA"},
		{"one byte too many", "2700010002AABBCC"},
		{"LEN 15 without room for LENGTH", "2F0001000200"},
		{"LENGTH where LEN would do", "2F0001000200100000000000000000 00"},
		{"LENGTH too long", "2F00010002001200000000000000000000"},
		{"DATA without data", "2500010002"},
		{"DATA without a CHECK", "2800010002AABBCC"},
		{"a wrong CHECK", "2CBEEF0102010203 61378DEF"},
		{"a CHECK of other data", "2CBEEF0102010204 61378DEE"},
		{"a CHECK of another SEQ", "2CBEEF0103010203 61378DEE"},
		{"a CHECK where there is none", "2B00010002AABB 666971A1"},
		{"OPEN of an acceptor", "87000100020210"},
		{"ACCEPT of an opener", "17000100020210"},
		{"OPEN without a window", "060001000202"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m message
			if m.parse(unhex(t, tt.message), normal) {
				t.Errorf("parsed as %v", m.kind)
			}
		})
	}
}

// Whatever becomes of the length that ISO-TP's N_PCI gives, it is noticed.
func TestEveryChangeOfTheLengthIsNoticed(t *testing.T) {
	p := make([]byte, MaxMessage)
	for _, n := range []int{1, 2, 5, 6, 10, 50, MaxData} {
		size := normal.put(p, kindData, 1, 2, make([]byte, n))
		for other := range len(p) + 1 {
			var m message
			if other != size && m.parse(p[:other], normal) {
				t.Fatalf("a message of %d bytes was taken when it had %d", size, other)
			}
		}
	}
}

func TestRoomFillsMessages(t *testing.T) {
	p := make([]byte, MaxMessage+2)
	for _, l := range []single{normal, withByte} {
		for length := MinMessage(int(l)); length <= MaxMessage; length++ {
			n := l.room(length)
			if got := l.put(p, kindData, 1, 2, make([]byte, n)); got > length || length >= minLong && got < length {
				t.Fatalf("%d bytes of data make a message of %d, want %d", n, got, length)
			}
		}
	}
}

// frameBorders are those of a message in classic CAN's frames.
func frameBorders(length int, l single) (at []int) {
	perFrame := int(l) // of a Consecutive Frame; a First Frame has one less
	for i := perFrame - 1; i < length; i += perFrame {
		at = append(at, i)
	}
	return at
}

// The beginning of one message and the end of another are none of the two, however
// much alike they are.
func TestMessageMadeOfTwoIsNone(t *testing.T) {
	ours := func(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }
	oneBit := ours('P', MaxData)
	oneBit[0] ^= 1
	type part struct {
		key  key
		seq  uint16
		data []byte
	}
	for _, tt := range []struct {
		name   string
		p, q   part
		single single
	}{
		{"of two sessions", part{1, 7, ours('P', MaxData)}, part{2, 7, ours('Q', MaxData)}, normal},
		{"of one session, one SEQ and one LENGTH", part{1, 7, ours('P', MaxData)}, part{1, 7, ours('Q', MaxData)}, normal},
		{"that differ in a bit", part{1, 7, ours('P', MaxData)}, part{1, 7, oneBit}, normal},
		{"that differ in the header", part{1, 7, ours('P', MaxData)}, part{1, 8, ours('P', MaxData)}, normal},
		{"of one byte's opener and acceptor", part{1, 7, ours('P', 100)}, part{1 | acceptedKey, 7, ours('P', 100)}, normal},
		{"the shortest", part{1, 7, ours('P', 3)}, part{1, 7, ours('Q', 3)}, normal},
		{"the shortest with an address byte", part{1, 7, ours('P', 2)}, part{1, 8, ours('Q', 2)}, withByte},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p, q, mixed [MaxMessage]byte
			n := tt.single.put(p[:], kindData, tt.p.key, tt.p.seq, tt.p.data)
			if tt.single.put(q[:], kindData, tt.q.key, tt.q.seq, tt.q.data) != n {
				t.Fatal("they are not of one length")
			}
			for _, at := range frameBorders(n, tt.single) {
				copy(mixed[:], p[:at])
				copy(mixed[at:], q[at:n])
				var m message
				if m.parse(mixed[:n], tt.single) && !bytes.Equal(mixed[:n], q[:n]) && !bytes.Equal(mixed[:n], p[:n]) {
					t.Fatalf("%d bytes of the one and %d of the other were taken", at, n-at)
				}
			}
		})
	}
}

// With an address byte the messages without data have more than one frame.
func TestControlMessageMadeOfTwoIsNone(t *testing.T) {
	for _, k := range []kind{kindAccept, kindWindow, kindPing, kindPong} {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			var p, q [MaxMessage]byte
			n := withByte.put(p[:], k, 1|acceptedKey, 7, []byte{2, 1})
			withByte.put(q[:], k, 2|acceptedKey, 7, []byte{2, 255})
			var m message
			copy(p[5:], q[5:n])
			if m.parse(p[:n], withByte) {
				t.Error("the header of one was taken with the payload of another")
			}
		})
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMaxWindowIsWhatOneByteCounts(t *testing.T) {
	sc := newScript(t, func(c *Config) { c.Window = MaxWindow })
	sc.e.Dial(sc.now)
	sc.sends(">OPEN 0001 1000 02 FF")
}
