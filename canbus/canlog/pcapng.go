package canlog

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"example.com/isotp/canbus"
)

// A pcapng capture is a row of blocks: a section's header, which says in which order its
// bytes are, then descriptions of interfaces, and packets, each of an interface. Each block
// has its type and length in front, and its length again at its end.
const (
	blockSection   = 0x0A0D0D0A
	blockInterface = 1
	blockOldPacket = 2
	blockSimple    = 3
	blockPacket    = 6

	byteOrderMagic = 0x1A2B3C4D
	blockHeader    = 8
	blockMin       = 12

	optionEnd        = 0
	optionName       = 2 // of an interface
	optionFlags      = 2 // of a packet
	optionResolution = 9
	optionOffset     = 14

	flagsDirection = 3
	flagsInbound   = 1
	flagsOutbound  = 2

	// maxInterfaces is how many interfaces of a section are known, against captures that
	// are made to fill the memory.
	maxInterfaces = 4096

	// maxName is how many bytes the name of an interface may have. The longest in use are
	// those of Windows, which have some 60.
	maxName = 255
)

// pcapng reads a pcapng capture.
type pcapng struct {
	records
	order      binary.ByteOrder
	interfaces []captureInterface
}

// A captureInterface is what a section says of an interface.
type captureInterface struct {
	name    string
	link    uint32
	perUnit uint64 // units of time in a second
	offset  int64  // seconds to add
	told    bool   // that it is no CAN interface
}

func newPCAPNG(b *bufio.Reader) *pcapng {
	return &pcapng{records: records{format: PCAPNG, r: b}, order: binary.LittleEndian}
}

func (p *pcapng) ready() bool {
	b, _ := p.r.Peek(min(blockMin, p.r.Buffered()))
	return len(b) == blockMin && p.holds(int64(p.sizeOf(b)))
}

// sizeOf returns the length of the block that begins with these 12 bytes. A section's header
// may change the order of bytes.
func (p *pcapng) sizeOf(b []byte) uint32 {
	if binary.LittleEndian.Uint32(b) == blockSection {
		switch uint32(byteOrderMagic) {
		case binary.LittleEndian.Uint32(b[8:]):
			p.order = binary.LittleEndian
		case binary.BigEndian.Uint32(b[8:]):
			p.order = binary.BigEndian
		}
	}
	return p.order.Uint32(b[4:])
}

func (p *pcapng) read(f *canbus.Frame) (bus string, err error) {
	at := p.offset
	head, err := p.peek(blockMin)
	if err != nil {
		return "", p.fail(at, err)
	}
	size := p.sizeOf(head)
	kind := p.order.Uint32(head)
	if kind == blockSection && p.order.Uint32(head[blockHeader:]) != byteOrderMagic {
		return "", fmt.Errorf("canlog: pcapng block at byte %d: the header of a section does not tell the order of its bytes: it cannot be read further", at)
	}
	if size < blockMin || size%4 != 0 {
		return "", fmt.Errorf("canlog: pcapng block at byte %d: its length %d is not a multiple of 4 of at least %d: the capture is broken, and cannot be read further", at, size, blockMin)
	}
	if size > bufferLen {
		if err := p.skip(int64(size)); err != nil {
			return "", p.fail(at, err)
		}
		if kind == blockPacket || kind == blockOldPacket || kind == blockSimple {
			return "", p.bad(at, fmt.Errorf("a packet of about %d bytes is no CAN frame", size))
		}
		return "", errSkipped
	}
	block, err := p.peek(int(size))
	if err != nil {
		return "", p.fail(at, err)
	}
	body := block[blockHeader : size-4]
	if end := p.order.Uint32(block[size-4:]); end != size {
		err = fmt.Errorf("its length is %d at its beginning and %d at its end", size, end)
	} else {
		bus, err = p.readBlock(f, kind, body)
	}
	if skipErr := p.skip(int64(size)); skipErr != nil {
		return "", p.fail(at, skipErr)
	}
	switch {
	case err == errSkipped:
		return "", err
	case err != nil:
		return "", p.bad(at, err)
	}
	return bus, nil
}

func (p *pcapng) readBlock(f *canbus.Frame, kind uint32, body []byte) (bus string, err error) {
	switch kind {
	case blockSection:
		p.interfaces = p.interfaces[:0]
		return "", errSkipped
	case blockInterface:
		return "", p.readInterface(body)
	case blockPacket:
		if len(body) >= 20 {
			return p.readPacket(f, p.order.Uint32(body), body[4:])
		}
	case blockOldPacket:
		if len(body) >= 20 {
			return p.readPacket(f, uint32(p.order.Uint16(body)), body[4:])
		}
	case blockSimple:
		if len(body) >= 4 {
			return p.readSimple(f, body)
		}
	default:
		return "", errSkipped
	}
	return "", fmt.Errorf("a packet's block of %d bytes is too short", len(body))
}

// readInterface keeps what is said of an interface. Without an error it returns errSkipped.
func (p *pcapng) readInterface(body []byte) error {
	if len(body) < 8 {
		return fmt.Errorf("the description of interface %d has %d bytes, which are too few", len(p.interfaces), len(body))
	}
	if len(p.interfaces) == maxInterfaces {
		return fmt.Errorf("it describes interface %d, and no more than %d are known here", len(p.interfaces), maxInterfaces)
	}
	i := captureInterface{
		link:    uint32(p.order.Uint16(body)),
		perUnit: 1e6,
		name:    strconv.Itoa(len(p.interfaces) + 1),
	}
	var wrong error
	p.options(body[8:], func(code uint16, value []byte) {
		switch {
		case code == optionName && len(value) > maxName:
			wrong = fmt.Errorf("the name of interface %s has %d bytes, of at most %d: it is called %[1]s here", i.name, len(value), maxName)
		case code == optionName && len(value) > 0:
			i.name = strings.ToValidUTF8(string(value), "?")
		case code == optionResolution && len(value) == 1:
			if i.perUnit = unitsPerSecond(value[0]); i.perUnit == 0 {
				wrong = fmt.Errorf("the unit of time %d of interface %s is too small", value[0], i.name)
			}
		case code == optionOffset && len(value) == 8:
			i.offset = int64(p.order.Uint64(value))
		}
	})
	p.interfaces = append(p.interfaces, i)
	if wrong != nil {
		return wrong
	}
	return errSkipped
}

// unitsPerSecond returns what if_tsresol says: 10 to that power, or with the highest bit set
// 2; 0 if that is more than 64 bits.
func unitsPerSecond(resolution byte) uint64 {
	base, power := uint64(10), int(resolution)
	if resolution&0x80 != 0 {
		base, power = 2, int(resolution&0x7F)
	}
	n := uint64(1)
	for range power {
		high, low := bits.Mul64(n, base)
		if high != 0 {
			return 0
		}
		n = low
	}
	return n
}

// options calls do with each option.
func (p *pcapng) options(b []byte, do func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, size := p.order.Uint16(b), int(p.order.Uint16(b[2:]))
		b = b[4:]
		if code == optionEnd || size > len(b) {
			return
		}
		do(code, b[:size])
		b = b[min((size+3)&^3, len(b)):]
	}
}

// readPacket reads a packet of an interface. body is from its time on.
func (p *pcapng) readPacket(f *canbus.Frame, index uint32, body []byte) (bus string, err error) {
	i, err := p.interfaceOf(index)
	if err != nil {
		return "", err
	}
	units := uint64(p.order.Uint32(body))<<32 | uint64(p.order.Uint32(body[4:]))
	size, packet := p.order.Uint32(body[8:]), body[16:]
	if uint64(size) > uint64(len(packet)) {
		return "", fmt.Errorf("a packet of %d bytes in a block with room for %d", size, len(packet))
	}
	if err := setPacket(f, i.link, packet[:size]); err != nil {
		return "", err
	}
	at, err := i.time(units)
	if err != nil {
		return "", err
	}
	f.Stamp(at)
	p.options(packet[min((uint64(size)+3)&^3, uint64(len(packet))):], func(code uint16, value []byte) {
		if code == optionFlags && len(value) == 4 && p.order.Uint32(value)&flagsDirection == flagsOutbound {
			f.Flags |= canbus.Echo
		}
	})
	f.Channel = channelOf(index)
	return i.name, nil
}

// readSimple reads a packet that has no time and is of the first interface.
func (p *pcapng) readSimple(f *canbus.Frame, body []byte) (bus string, err error) {
	i, err := p.interfaceOf(0)
	if err != nil {
		return "", err
	}
	packet := body[4:]
	size := min(p.order.Uint32(body), uint32(len(packet)))
	f.Channel = channelOf(0)
	return i.name, setPacket(f, i.link, packet[:size])
}

// channelOf returns an interface's number from 1; 0 if that does not fit.
func channelOf(index uint32) uint8 {
	if index < 255 {
		return uint8(index + 1)
	}
	return 0
}

// interfaceOf returns the interface of a packet. The packets of one that is no CAN interface
// are skipped, with an error for the first if there is no CAN interface beside it.
func (p *pcapng) interfaceOf(index uint32) (*captureInterface, error) {
	if uint64(index) >= uint64(len(p.interfaces)) {
		return nil, fmt.Errorf("a packet of interface %d, of which nothing was said before", index)
	}
	i := &p.interfaces[index]
	switch {
	case isCANLink(i.link) && i.perUnit > 0:
		return i, nil
	case i.told:
		return nil, errSkipped
	}
	i.told = true
	if i.perUnit == 0 {
		return nil, fmt.Errorf("the packets of interface %s are left out: their unit of time is not known", i.name)
	}
	if slices.ContainsFunc(p.interfaces, func(i captureInterface) bool { return isCANLink(i.link) }) {
		return nil, errSkipped
	}
	return nil, errNoCANLink(i.link)
}

// time returns when a packet came, in nanoseconds.
func (i *captureInterface) time(units uint64) (int64, error) {
	high, low := bits.Mul64(units%i.perUnit, 1e9)
	ns, _ := bits.Div64(high, low, i.perUnit)
	whole := units / i.perUnit
	seconds := int64(whole) + i.offset
	if whole > maxSeconds || i.offset < -maxSeconds || i.offset > maxSeconds || seconds < 0 || seconds >= maxSeconds {
		return 0, fmt.Errorf("its time is %d/%d s after 1970 and %d s, which is not 1970 to 2262", units, i.perUnit, i.offset)
	}
	return seconds*1e9 + int64(ns), nil
}

// pcapngSink writes pcapng, little-endian and with nanoseconds.
type pcapngSink struct {
	w          *Writer
	begun      bool
	interfaces map[string]uint32
	block      []byte
}

// put writes a block: its body was appended to start().
func (p *pcapngSink) put(b []byte) error {
	size := uint32(len(b) + 4)
	binary.LittleEndian.PutUint32(b[4:], size)
	p.block = binary.LittleEndian.AppendUint32(b, size)
	_, err := p.w.w.Write(p.block)
	return err
}

// start returns the beginning of a block.
func (p *pcapngSink) start(kind uint32) []byte {
	b := binary.LittleEndian.AppendUint32(p.block[:0], kind)
	return append(b, 0, 0, 0, 0)
}

func appendOption(b []byte, code uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	return append(b, 0, 0, 0)[:(len(b)+3)&^3]
}

func (p *pcapngSink) begin() error {
	p.begun = true
	p.interfaces = make(map[string]uint32)
	b := p.start(blockSection)
	b = binary.LittleEndian.AppendUint32(b, byteOrderMagic)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint64(b, 1<<64-1) // the section's length is not known
	return p.put(b)
}

// interfaceOf returns an interface's number, and describes it first if it is new.
func (p *pcapngSink) interfaceOf(name string) (uint32, error) {
	if i, known := p.interfaces[name]; known {
		return i, nil
	}
	if len(p.interfaces) == maxInterfaces {
		return 0, canbus.Temporary(fmt.Errorf("canlog: not written: the frame is of the interface %q, and no more than %d are known here", name, maxInterfaces))
	}
	i := uint32(len(p.interfaces))
	p.interfaces[name] = i
	b := p.start(blockInterface)
	b = binary.LittleEndian.AppendUint16(b, linkSocketCAN)
	b = append(b, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, snapLen)
	b = appendOption(b, optionName, []byte(name[:min(len(name), maxName)]))
	b = appendOption(b, optionResolution, []byte{9})
	b = appendOption(b, optionEnd, nil)
	return i, p.put(b)
}

func (p *pcapngSink) write(f *canbus.Frame, bus string) error {
	if !p.begun {
		if err := p.begin(); err != nil {
			return err
		}
	}
	i, err := p.interfaceOf(bus)
	if err != nil {
		return err
	}
	if len(bus) > maxName {
		p.w.losses.lose(fmt.Sprintf("what the names of interfaces have behind %d bytes", maxName))
	}
	timestamp := uint64(0)
	if f.Has(canbus.Timed) {
		timestamp = uint64(max(f.Timestamp, 0))
	}
	size := uint32(socketClassic)
	if f.Has(canbus.FD) {
		size = socketMax
	}
	flags := uint32(flagsInbound)
	if f.Has(canbus.Echo) {
		flags = flagsOutbound
	}
	b := p.start(blockPacket)
	b = binary.LittleEndian.AppendUint32(b, i)
	b = binary.LittleEndian.AppendUint32(b, uint32(timestamp>>32))
	b = binary.LittleEndian.AppendUint32(b, uint32(timestamp))
	b = binary.LittleEndian.AppendUint32(b, size)
	b = binary.LittleEndian.AppendUint32(b, size)
	b = appendSocketCAN(b, f)
	b = appendOption(b, optionFlags, binary.LittleEndian.AppendUint32(nil, flags))
	b = appendOption(b, optionEnd, nil)
	return p.put(b)
}

func (p *pcapngSink) flush() error { return nil }

func (p *pcapngSink) close() error {
	if p.begun {
		return nil
	}
	return p.begin()
}
