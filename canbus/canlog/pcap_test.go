package canlog

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"example.com/isotp/canbus"
)

// socketFrame is 7E0#021003 as SocketCAN has it.
const socketFrame = "\x00\x00\x07\xE0\x03\x00\x00\x00\x02\x10\x03\x00\x00\x00\x00\x00"

// u16, u32 and u64 are numbers in the order of bytes of a test.
type order struct{ binary.AppendByteOrder }

func (o order) u16(v uint16) string { return string(o.AppendUint16(nil, v)) }
func (o order) u32(v uint32) string { return string(o.AppendUint32(nil, v)) }
func (o order) u64(v uint64) string { return string(o.AppendUint64(nil, v)) }

var (
	little = order{binary.LittleEndian}
	big    = order{binary.BigEndian}
)

func (o order) pcap(magic uint32, link uint32, packets ...string) string {
	s := o.u32(magic) + o.u16(2) + o.u16(4) + o.u64(0) + o.u32(65535) + o.u32(link)
	for _, p := range packets {
		s += o.u32(1700000000) + o.u32(123456) + o.u32(uint32(len(p))) + o.u32(uint32(len(p))) + p
	}
	return s
}

func TestPCAP(t *testing.T) {
	cooked := "\x00\x04\x01\x18" + strings.Repeat("\x00", 10) + "\x00\x0C"
	cooked2 := "\x00\x0C\x00\x00\x00\x00\x00\x03\x01\x18\x04" + strings.Repeat("\x00", 9)
	ethernet := "\x00\x00\x00\x01" + strings.Repeat("\x00", 300)
	const micro, nano = "(1700000000.123456) 1 7E0#021003", "(1700000000.000123) 1 7E0#021003"
	for name, c := range map[string]struct {
		log  string
		want []string
	}{
		"little, us":        {little.pcap(pcapMicro, linkSocketCAN, socketFrame), []string{micro}},
		"big, ns":           {big.pcap(pcapNano, linkSocketCAN, socketFrame), []string{nano}},
		"without filling":   {big.pcap(pcapNano, linkSocketCAN, socketFrame[:11]), []string{nano}},
		"FD without a flag": {big.pcap(pcapNano, linkSocketCAN, "\x00\x00\x07\xE0\x01\x01"+strings.Repeat("\x00", 66)), []string{"(1700000000.000123) 1 7E0##100"}},
		"any":               {little.pcap(pcapMicro, linkSLL, ethernet[:40], cooked+socketFrame, ethernet), []string{micro + " T"}},
		"any, newer":        {little.pcap(pcapMicro, linkSLL2, cooked2+socketFrame), []string{micro + " T"}},
	} {
		t.Run(name, func(t *testing.T) { wantFrames(t, c.log, c.want...) })
	}
}

// What is wrong with a record is told, with where it is, and what is behind it is read.
func TestPCAPErrors(t *testing.T) {
	for name, c := range map[string]struct{ packet, names string }{
		"short":     {"\x00\x00", "2 bytes are no CAN frame"},
		"too long":  {strings.Repeat("\x00", 1000), "1000 bytes"},
		"cut":       {socketFrame[:9], "1 of 3"},
		"XL":        {"\x00\x00\x00\x00\x80" + strings.Repeat("\x00", 11), "CAN XL"},
		"length":    {"\x00\x00\x00\x00\x09" + strings.Repeat("\x00", 20), "9 bytes"},
		"11 bits":   {"\x00\x00\x0F\x00\x01\x00\x00\x00\x00", "0xF00"},
		"FD remote": {"\x40\x00\x07\x00\x01\x04\x00\x00\x00", "Remote"},
		"FD error":  {"\x20\x00\x07\x00\x08\x04\x00\x00" + strings.Repeat("\x00", 8), "error frame"},
	} {
		frames, errs := readLog(t, strings.NewReader(little.pcap(pcapMicro, linkSocketCAN, socketFrame, c.packet, socketFrame)))
		if len(frames) != 2 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "at byte 56") || !strings.Contains(errs[0].Error(), c.names) {
			t.Errorf("%s: frames %q, errors %v; want one that names byte 56 and %s", name, frames, errs, c.names)
		}
	}
	whole := little.pcap(pcapMicro, linkSocketCAN, socketFrame, socketFrame)
	if frames, errs := readLog(t, strings.NewReader(whole[:len(whole)-1])); len(frames) != 1 || len(errs) != 1 {
		t.Errorf("cut off: frames %q, errors %v", frames, errs)
	}
}

// wantEnd fails the test unless a log cannot be read to its end, and the error says why.
func wantEnd(t *testing.T, log, names string) {
	t.Helper()
	r, err := NewReader(strings.NewReader(log))
	for range 3 {
		if err == nil {
			_, err = r.ReadFrame(new(canbus.Frame))
		}
	}
	if err == nil || !strings.Contains(err.Error(), names) {
		t.Errorf("error %v; want it to name %s", err, names)
	}
}

func TestBrokenCaptures(t *testing.T) {
	wantEnd(t, little.pcap(pcapMicro, 1, socketFrame), "link type 1")
	wantEnd(t, little.pcap(pcapMicro, 227)[:20], "header")
	wantEnd(t, little.pcap(pcapMicro, 227)+little.u64(0)+little.u32(1<<31)+little.u32(1<<31), "2147483648 bytes")
	wantEnd(t, little.section()+little.u32(1)+little.u32(7)+little.u32(7), "length 7")
	wantEnd(t, little.u32(blockSection)+little.u32(28)+strings.Repeat("x", 20), "order of its bytes")
}

// block is one of pcapng.
func (o order) block(kind uint32, body string) string {
	body += strings.Repeat("\x00", (4-len(body)%4)%4)
	size := o.u32(uint32(len(body) + blockMin))
	return o.u32(kind) + size + body + size
}

func (o order) section() string {
	return o.block(blockSection, o.u32(byteOrderMagic)+o.u16(1)+o.u16(0)+o.u64(1<<64-1))
}

func (o order) option(code uint16, value string) string {
	return o.u16(code) + o.u16(uint16(len(value))) + value + strings.Repeat("\x00", (4-len(value)%4)%4)
}

func (o order) network(link uint16, options ...string) string {
	return o.block(blockInterface, o.u16(link)+o.u16(0)+o.u32(0)+strings.Join(options, ""))
}

func (o order) packet(network uint32, at uint64, data string, options ...string) string {
	size := o.u32(uint32(len(data)))
	data += strings.Repeat("\x00", (4-len(data)%4)%4)
	return o.block(blockPacket, o.u32(network)+o.u32(uint32(at>>32))+o.u32(uint32(at))+size+size+data+strings.Join(options, ""))
}

func TestPCAPNG(t *testing.T) {
	for name, c := range map[string]struct {
		log  string
		want []string
	}{
		"names": {little.section() + little.network(227, little.option(optionName, "can0")) + little.network(227, little.option(optionName, "can1")) +
			little.packet(1, 1700000000123456, socketFrame) + little.packet(0, 1700000000123457, socketFrame[:11]),
			[]string{"(1700000000.123456) can1 7E0#021003", "(1700000000.123457) can0 7E0#021003"}},
		"no names": {big.section() + big.network(227) + big.network(227) + big.packet(1, 1700000000123456, socketFrame),
			[]string{"(1700000000.123456) 2 7E0#021003"}},
		"directions": {little.section() + little.network(227) +
			little.packet(0, 1e6, socketFrame, little.option(1, "a remark"), little.option(optionFlags, little.u32(flagsOutbound)), little.option(0, "")) +
			little.packet(0, 2e6, socketFrame, little.option(optionFlags, little.u32(flagsInbound))),
			[]string{"(0000000001.000000) 1 7E0#021003 T", "(0000000002.000000) 1 7E0#021003"}},
		"units": {little.section() + little.network(227, little.option(optionResolution, "\x09")) + little.network(227, little.option(optionResolution, "\x81"), little.option(optionOffset, little.u64(1<<64-1))) +
			little.packet(0, 1_000_002_000, socketFrame) + little.packet(1, 5, socketFrame),
			[]string{"(0000000001.000002) 1 7E0#021003", "(0000000001.500000) 2 7E0#021003"}},
		"sections": {little.section() + little.network(227, little.option(optionName, "a")) + little.packet(0, 1e6, socketFrame) +
			big.section() + big.network(227, big.option(optionName, "b")) + big.packet(0, 2e6, socketFrame),
			[]string{"(0000000001.000000) a 7E0#021003", "(0000000002.000000) b 7E0#021003"}},
		"other blocks": {little.section() + little.network(1) + little.network(227) + little.block(5, "statistics") + little.block(0xBAD, strings.Repeat("x", 100000)) +
			little.packet(0, 1, "Ethernet") + little.packet(1, 3e6, socketFrame),
			[]string{"(0000000003.000000) 2 7E0#021003"}},
		"older packets": {little.section() + little.network(227) +
			little.block(blockSimple, little.u32(11)+socketFrame[:11]) +
			little.block(blockOldPacket, little.u16(0)+little.u16(0)+little.u32(0)+little.u32(4e6)+little.u32(16)+little.u32(16)+socketFrame),
			[]string{"(0000000000.000000) 1 7E0#021003", "(0000000004.000000) 1 7E0#021003"}},
	} {
		t.Run(name, func(t *testing.T) { wantFrames(t, c.log, c.want...) })
	}
}

func TestPCAPNGErrors(t *testing.T) {
	wrongEnd := []byte(little.packet(0, 1, socketFrame))
	wrongEnd[len(wrongEnd)-4]++
	tooLong := []byte(little.packet(0, 1, socketFrame))
	tooLong[20] = 99
	for name, c := range map[string]struct{ block, names string }{
		"no interface":        {little.packet(7, 1, socketFrame), "interface 7"},
		"two lengths":         {string(wrongEnd), "48 at its beginning and 49"},
		"longer than it is":   {string(tooLong), "99 bytes"},
		"short":               {little.block(blockPacket, "x"), "too short"},
		"huge":                {little.block(blockPacket, strings.Repeat("x", 100000)), "100012 bytes"},
		"short description":   {little.block(blockInterface, "x"), "too few"},
		"unit of time":        {little.network(227, little.option(optionResolution, "\x7F")), "unit of time 127"},
		"time":                {little.packet(0, 1<<63, socketFrame), "2262"},
		"no frame":            {little.packet(0, 1, "x"), "1 bytes"},
		"cut":                 {little.packet(0, 1, socketFrame[:9]), "1 of 3"},
		"nothing but options": {little.packet(0, 1, ""), "0 bytes"},
	} {
		frames, errs := readLog(t, strings.NewReader(little.section()+little.network(227)+c.block+little.packet(0, 1, socketFrame)))
		if len(frames) != 1 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "at byte 48") || !strings.Contains(errs[0].Error(), c.names) {
			t.Errorf("%s: frames %q, errors %v; want one that names byte 48 and %s", name, frames, errs, c.names)
		}
	}
	_, errs := readLog(t, strings.NewReader(little.section()+little.network(1)+little.packet(0, 1, "Ethernet")+little.packet(0, 1, "Ethernet")))
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "link type 1") {
		t.Errorf("of a capture of Ethernet: %v", errs)
	}
}

// A capture cannot fill the memory with interfaces.
func TestPCAPNGBoundsInterfaces(t *testing.T) {
	one := little.network(227)
	_, errs := readLog(t, strings.NewReader(little.section()+strings.Repeat(one, maxInterfaces+1)))
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "4096") {
		t.Errorf("errors %v", errs)
	}
}

func TestPCAPNGKeepsNanoseconds(t *testing.T) {
	text, losses, _ := convert(t, "(1700000000.123456789) can0 001#\n", PCAPNG)
	r, err := NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var f canbus.Frame
	if _, err := r.ReadFrame(&f); err != nil || f.Timestamp != 1700000000123456789 || len(losses) > 0 {
		t.Errorf("the time is %d, %v; losses %v", f.Timestamp, err, losses)
	}
}
