package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"example.com/isotp/canbus"
)

// frame returns a frame of the bytes written in hexadecimal.
func frame(s string) canbus.Frame {
	p, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil || len(p) > canbus.MaxLen {
		panic("not a frame: " + s)
	}
	f := canbus.Frame{ID: 0x7E8, Len: uint8(len(p))}
	if len(p) > canbus.MaxClassicLen {
		f.Flags = canbus.FD
	}
	copy(f.Data[:], p)
	return f
}

// zeros writes n more bytes behind those of s.
func zeros(s string, n int) string { return s + strings.Repeat(" 00", n) }

func TestParseSingleFrame(t *testing.T) {
	for _, row := range []struct {
		name     string
		frame    string
		overhead int
		fault    Fault
		data     string
	}{
		{"1 byte", "01 AA", 0, OK, "aa"},
		{"1 byte and padding", "01 AA CC CC CC CC CC CC", 0, OK, "aa"},
		{"7 bytes", "07 01 02 03 04 05 06 07", 0, OK, "01020304050607"},
		{"6 bytes with an address byte", "F1 06 01 02 03 04 05 06", 1, OK, "010203040506"},
		{"7 bytes with an address byte", "F1 07 01 02 03 04 05 06", 1, Malformed, ""},
		{"SF_DL 0", "00 01 02 03 04 05 06 07", 0, Malformed, ""},
		{"SF_DL 0 alone", "00", 0, Malformed, ""},
		{"SF_DL 8", "08 01 02 03 04 05 06 07", 0, Malformed, ""},
		{"SF_DL 15", "0F 01 02 03 04 05 06 07", 0, Malformed, ""},
		{"SF_DL beyond the frame", "03 01 02", 0, Malformed, ""},
		{"no bytes", "", 0, Malformed, ""},
		{"only the address byte", "F1", 1, Malformed, ""},
		{"escape: 8 bytes", "00 08 01 02 03 04 05 06 07 08 CC CC", 0, OK, "0102030405060708"},
		{"escape: 10 bytes fill the frame", "00 0A 01 02 03 04 05 06 07 08 09 0A", 0, OK, "0102030405060708090a"},
		{"escape: 11 bytes do not fit", "00 0B 01 02 03 04 05 06 07 08 09 0A", 0, Malformed, ""},
		{"escape: 9 bytes with an address byte", "F1 00 09 01 02 03 04 05 06 07 08 09", 1, OK, "010203040506070809"},
		{"escape: 10 bytes with an address byte do not fit", "F1 00 0A 01 02 03 04 05 06 07 08 09", 1, Malformed, ""},
		{"escape: 1 byte, in a longer frame than needed", zeros("00 01 AA", 61), 0, OK, "aa"},
		{"escape: 62 bytes", zeros("00 3E", 62), 0, OK, hex.EncodeToString(make([]byte, 62))},
		{"escape: 63 bytes", zeros("00 3F", 62), 0, Malformed, ""},
		{"escape: 0 bytes", zeros("00 00", 10), 0, Malformed, ""},
		{"escape: 255 bytes", zeros("00 FF", 62), 0, Malformed, ""},
		{"12 bytes without the escape", zeros("07 01 02 03 04 05 06 07", 4), 0, MissingEscape, ""},
		{"12 bytes without the escape, with an address byte", zeros("F1 01", 10), 1, MissingEscape, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := frame(row.frame)
			var p PDU
			if fault := p.Parse(&f, row.overhead); fault != row.fault {
				t.Fatalf("fault %d, want %d", fault, row.fault)
			}
			if row.fault != OK {
				return
			}
			if p.Kind != SingleFrame || hex.EncodeToString(p.Data) != row.data || int(p.Length) != len(row.data)/2 {
				t.Fatalf("kind %d, length %d, data %x, want %s", p.Kind, p.Length, p.Data, row.data)
			}
		})
	}
}

func TestParseFirstFrame(t *testing.T) {
	for _, row := range []struct {
		name     string
		frame    string
		overhead int
		fault    Fault
		length   uint32
		data     int
	}{
		{"8 bytes", zeros("10 08", 6), 0, OK, 8, 6},
		{"7 bytes fit in a Single Frame", zeros("10 07", 6), 0, Malformed, 0, 0},
		{"7 bytes with an address byte", zeros("F1 10 07", 5), 1, OK, 7, 5},
		{"6 bytes with an address byte fit in a Single Frame", zeros("F1 10 06", 5), 1, Malformed, 0, 0},
		{"4095 bytes", zeros("1F FF", 6), 0, OK, 4095, 6},
		{"escape: 4096 bytes", zeros("10 00 00 00 10 00", 2), 0, OK, 4096, 2},
		{"escape: 4096 bytes with an address byte", zeros("F1 10 00 00 00 10 00", 1), 1, OK, 4096, 1},
		{"escape: 4095 bytes", zeros("10 00 00 00 0F FF", 2), 0, Malformed, 0, 0},
		{"escape: 0 bytes", zeros("10 00 00 00 00 00", 2), 0, Malformed, 0, 0},
		{"escape: 2^32-1 bytes", zeros("10 00 FF FF FF FF", 2), 0, OK, 1<<32 - 1, 2},
		{"7 bytes long", zeros("10 14", 5), 0, BadFirstFrameDL, 0, 0},
		{"1 byte long", "10", 0, BadFirstFrameDL, 0, 0},
		{"9 bytes long", zeros("10 14", 7), 0, BadFirstFrameDL, 0, 0},
		{"63 bytes long", zeros("11 14", 61), 0, BadFirstFrameDL, 0, 0},
		{"RX_DL 12: 11 bytes", zeros("10 0B", 10), 0, OK, 11, 10},
		{"RX_DL 12: 10 bytes fit in a Single Frame", zeros("10 0A", 10), 0, Malformed, 0, 0},
		{"RX_DL 12: 10 bytes with an address byte", zeros("F1 10 0A", 9), 1, OK, 10, 9},
		{"RX_DL 12: 9 bytes with an address byte fit in a Single Frame", zeros("F1 10 09", 9), 1, Malformed, 0, 0},
		{"RX_DL 64: 63 bytes", zeros("10 3F", 62), 0, OK, 63, 62},
		{"RX_DL 64: 62 bytes fit in a Single Frame", zeros("10 3E", 62), 0, Malformed, 0, 0},
		{"RX_DL 64: the escape", zeros("10 00 00 01 00 00", 58), 0, OK, 65536, 58},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := frame(row.frame)
			var p PDU
			if fault := p.Parse(&f, row.overhead); fault != row.fault {
				t.Fatalf("fault %d, want %d", fault, row.fault)
			}
			if row.fault == OK && (p.Kind != FirstFrame || p.Length != row.length || len(p.Data) != row.data) {
				t.Fatalf("kind %d, length %d, %d bytes of data, want %d and %d", p.Kind, p.Length, len(p.Data), row.length, row.data)
			}
		})
	}
}

func TestParseConsecutiveFrame(t *testing.T) {
	for sn := range uint8(16) {
		f := frame(fmt.Sprintf("2%X AA BB CC", sn))
		var p PDU
		if fault := p.Parse(&f, 0); fault != OK || p.Kind != ConsecutiveFrame || p.SN != sn || !bytes.Equal(p.Data, []byte{0xAA, 0xBB, 0xCC}) {
			t.Errorf("SN %d: fault %d, %+v", sn, fault, p)
		}
	}
	for _, row := range []struct {
		name, frame string
		overhead    int
		fault       Fault
		data        int
	}{
		{"no data", "21", 0, Malformed, 0},
		{"no data behind an address byte", "F1 21", 1, Malformed, 0},
		{"1 byte behind an address byte", "F1 21 AA", 1, OK, 1},
		{"63 bytes", zeros("21", 63), 0, OK, 63},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := frame(row.frame)
			var p PDU
			if fault := p.Parse(&f, row.overhead); fault != row.fault || fault == OK && len(p.Data) != row.data {
				t.Fatalf("fault %d with %d bytes, want %d with %d", fault, len(p.Data), row.fault, row.data)
			}
		})
	}
}

func TestParseFlowControl(t *testing.T) {
	for _, row := range []struct {
		name, frame string
		overhead    int
		fault       Fault
		want        PDU
	}{
		{"CTS", "30 08 14", 0, OK, PDU{Kind: FlowControl, Status: ContinueToSend, BlockSize: 8, STmin: 0x14}},
		{"WAIT with padding", "31 00 00 CC CC CC CC CC", 0, OK, PDU{Kind: FlowControl, Status: Wait}},
		{"OVFLW", "32 FF FF", 0, OK, PDU{Kind: FlowControl, Status: Overflow, BlockSize: 255, STmin: 0xFF}},
		{"a reserved status", "3F 00 00", 0, OK, PDU{Kind: FlowControl, Status: 15}},
		{"behind an address byte", "F1 30 01 F1", 1, OK, PDU{Kind: FlowControl, BlockSize: 1, STmin: 0xF1}},
		{"in a CAN FD frame", zeros("30 01 02", 61), 0, OK, PDU{Kind: FlowControl, BlockSize: 1, STmin: 2}},
		{"2 bytes", "30 00", 0, Malformed, PDU{}},
		{"1 byte", "30", 0, Malformed, PDU{}},
		{"2 bytes behind an address byte", "F1 30 00", 1, Malformed, PDU{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := frame(row.frame)
			var p PDU
			fault := p.Parse(&f, row.overhead)
			if fault != row.fault {
				t.Fatalf("fault %d, want %d", fault, row.fault)
			}
			if fault == OK && (p.Kind != row.want.Kind || p.Status != row.want.Status || p.BlockSize != row.want.BlockSize || p.STmin != row.want.STmin || p.Data != nil) {
				t.Fatalf("%+v, want %+v", p, row.want)
			}
		})
	}
}

func TestParseOthers(t *testing.T) {
	for pci := 4; pci <= 15; pci++ {
		f := frame(fmt.Sprintf("%X1 02 03 04 05 06 07 08", pci))
		var p PDU
		if fault := p.Parse(&f, 0); fault != Malformed {
			t.Errorf("N_PCI type %d: fault %d, want Malformed", pci, fault)
		}
	}
	for _, flags := range []canbus.Flags{canbus.Remote, canbus.ErrorFrame, canbus.ErrorFrame | canbus.Extended} {
		f := frame("01 AA")
		f.Flags = flags
		var p PDU
		if fault := p.Parse(&f, 0); fault != Malformed {
			t.Errorf("flags %b: fault %d, want Malformed", flags, fault)
		}
	}
	f := frame("01 AA")
	f.Len = 65
	var p PDU
	if fault := p.Parse(&f, 0); fault != Malformed {
		t.Errorf("65 bytes: fault %d, want Malformed", fault)
	}
}

var (
	classic   = Format{Address: Address{ID: 0x7E0}, FrameSize: 8, MinFrameSize: 8, Fill: 0xCC}
	unpadded  = Format{Address: Address{ID: 0x7E0}, FrameSize: 8}
	addressed = Format{Address: Address{ID: 0x18CE10F1, Extended: true, HasByte: true, Byte: 0x99}, FrameSize: 8, MinFrameSize: 8, Fill: 0xAA}
	fd64      = Format{Address: Address{ID: 0x7E0}, FrameSize: 64, MinFrameSize: 8, Fill: 0xCC, FD: true, BRS: true}
	fd64bare  = Format{Address: Address{ID: 0x7E0}, FrameSize: 64, Fill: 0x55, FD: true}
	fd64full  = Format{Address: Address{ID: 0x7E0}, FrameSize: 64, MinFrameSize: 64, FD: true}
	fd16full  = Format{Address: Address{ID: 0x7E0, HasByte: true, Byte: 0xF1}, FrameSize: 16, MinFrameSize: 12, Fill: 0xCC, FD: true}
)

// fill puts 1, 2, 3 and so on where the message goes.
func fill(p []byte) {
	for i := range p {
		p[i] = byte(i + 1)
	}
}

func TestFormatSingleFrame(t *testing.T) {
	for _, row := range []struct {
		name   string
		format Format
		n      int
		want   string
	}{
		{"1 byte", classic, 1, "7E0#0101CCCCCCCCCCCC"},
		{"7 bytes", classic, 7, "7E0#0701020304050607"},
		{"no padding", unpadded, 3, "7E0#03010203"},
		{"address byte", addressed, 2, "18CE10F1#99020102AAAAAAAA"},
		{"address byte, 6 bytes", addressed, 6, "18CE10F1#9906010203040506"},
		{"FD, 7 bytes", fd64, 7, "7E0##10701020304050607"},
		{"FD, 8 bytes: escape, 12 bytes long", fd64, 8, "7E0##100080102030405060708CCCC"},
		{"FD, 10 bytes fill 12", fd64, 10, "7E0##1000A0102030405060708090A"},
		{"FD, no padding up to 8 bytes", fd64bare, 2, "7E0##0020102"},
		{"FD, padding above 8 bytes always", fd64bare, 9, "7E0##00009010203040506070809" + "55"},
		{"FD, MinFrameSize 12 with an address byte: escape", fd16full, 1, "7E0##0F1000101CCCCCCCCCCCCCCCC"},
		{"FD, MinFrameSize 12, 10 bytes with an address byte: 16 long", fd16full, 10, "7E0##0F1000A0102030405060708090ACCCCCC"},
		{"FD, MinFrameSize 64", fd64full, 1, "7E0##0000101" + strings.Repeat("00", 61)},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := canbus.Frame{Timestamp: 1, Channel: 1, Flags: canbus.Echo | canbus.ESI | canbus.Timed}
			p := row.format.SingleFrame(&f, row.n)
			if len(p) != row.n {
				t.Fatalf("room for %d bytes, want %d", len(p), row.n)
			}
			fill(p)
			if f.String() != row.want || f.Timestamp != 0 || f.Channel != 0 || f.Has(canbus.Timed) {
				t.Fatalf("got  %v\nwant %s", f, row.want)
			}
			if err := f.Validate(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestFormatFirstFrame(t *testing.T) {
	for _, row := range []struct {
		name   string
		format Format
		length uint32
		want   string
	}{
		{"8 bytes", classic, 8, "7E0#1008010203040506"},
		{"4095 bytes", classic, 4095, "7E0#1FFF010203040506"},
		{"4096 bytes: escape", classic, 4096, "7E0#1000000010000102"},
		{"2^32-1 bytes", unpadded, MaxLength, "7E0#1000FFFFFFFF0102"},
		{"address byte", addressed, 7, "18CE10F1#9910070102030405"},
		{"address byte, escape", addressed, 4096, "18CE10F1#9910000000100001"},
		{"FD: as long as FrameSize", fd16full, 100, "7E0##0F110640102030405060708090A0B0C0D"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var f canbus.Frame
			p := row.format.FirstFrame(&f, row.length)
			if len(p) != row.format.FirstData(row.length) {
				t.Fatalf("room for %d bytes, FirstData says %d", len(p), row.format.FirstData(row.length))
			}
			fill(p)
			if f.String() != row.want {
				t.Fatalf("got  %v\nwant %s", f, row.want)
			}
		})
	}
}

func TestFormatConsecutiveFrame(t *testing.T) {
	for _, row := range []struct {
		name   string
		format Format
		sn     uint8
		n      int
		want   string
	}{
		{"full", classic, 1, 7, "7E0#2101020304050607"},
		{"SN counts modulo 16", classic, 0x10, 7, "7E0#2001020304050607"},
		{"the last, padded", classic, 15, 1, "7E0#2F01CCCCCCCCCCCC"},
		{"the last, not padded", unpadded, 2, 1, "7E0#2201"},
		{"address byte", addressed, 2, 6, "18CE10F1#9922010203040506"},
		{"FD: 8 bytes of data take 12", fd64, 2, 8, "7E0##1220102030405060708CCCCCC"},
		{"FD: MinFrameSize", fd16full, 2, 1, "7E0##0F12201CCCCCCCCCCCCCCCCCC"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var f canbus.Frame
			fill(row.format.ConsecutiveFrame(&f, row.sn, row.n))
			if f.String() != row.want {
				t.Fatalf("got  %v\nwant %s", f, row.want)
			}
		})
	}
}

// TestFormatConsecutiveFrames: full frames in a row are those that ConsecutiveFrame makes.
func TestFormatConsecutiveFrames(t *testing.T) {
	message := make([]byte, 20*canbus.MaxLen)
	for i := range message {
		message[i] = byte(i * 7)
	}
	for _, format := range []Format{classic, unpadded, addressed, fd64, fd16full} {
		stale := canbus.Frame{Flags: canbus.Timed | canbus.Echo, Len: 1, Channel: 1, Timestamp: 5}
		got := slices.Repeat([]canbus.Frame{stale}, 20)
		format.ConsecutiveFrames(got, 9, message)
		rest := message
		for i := range got {
			var want canbus.Frame
			rest = rest[copy(format.ConsecutiveFrame(&want, uint8(9+i), format.ConsecutiveData()), rest):]
			if got[i] != want {
				t.Fatalf("frame %d is %v, want %v", i, got[i], want)
			}
		}
	}
}

// TestFormatConsecutiveFramesFromTheirBytesAlone: nothing behind the last frame's bytes is read.
func TestFormatConsecutiveFramesFromTheirBytesAlone(t *testing.T) {
	for _, format := range []Format{classic, addressed, fd64} {
		n := 2 * format.ConsecutiveData()
		format.ConsecutiveFrames(make([]canbus.Frame, 2), 1, make([]byte, n)[:n:n])
	}
}

func TestFormatFlowControl(t *testing.T) {
	for _, row := range []struct {
		name   string
		format Format
		status FlowStatus
		want   string
	}{
		{"CTS", classic, ContinueToSend, "7E0#3008F1CCCCCCCCCC"},
		{"WAIT", classic, Wait, "7E0#3108F1CCCCCCCCCC"},
		{"OVFLW", classic, Overflow, "7E0#3208F1CCCCCCCCCC"},
		{"no padding", unpadded, ContinueToSend, "7E0#3008F1"},
		{"address byte", addressed, ContinueToSend, "18CE10F1#993008F1AAAAAAAA"},
		{"FD", fd64, ContinueToSend, "7E0##13008F1CCCCCCCCCC"},
		{"FD, MinFrameSize 12", fd16full, ContinueToSend, "7E0##0F13008F1CCCCCCCCCCCCCCCC"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := canbus.Frame{Timestamp: 5, Channel: 1, Flags: canbus.Timed}
			row.format.FlowControl(&f, row.status, 8, 0xF1)
			if f.String() != row.want || f.Timestamp != 0 || f.Channel != 0 || f.Has(canbus.Timed) {
				t.Fatalf("got  %v\nwant %s", f, row.want)
			}
		})
	}
}

func TestMessageSizes(t *testing.T) {
	for _, row := range []struct {
		frameSize, overhead                     int
		single, consecutive, first, firstEscape int
	}{
		{8, 0, 7, 7, 6, 2}, {8, 1, 6, 6, 5, 1},
		{12, 0, 10, 11, 10, 6}, {12, 1, 9, 10, 9, 5},
		{16, 0, 14, 15, 14, 10}, {20, 0, 18, 19, 18, 14}, {24, 0, 22, 23, 22, 18},
		{32, 0, 30, 31, 30, 26}, {48, 0, 46, 47, 46, 42},
		{64, 0, 62, 63, 62, 58}, {64, 1, 61, 62, 61, 57},
	} {
		format := Format{FrameSize: row.frameSize, Address: Address{HasByte: row.overhead == 1}}
		got := [...]int{format.MaxSingle(), format.ConsecutiveData(), format.FirstData(4095), format.FirstData(4096)}
		if want := [...]int{row.single, row.consecutive, row.first, row.firstEscape}; got != want {
			t.Errorf("TX_DL %d with %d address bytes: %v, want %v", row.frameSize, row.overhead, got, want)
		}
	}
}
