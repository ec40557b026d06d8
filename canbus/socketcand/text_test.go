package socketcand

import (
	"slices"
	"strings"
	"testing"

	"example.com/isotp/canbus"
)

var texts = []struct {
	frame          canbus.Frame
	send, received string
}{
	{canbus.Frame{ID: 0x123}, "< send 123 0 >", "< frame 123 23.424242  >"},
	{canbus.Frame{ID: 0x123, Len: 4, Data: [64]byte{0x11, 0x22, 0x33, 0x44}}, "< send 123 4 11 22 33 44 >", "< frame 123 23.424242 11223344 >"},
	{canbus.Frame{ID: 0x1AAAAAAA, Flags: canbus.Extended, Len: 2, Data: [64]byte{1, 0xF1}}, "< send 1AAAAAAA 2 01 F1 >", "< frame 1AAAAAAA 23.424242 01F1 >"},
	{canbus.Frame{ID: 5, Flags: canbus.Extended}, "< send 00000005 0 >", "< frame 00000005 23.424242  >"},
	{canbus.Frame{ID: 0x123, Flags: canbus.FD | canbus.BRS, Len: 12, Data: [64]byte{11: 9}}, "< fdsend 123 01 12 00 00 00 00 00 00 00 00 00 00 00 09 >", "< fdframe 123 01 23.424242 000000000000000000000009 >"},
	{canbus.Frame{ID: 0x123, Flags: canbus.FD | canbus.ESI}, "< fdsend 123 02 0 >", "< fdframe 123 02 23.424242  >"},
}

func words(t *testing.T, text string) []string {
	t.Helper()
	var l lexer
	w, rest, done := l.next([]byte(text))
	if !done || len(rest) > 0 {
		t.Fatalf("%q is not one element", text)
	}
	return w
}

func TestFramesAreText(t *testing.T) {
	for _, c := range texts {
		if got := string(appendSend(nil, &c.frame)); got != c.send {
			t.Errorf("sent as %q, want %q", got, c.send)
		}
		if got, err := parseSend(words(t, c.send)); err != nil || got != c.frame {
			t.Errorf("%q is %v, %v; want %v", c.send, got, err, c.frame)
		}
		stamped := c.frame
		stamped.Stamp(23_424_242_000)
		if got := string(appendFrame(nil, &stamped)); got != c.received {
			t.Errorf("received as %q, want %q", got, c.received)
		}
		if got, err := parseFrame(words(t, c.received)); err != nil || got != stamped {
			t.Errorf("%q is %v, %v; want %v", c.received, got, err, stamped)
		}
	}
}

// FuzzElements reads anything, in pieces of any size: what is read does not depend
// on the pieces, and each frame is written as it was read.
func FuzzElements(f *testing.F) {
	for _, c := range texts {
		f.Add([]byte(c.send+c.received), 3)
	}
	f.Add([]byte("< error 004 1.000001 >x< error unknown command >< ok ><hi><>"), 1)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		type result struct {
			sent, received []canbus.Frame
			other          int
		}
		read := func(size int) (r result) {
			var l lexer
			for chunk := range slices.Chunk(b, size) {
				for {
					words, rest, done := l.next(chunk)
					if !done {
						break
					}
					chunk = rest
					if f, err := parseSend(words); err == nil && strings.HasSuffix(words[0], "send") {
						r.sent = append(r.sent, f)
					} else if f, err := parseElement(words); err == nil {
						r.received = append(r.received, f)
					} else {
						r.other++
					}
				}
			}
			return r
		}
		whole, pieces := read(max(len(b), 1)), read(max(size, 1))
		if !slices.Equal(whole.sent, pieces.sent) || !slices.Equal(whole.received, pieces.received) || whole.other != pieces.other {
			t.Errorf("%q in pieces of %d is %v, whole %v", b, size, pieces, whole)
		}
		for _, f := range whole.sent {
			if again, err := parseSend(words(t, string(appendSend(nil, &f)))); err != nil || again != f {
				t.Errorf("%v was written, and read as %v, %v", f, again, err)
			}
		}
		for _, f := range whole.received {
			if again, err := parseFrame(words(t, string(appendFrame(nil, &f)))); err != nil || again != f {
				t.Errorf("%v was written, and read as %v, %v", f, again, err)
			}
		}
	})
}
