package wire

import (
	"bytes"
	"testing"

	"example.com/isotp/canbus"
)

// FuzzParse reads arbitrary frames: what Parse accepts lies inside the frame and
// within the standard's bounds.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "01 AA", "07 01 02 03 04 05 06 07", "00 08 01 02 03 04 05 06 07 08 CC CC", zeros("00 3E", 62),
		"10 08 01 02 03 04 05 06", "10 00 00 00 10 00 01 02", zeros("10 3F", 62), "10 14",
		"21 01 02 03 04 05 06 07", "2F", "30 00 00", "31 08 F1 CC CC CC CC CC", "32 00", "3F FF FF", "40", "F1 10 07 01 02 03 04 05",
	} {
		fr := frame(s)
		f.Add(fr.Payload(), uint8(0), false)
		f.Add(fr.Payload(), uint8(canbus.FD), true)
	}
	f.Fuzz(func(t *testing.T, payload []byte, flags uint8, hasByte bool) {
		fr := canbus.Frame{ID: 0x7E8, Flags: canbus.Flags(flags), Len: uint8(len(payload))}
		copy(fr.Data[:], payload)
		overhead := Address{HasByte: hasByte}.Overhead()
		var p PDU
		if p.Parse(&fr, overhead) != OK {
			return
		}
		if fr.Len > canbus.MaxLen || fr.Flags&(canbus.Remote|canbus.ErrorFrame) != 0 {
			t.Fatalf("a frame of %d bytes with flags %b was accepted", fr.Len, flags)
		}
		size := int(fr.Len)
		if n := len(p.Data); n > 0 {
			// The data lies in the frame: a change there is seen here.
			if room := size - overhead - 1; n > room {
				t.Fatalf("%d bytes of data in a frame with room for %d", n, room)
			}
			before := fr
			for i := range p.Data {
				p.Data[i] ^= 0xFF
			}
			changed := 0
			for i := range fr.Data {
				if fr.Data[i] != before.Data[i] {
					if i < overhead+1 || i >= size {
						t.Fatalf("the data covers byte %d of %d", i, size)
					}
					changed++
				}
			}
			if changed != n {
				t.Fatalf("%d of the frame's bytes changed with the data, want %d", changed, n)
			}
		}
		switch p.Kind {
		case SingleFrame:
			if p.Length == 0 || int(p.Length) != len(p.Data) || int(p.Length) > MaxSingle(max(size, canbus.MaxClassicLen), overhead) {
				t.Fatalf("Single Frame of %d bytes with %d of %d", size, len(p.Data), p.Length)
			}
		case FirstFrame:
			if size < 8 || !canbus.ValidLen(size, true) || int64(p.Length) <= int64(len(p.Data)) || int64(p.Length) <= int64(MaxSingle(size, overhead)) {
				t.Fatalf("First Frame of %d bytes with %d of %d", size, len(p.Data), p.Length)
			}
		case ConsecutiveFrame:
			if p.SN > 15 || len(p.Data) != size-overhead-1 {
				t.Fatalf("Consecutive Frame %d of %d bytes with %d", p.SN, size, len(p.Data))
			}
		case FlowControl:
			if p.Status > 15 || p.Data != nil || size < 3+overhead {
				t.Fatalf("flow control %d of %d bytes", p.Status, size)
			}
		default:
			t.Fatalf("kind %d", p.Kind)
		}
	})
}

// FuzzFormat writes frames in every Format: they are valid on the bus, filled up
// as they should be, and Parse reads back what was written.
func FuzzFormat(f *testing.F) {
	f.Add(uint8(0), uint8(8), uint8(0), uint32(7), uint8(1), false, false)
	f.Add(uint8(7), uint8(0), uint8(1), uint32(62), uint8(15), true, true)
	f.Add(uint8(7), uint8(64), uint8(1), uint32(3), uint8(2), true, false)
	f.Add(uint8(1), uint8(12), uint8(2), uint32(4096), uint8(3), true, true)
	f.Add(uint8(0), uint8(0), uint8(2), uint32(1<<32-1), uint8(0), false, true)
	f.Add(uint8(3), uint8(8), uint8(3), uint32(0x0814), uint8(0xF1), true, false)
	f.Fuzz(func(t *testing.T, frameSize, minFrameSize, kind uint8, length uint32, extra uint8, fd, hasByte bool) {
		sizes := []int{8, 12, 16, 20, 24, 32, 48, 64}
		format := Format{
			Address:   Address{ID: 0x18DA10F1, Extended: true, HasByte: hasByte, Byte: 0x5A},
			FrameSize: 8, Fill: 0xCC, FD: fd, BRS: fd,
		}
		if fd {
			format.FrameSize = sizes[frameSize%8]
		}
		format.MinFrameSize = min(canbus.PadLen(int(minFrameSize)), format.FrameSize)

		var fr canbus.Frame
		for i := range fr.Data {
			fr.Data[i] = 0xEE // from whatever stood there before
		}
		var data []byte
		used := format.Address.Overhead()
		switch Kind(kind % 4) {
		case SingleFrame:
			length = 1 + length%uint32(format.MaxSingle())
			data = format.SingleFrame(&fr, int(length))
			used += 1 + len(data)
			if fr.Len > canbus.MaxClassicLen {
				used++
			}
		case FirstFrame:
			length = max(length, uint32(format.MaxSingle())+1)
			data = format.FirstFrame(&fr, length)
			used = format.FrameSize
			if fr.Len != uint8(format.FrameSize) {
				t.Fatalf("a First Frame of %d bytes, TX_DL is %d", fr.Len, format.FrameSize)
			}
		case ConsecutiveFrame:
			length = 1 + length%uint32(format.ConsecutiveData())
			data = format.ConsecutiveFrame(&fr, extra, int(length))
			used += 1 + len(data)
		case FlowControl:
			format.FlowControl(&fr, FlowStatus(length&0xF), uint8(length>>4), extra)
			used += 3
		}
		for i := range data {
			data[i] = byte(i*31) ^ extra
		}
		written := append([]byte(nil), data...)

		if err := fr.Validate(); err != nil {
			t.Fatal(err)
		}
		if int(fr.Len) > format.FrameSize || int(fr.Len) < format.MinFrameSize {
			t.Fatalf("%d bytes, want %d to %d", fr.Len, format.MinFrameSize, format.FrameSize)
		}
		for i, b := range fr.Data[used:fr.Len] {
			if b != format.Fill {
				t.Fatalf("byte %d of %v is not padding", used+i, fr)
			}
		}
		if !format.Address.Match(&fr) {
			t.Fatalf("%v does not match its address", fr)
		}

		var p PDU
		if fault := p.Parse(&fr, format.Address.Overhead()); fault != OK {
			t.Fatalf("%v: fault %d", fr, fault)
		}
		if p.Kind != Kind(kind%4) {
			t.Fatalf("%v: kind %d, want %d", fr, p.Kind, kind%4)
		}
		switch p.Kind {
		case SingleFrame, FirstFrame:
			if p.Length != length || !bytes.Equal(p.Data, written) {
				t.Fatalf("%v: length %d and data %x, want %d and %x", fr, p.Length, p.Data, length, written)
			}
		case ConsecutiveFrame:
			if p.SN != extra&0xF || len(p.Data) < len(written) || !bytes.Equal(p.Data[:len(written)], written) {
				t.Fatalf("%v: SN %d and data %x, want %d and %x", fr, p.SN, p.Data, extra&0xF, written)
			}
		case FlowControl:
			if p.Status != FlowStatus(length&0xF) || p.BlockSize != uint8(length>>4) || p.STmin != extra {
				t.Fatalf("%v: %+v", fr, p)
			}
		}
	})
}
