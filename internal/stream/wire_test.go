package stream

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The bytes of messages as the package's documentation has them.
func TestMessagesOnTheWire(t *testing.T) {
	long := make([]byte, 10)
	tests := []struct {
		name    string
		kind    kind
		key     key
		seq     uint16
		payload []byte
		want    string
	}{
		{"OPEN", kindOpen, 0xBEEF, 0x0102, []byte{1, 0xFF}, "07BEEF010201FF"},
		{"ACCEPT", kindAccept, 0xBEEF | acceptedKey, 0x0102, []byte{1, 0xFF}, "97BEEF010201FF"},
		{"DATA of 2 bytes", kindData, 0xBEEF, 0x0102, []byte{0xAA, 0xBB}, "27BEEF0102AABB"},
		{"DATA of 9 bytes", kindData, 1, 2, long[:9], "2E00010002000000000000000000"},
		{"DATA of 10 bytes has a LENGTH", kindData, 1, 2, long, "2F00010002001100000000000000000000"},
		{"END", kindEnd, 0xBEEF | acceptedKey, 0xFFFF, nil, "B5BEEFFFFF"},
		{"WINDOW", kindWindow, 1, 2, []byte{0x12, 0x34}, "47000100021234"},
		{"RESET", kindReset, 1, 2, []byte{3}, "560001000203"},
		{"PING", kindPing, 1, 2, []byte{0, 1}, "67000100020001"},
		{"PONG", kindPong, 1 | acceptedKey, 2, []byte{0, 1}, "F7000100020001"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b [64]byte
			n := put(b[:], tt.kind, tt.key, tt.seq, len(tt.payload))
			n += copy(b[n:], tt.payload)
			if got := hex.EncodeToString(b[:n]); got != hex.EncodeToString(unhex(t, tt.want)) {
				t.Fatalf("wrote %s, want %s", got, tt.want)
			}
			var m message
			if !m.parse(b[:n]) {
				t.Fatal("does not parse")
			}
			// What we send in a session that we have opened the peer receives in
			// one that it has accepted.
			if m.kind != tt.kind || m.key != tt.key^acceptedKey || m.seq != tt.seq || !bytes.Equal(m.payload, tt.payload) {
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
		{"OPEN of an acceptor", "87000100020110"},
		{"ACCEPT of an opener", "17000100020110"},
		{"OPEN without a window", "060001000201"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m message
			if m.parse(unhex(t, tt.message)) {
				t.Errorf("parsed as %v", m.kind)
			}
		})
	}
}

// Whatever becomes of the length that ISO-TP's N_PCI gives, it is noticed.
func TestEveryChangeOfTheLengthIsNoticed(t *testing.T) {
	p := make([]byte, MaxMessage)
	for _, n := range []int{1, 2, 9, 10, 50, 4088} {
		size := put(p, kindData, 1, 2, n) + n
		for other := range len(p) {
			var m message
			if other != size && m.parse(p[:other]) {
				t.Fatalf("a message of %d bytes was taken when it had %d", size, other)
			}
		}
	}
}

func TestRoomFillsMessages(t *testing.T) {
	p := make([]byte, MaxMessage)
	for length := MinMessage; length <= MaxMessage; length++ {
		n := room(length)
		if got := put(p, kindData, 1, 2, n) + n; got > length || length >= 17 && got < length {
			t.Fatalf("%d bytes of data make a message of %d, want %d", n, got, length)
		}
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
