package canlog

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"example.com/isotp/canbus"
)

// A pcap capture has a header that says in which order its bytes are, whether times are in
// microseconds or nanoseconds, and the one link type of all packets.
const (
	pcapMicro      = 0xA1B2C3D4
	pcapNano       = 0xA1B23C4D
	pcapHeader     = 24
	pcapRecord     = 16
	snapLen        = 262144                                     // what tcpdump takes for all
	pcapFirstIndex = "1"                                        // the name of the one interface, which has none
	pcapMaxTime    = math.MaxUint32*1_000_000_000 + 999_999_999 // seconds have 32 bits
)

// isPCAP reports whether a capture begins with these bytes.
func isPCAP(magic []byte) bool {
	order, _ := pcapOrder(magic)
	return order != nil
}

// pcapOrder returns how a capture's numbers are written, and how long its unit of time is in
// nanoseconds.
func pcapOrder(magic []byte) (order binary.ByteOrder, unit int64) {
	if len(magic) < 4 {
		return nil, 0
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(magic) {
		case pcapMicro:
			return order, 1000
		case pcapNano:
			return order, 1
		}
	}
	return nil, 0
}

// pcap reads a pcap capture.
type pcap struct {
	records
	order binary.ByteOrder
	unit  int64
	link  uint32
}

func newPCAP(b *bufio.Reader) (*pcap, error) {
	p := &pcap{records: records{format: PCAP, r: b}}
	header, err := p.peek(pcapHeader)
	if err != nil {
		return nil, fmt.Errorf("the header of the pcap capture: %w", noEOF(err))
	}
	p.order, p.unit = pcapOrder(header)
	p.link = p.order.Uint32(header[20:]) & 0x0FFFFFFF // what is above says how Ethernet's FCS is there
	if !isCANLink(p.link) {
		return nil, errNoCANLink(p.link)
	}
	return p, p.skip(pcapHeader)
}

func isCANLink(link uint32) bool {
	return link == linkSocketCAN || link == linkSLL || link == linkSLL2
}

func errNoCANLink(link uint32) error {
	return fmt.Errorf("the capture is of a network of the link type %d (CAN has %d, and Linux's \"any\" %d or %d)", link, linkSocketCAN, linkSLL, linkSLL2)
}

func (p *pcap) ready() bool {
	header, _ := p.r.Peek(min(pcapRecord, p.r.Buffered()))
	return len(header) == pcapRecord && p.holds(pcapRecord+int64(p.order.Uint32(header[8:])))
}

func (p *pcap) read(f *canbus.Frame) (bus string, err error) {
	at := p.offset
	header, err := p.peek(pcapRecord)
	if err != nil {
		return "", p.fail(at, err)
	}
	seconds, fraction := int64(p.order.Uint32(header)), int64(p.order.Uint32(header[4:]))
	size := p.order.Uint32(header[8:])
	if size > snapLen {
		// The next record cannot be found. To end here is better than to make frames of
		// what is none.
		return "", fmt.Errorf("canlog: pcap record at byte %d: a packet of %d bytes: the capture is broken, and cannot be read further", at, size)
	}
	if size > socketMax+20 {
		if err := p.skip(pcapRecord + int64(size)); err != nil {
			return "", p.fail(at, err)
		}
		return "", p.unlessCooked(at, size)
	}
	record, err := p.peek(pcapRecord + int(size))
	if err != nil {
		return "", p.fail(at, err)
	}
	err = setPacket(f, p.link, record[pcapRecord:])
	if skipErr := p.skip(int64(len(record))); skipErr != nil {
		return "", p.fail(at, skipErr)
	}
	if err == nil && fraction*p.unit >= 1e9 {
		err = errors.New("its time has a second or more behind the point")
	}
	switch {
	case err == errSkipped:
		return "", err
	case err != nil:
		return "", p.bad(at, err)
	}
	f.Stamp(seconds*1e9 + fraction*p.unit)
	f.Channel = 1
	return pcapFirstIndex, nil
}

// unlessCooked returns the error of a packet that is too long for CAN; where there may be
// packets of other networks they are skipped.
func (p *pcap) unlessCooked(at int64, size uint32) error {
	if p.link != linkSocketCAN {
		return errSkipped
	}
	return p.bad(at, fmt.Errorf("a packet of %d bytes is no CAN frame", size))
}

// pcapSink writes pcap, little-endian and with nanoseconds.
type pcapSink struct {
	w      *Writer
	begun  bool
	bus    string // of the first frame
	record []byte
}

func (p *pcapSink) begin(bus string) error {
	p.begun, p.bus = true, bus
	var h []byte
	h = binary.LittleEndian.AppendUint32(h, pcapNano)
	h = binary.LittleEndian.AppendUint16(h, 2)
	h = binary.LittleEndian.AppendUint16(h, 4)
	h = append(h, 0, 0, 0, 0, 0, 0, 0, 0)
	h = binary.LittleEndian.AppendUint32(h, snapLen)
	h = binary.LittleEndian.AppendUint32(h, linkSocketCAN)
	_, err := p.w.w.Write(h)
	return err
}

func (p *pcapSink) write(f *canbus.Frame, bus string) error {
	if !p.begun {
		if err := p.begin(bus); err != nil {
			return err
		}
	}
	if bus != p.bus {
		p.w.losses.lose("which of several interfaces they are of")
	}
	if f.Has(canbus.Echo) {
		p.w.losses.lose("that they were sent, and not received")
	}
	timestamp := int64(0)
	if f.Has(canbus.Timed) {
		timestamp = max(f.Timestamp, 0)
	}
	if timestamp > pcapMaxTime {
		p.w.losses.lose("times after the year 2106")
		timestamp = pcapMaxTime
	}
	frame := appendSocketCAN(nil, f)
	r := p.record[:0]
	r = binary.LittleEndian.AppendUint32(r, uint32(timestamp/1e9))
	r = binary.LittleEndian.AppendUint32(r, uint32(timestamp%1e9))
	r = binary.LittleEndian.AppendUint32(r, uint32(len(frame)))
	r = binary.LittleEndian.AppendUint32(r, uint32(len(frame)))
	p.record = append(r, frame...)
	_, err := p.w.w.Write(p.record)
	return err
}

func (p *pcapSink) flush() error { return nil }

func (p *pcapSink) close() error {
	if p.begun {
		return nil
	}
	return p.begin("")
}
