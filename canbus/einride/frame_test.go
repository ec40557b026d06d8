package einride

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"go.einride.tech/can/pkg/socketcan"
)

var layouts = []struct {
	raw   string
	frame canbus.Frame
}{
	{"23010000 00 000000 0000000000000000", canbus.Frame{ID: 0x123}},
	{"E0070000 03 000000 2210900000000000", canbus.Frame{ID: 0x7E0, Len: 3, Data: [64]byte{0x22, 0x10, 0x90}}},
	{"10F1DA98 08 000000 0102030405060708", canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended, Len: 8, Data: [64]byte{1, 2, 3, 4, 5, 6, 7, 8}}},
	{"23010040 08 000000 0000000000000000", canbus.Frame{ID: 0x123, Flags: canbus.Remote, Len: 8}},
	{"FFFFFFDF 00 000000 0000000000000000", canbus.Frame{ID: canbus.MaxExtendedID, Flags: canbus.Remote | canbus.Extended}},
	{"04000020 08 000000 000C000000006000", canbus.Frame{ID: 0x04, Flags: canbus.ErrorFrame, Len: 8, Data: [64]byte{1: 0x0C, 6: 0x60}}},
}

func raw(t *testing.T, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFramesAreSixteenBytes(t *testing.T) {
	for _, c := range layouts {
		want := raw(t, c.raw)
		if got := appendFrame(nil, &c.frame); !bytes.Equal(got, want) {
			t.Errorf("%v is written %X, want %X", c.frame, got, want)
		}
		if got, err := parseFrame(want); err != nil || got != c.frame {
			t.Errorf("%X is read as %v, %v; want %v", want, got, err, c.frame)
		}
	}
}

func TestWhatHasNoMeaningIsNotRead(t *testing.T) {
	for digits, want := range map[string]canbus.Frame{
		"2389FF1F 01 FFFFFF AABBCCDDEEFF0011": {ID: 0x123, Len: 1, Data: [64]byte{0xAA}}, // 11 bits of identifier
		"23010040 02 000000 AABBCCDDEEFF0011": {ID: 0x123, Flags: canbus.Remote, Len: 2},
		"800000E0 00 000000 0000000000000000": {ID: 0x80, Flags: canbus.ErrorFrame},
	} {
		if got, err := parseFrame(raw(t, digits)); err != nil || got != want {
			t.Errorf("%s is read as %v, %v; want %v", digits, got, err, want)
		}
	}
	for _, digits := range []string{"23010000 09 000000 0000000000000000", "23010000 FF 000000 0000000000000000"} {
		if f, err := parseFrame(raw(t, digits)); err == nil {
			t.Errorf("%s is read as %v", digits, f)
		}
	}
}

// theirs is what their library reads of 16 bytes.
func theirs(b []byte) (f canbus.Frame) {
	var s socketcan.Frame
	s.UnmarshalBinary(b)
	d := s.DecodeFrame()
	f = canbus.Frame{ID: d.ID, Len: d.Length}
	if s.IsError() {
		f.Flags, f.ID = canbus.ErrorFrame, uint32(s.DecodeErrorFrame().ErrorClass)&canbus.MaxExtendedID
	} else {
		if d.IsExtended {
			f.Flags |= canbus.Extended
		}
		if d.IsRemote {
			f.Flags |= canbus.Remote
		}
	}
	if !f.Has(canbus.Remote) {
		copy(f.Data[:], d.Data[:min(d.Length, 8)])
	}
	return f
}

// FuzzFrames reads anything as what comes through a connection, in pieces of any
// size: frames do not depend on the pieces, are those that their library reads, and
// are written as they were read.
func FuzzFrames(f *testing.F) {
	var all []byte
	for _, c := range layouts {
		b, err := hex.DecodeString(strings.ReplaceAll(c.raw, " ", ""))
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, b...)
		f.Add(b, 1)
	}
	f.Add(all, 7)
	f.Add(all[:50], 16)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if len(b) > 16*frameLen {
			return // go test would make a long one shorter for a minute, and run nothing else
		}
		read := func(size int) (frames []canbus.Frame) {
			bus := NewBus(&script{chunks: slices.Collect(slices.Chunk(b, size))})
			buf := make([]canbus.Frame, 3)
			for {
				n, err := bus.ReadFrames(buf)
				for _, f := range buf[:n] {
					f.Timestamp = 0
					f.Flags &^= canbus.Timed
					frames = append(frames, f)
				}
				if err != nil {
					if n := uint64(len(frames)) + bus.Malformed(); n != uint64(len(b)/frameLen) {
						t.Errorf("%d frames of %d bytes, malformed ones included", n, len(b))
					}
					return frames
				}
			}
		}
		frames := read(max(size, 1))
		if whole := read(max(len(b), 1)); !slices.Equal(frames, whole) {
			t.Errorf("%X in pieces of %d is %v, whole %v", b, size, frames, whole)
		}
		var want []canbus.Frame
		for ; len(b) >= frameLen; b = b[frameLen:] {
			if f := theirs(b); f.Len <= canbus.MaxClassicLen {
				want = append(want, f)
			}
		}
		if !slices.Equal(frames, want) {
			t.Errorf("read %v; their library %v", frames, want)
		}
		for _, f := range frames {
			if again, err := parseFrame(appendFrame(nil, &f)); err != nil || again != f {
				t.Errorf("%v was written and read as %v, %v", f, again, err)
			}
			if err := f.Validate(); err != nil && !f.Has(canbus.ErrorFrame) {
				t.Error(err)
			}
		}
	})
}

// A script is a connection on which these chunks come, and then its end.
type script struct {
	net.Conn // nil
	chunks   [][]byte
}

func (*script) RemoteAddr() net.Addr        { return nil }
func (*script) SetDeadline(time.Time) error { return nil }
func (*script) Close() error                { return nil }

func (s *script) Read(p []byte) (int, error) {
	if len(s.chunks) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.chunks[0])
	if s.chunks[0] = s.chunks[0][n:]; len(s.chunks[0]) == 0 {
		s.chunks = s.chunks[1:]
	}
	return n, nil
}
