package canlog

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"time"

	"example.com/isotp/canbus"
)

// Vector's BLF has a header, and then objects. Most are containers: what they hold,
// compressed by zlib, is a row of further objects, which goes on from one container to the
// next in mid-object. There is no public description; what stands here agrees with what
// python-can and Wireshark know of it. All numbers are little-endian.
//
// An object begins with
//
//	"LOBJ", length of the header (2 bytes), its version (2), length with the header (4), type (4)
//
// and is followed by zeros, as many as its length is above a multiple of 4. In versions 1
// and 2 of the header there follow flags (4), 4 bytes, and the time (8): in units of 10 us
// if the flags are 1, and else in ns, since the time of the file's header.
const (
	blfMagic    = "LOGG"
	blfObject   = "LOBJ"
	blfHeader   = 144 // of the file, as it is written
	blfSize     = 16  // where the header has the size of the file
	blfCount    = 32  // where it has the number of objects
	blfStart    = 40  // where it has the time of the first frame
	blfDates    = 72  // where it ends that we read
	objectBase  = 16
	objectTimed = 32 // the header with flags and time
	objectPad   = 7  // how many zeros may be between objects, with some grace

	blfCAN       = 1
	blfError     = 2
	blfContainer = 10
	blfErrorExt  = 73
	blfCAN2      = 86
	blfFD        = 100
	blfFD64      = 101
	blfFDError64 = 104

	containerHeader = objectBase + 16
	blfStored       = 0
	blfDeflated     = 2

	blfTenMicros = 1
	blfNanos     = 2

	// The flags of CAN objects, and of their CAN FD part.
	blfDirection = 0x0F // 0: received, 1: sent, 2: a request to send
	blfSent      = 1
	blfRemote    = 0x80
	blfEDL       = 1
	blfBRS       = 2
	blfESI       = 4
)

// objects reads a row of objects.
type objects struct {
	records
}

// An object is what an object begins with.
type object struct {
	at      int64
	header  int
	version uint16
	size    int64
	kind    uint32
}

// next finds the next object, and returns what it begins with, all of which stays to be
// read.
func (o *objects) next() (object, error) {
	at := o.offset
	for {
		b, err := o.peek(objectBase)
		if err == errCutRecord && len(b) <= objectPad {
			err = io.EOF
		}
		if err != nil {
			return object{}, err
		}
		if string(b[:4]) == blfObject {
			break
		}
		skip := bytes.Index(b, []byte(blfObject))
		if skip < 0 {
			skip = len(b) - len(blfObject) + 1
		}
		if err := o.skip(int64(skip)); err != nil {
			return object{}, err
		}
	}
	if o.offset-at > objectPad {
		return object{}, o.bad(at, fmt.Errorf("%d bytes that are of no object", o.offset-at))
	}
	b, _ := o.peek(objectBase)
	h := object{
		at:      o.offset,
		header:  int(binary.LittleEndian.Uint16(b[4:])),
		version: binary.LittleEndian.Uint16(b[6:]),
		size:    int64(binary.LittleEndian.Uint32(b[8:])),
		kind:    binary.LittleEndian.Uint32(b[12:]),
	}
	if h.header < objectBase || h.size < int64(h.header) {
		if err := o.skip(max(h.size, objectBase)); err != nil {
			return object{}, err
		}
		return object{}, o.bad(h.at, fmt.Errorf("an object of %d bytes with a header of %d", h.size, h.header))
	}
	return h, nil
}

// contents reads what the containers of a file hold, one behind the other, and objects that
// are in none as they are.
type contents struct {
	objects
	data io.Reader // the rest of an object; nil: there is none
	raw  *io.LimitedReader
	at   int64 // where it begins
	zlib io.ReadCloser
}

// A containerError is the error of a container that cannot be read. What its beginning held
// of an object that goes on in it is lost, too.
type containerError struct{ *RecordError }

// Read returns, once, a containerError for each that cannot be read, and goes on behind it.
func (c *contents) Read(p []byte) (int, error) {
	for {
		if c.data == nil {
			if err := c.open(); err != nil {
				return 0, c.lost(err)
			}
		}
		n, err := c.data.Read(p)
		if n > 0 {
			return n, nil
		}
		if err == nil {
			continue
		}
		c.data = nil
		if restErr := c.skip(c.raw.N); restErr != nil {
			return 0, c.lost(restErr)
		}
		if err != io.EOF {
			return 0, c.lost(c.bad(c.at, fmt.Errorf("a container: %w", noEOF(err))))
		}
	}
}

// lost makes an error that Read returns.
func (c *contents) lost(err error) error {
	if err == errCutRecord {
		err = c.fail(c.at, err)
	}
	if bad, ok := err.(*RecordError); ok {
		return containerError{bad}
	}
	return err
}

// open begins with the next object.
func (c *contents) open() error {
	h, err := c.next()
	if err != nil {
		return err
	}
	c.at = h.at
	if h.kind != blfContainer {
		c.raw = &io.LimitedReader{R: counted{&c.records}, N: h.size}
		c.data = c.raw
		return nil
	}
	b, err := c.peek(containerHeader)
	if err != nil {
		return err
	}
	method, size := binary.LittleEndian.Uint16(b[objectBase:]), binary.LittleEndian.Uint32(b[objectBase+8:])
	if h.size < containerHeader {
		if err := c.skip(h.size); err != nil {
			return err
		}
		return c.bad(h.at, fmt.Errorf("a container of %d bytes", h.size))
	}
	if err := c.skip(containerHeader); err != nil {
		return err
	}
	c.raw = &io.LimitedReader{R: counted{&c.records}, N: h.size - containerHeader}
	switch method {
	case blfStored:
		c.data = c.raw
		return nil
	case blfDeflated:
		c.data, err = c.inflate(int64(size))
	default:
		err = fmt.Errorf("the method of compression is %d, and 0 and 2 are known here", method)
	}
	if err != nil {
		if restErr := c.skip(c.raw.N); restErr != nil {
			return restErr
		}
		return c.bad(h.at, fmt.Errorf("a container: %w", noEOF(err)))
	}
	return nil
}

// inflate returns a reader of the container's data, which are of that size. What zlib makes
// of them beyond that is not read.
func (c *contents) inflate(size int64) (io.Reader, error) {
	var err error
	if c.zlib == nil {
		c.zlib, err = zlib.NewReader(c.raw)
	} else {
		err = c.zlib.(zlib.Resetter).Reset(c.raw, nil)
	}
	if err != nil {
		return nil, err
	}
	return io.LimitReader(c.zlib, size), nil
}

// counted reads records, and counts them.
type counted struct{ *records }

func (c counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.offset += int64(n)
	return n, err
}

// blf reads BLF.
type blf struct {
	objects // those in the containers
	start   int64
	file    *contents
	want    blfTotals
	got     uint64 // objects
	checked bool   // that all is there, or something was told to be lost
}

// blfTotals are what a file's header says of all the file. They are 0, or those of an empty file,
// until its recorder ends.
type blfTotals struct {
	size, count uint64
}

// missing returns the error of a file that ends at an offset, behind so many objects, and has more
// by its header; nil if it has not. The count is looked at only without a size: programs do not agree
// on which objects count.
func (t blfTotals) missing(at int64, objects uint64) error {
	switch {
	case t.size > blfHeader && uint64(at) < t.size:
		return fmt.Errorf("the log ends there, and its header says that it has %d bytes", t.size)
	case t.size <= blfHeader && objects < t.count:
		return fmt.Errorf("the log ends there, behind %d of the %d objects that its header tells of", objects, t.count)
	}
	return nil
}

func newBLF(b *bufio.Reader) (*blf, error) {
	file := &contents{objects: objects{records{format: BLF, r: b}}}
	header, err := file.peek(blfDates)
	if err != nil {
		return nil, fmt.Errorf("the header of the BLF file: %w", noEOF(err))
	}
	start := parseSystemTime(header[blfStart:])
	want := blfTotals{binary.LittleEndian.Uint64(header[blfSize:]), uint64(binary.LittleEndian.Uint32(header[blfCount:]))}
	size := int64(binary.LittleEndian.Uint32(header[4:]))
	if size < blfDates {
		return nil, fmt.Errorf("the header of the BLF file says that it has %d bytes", size)
	}
	if err := file.skip(size); err != nil {
		return nil, fmt.Errorf("the header of the BLF file: %w", err)
	}
	return &blf{
		objects: objects{records{format: BLF, r: bufio.NewReaderSize(file, bufferLen)}},
		start:   start, file: file, want: want,
	}, nil
}

// parseSystemTime returns a Windows SYSTEMTIME in local time, in nanoseconds since 1970; 0
// if it is none.
func parseSystemTime(b []byte) int64 {
	var v [8]int
	for i := range v {
		v[i] = int(binary.LittleEndian.Uint16(b[2*i:]))
	}
	at := time.Date(v[0], time.Month(v[1]), v[3], v[4], v[5], v[6], v[7]*int(time.Millisecond), time.Local)
	if !inRange(at) {
		return 0
	}
	return at.UnixNano()
}

func appendSystemTime(b []byte, at time.Time) []byte {
	for _, v := range []int{
		at.Year(), int(at.Month()), int(at.Weekday()), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond() / int(time.Millisecond),
	} {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return b
}

func (b *blf) ready() bool {
	head, _ := b.r.Peek(min(objectBase, b.r.Buffered()))
	return len(head) == objectBase && string(head[:4]) == blfObject && b.holds(int64(binary.LittleEndian.Uint32(head[8:])))
}

func (b *blf) read(f *canbus.Frame) (bus string, err error) {
	h, err := b.next()
	if err != nil {
		return "", b.lost(err)
	}
	b.got++
	if isCAN := isCANObject(h.kind); !isCAN || h.size > bufferLen {
		if err := b.skip(h.size); err != nil {
			return "", b.lost(err)
		}
		if isCAN {
			return "", b.bad(h.at, fmt.Errorf("an object of type %d has %d bytes, which are too many", h.kind, h.size))
		}
		return "", errSkipped
	}
	body, err := b.peek(int(h.size))
	if err != nil {
		return "", b.lost(err)
	}
	err = b.setObject(f, h, body)
	if skipErr := b.skip(h.size); skipErr != nil {
		return "", b.lost(skipErr)
	}
	switch {
	case err == errSkipped:
		return "", err
	case err != nil:
		return "", b.bad(h.at, err)
	}
	return strconv.Itoa(int(f.Channel)), nil
}

// lost returns the error of reading the containers.
func (b *blf) lost(err error) error {
	if err == io.EOF && !b.checked {
		b.checked = true
		at := b.file.offset + int64(b.file.r.Buffered())
		if missing := b.want.missing(at, b.got); missing != nil {
			return b.bad(at, missing)
		}
	}
	b.checked = true
	switch e := err.(type) {
	case containerError:
		b.skip(int64(b.r.Buffered()))
		return e.RecordError
	case *RecordError:
		return e
	}
	return b.fail(b.offset, err)
}

func isCANObject(kind uint32) bool {
	switch kind {
	case blfCAN, blfCAN2, blfError, blfErrorExt, blfFD, blfFD64, blfFDError64:
		return true
	}
	return false
}

// setObject makes a frame of an object.
func (b *blf) setObject(f *canbus.Frame, h object, o []byte) error {
	if h.header < objectTimed || h.version != 1 && h.version != 2 {
		return fmt.Errorf("an object of type %d with a header of version %d and %d bytes", h.kind, h.version, h.header)
	}
	data := o[h.header:]
	if need := objectNeeds[h.kind]; len(data) < need {
		return fmt.Errorf("an object of type %d has %d bytes, of at least %d", h.kind, len(data), need)
	}
	units := binary.LittleEndian.Uint64(o[24:])
	scale := uint64(1)
	if binary.LittleEndian.Uint32(o[objectBase:]) == blfTenMicros {
		scale = 10_000
	}
	if units > uint64(maxTime-b.start)/scale {
		return fmt.Errorf("its time is %d units of %d ns after the beginning, which is after the year 2262", units, scale)
	}
	if err := setCANObject(f, h.kind, data); err != nil {
		return err
	}
	f.Stamp(b.start + int64(units*scale))
	return valid(f)
}

// objectNeeds are the lengths of objects without their header, and for CAN FD without data.
var objectNeeds = map[uint32]int{
	blfCAN: 16, blfCAN2: 16, blfError: 2, blfErrorExt: 2, blfFD: 20, blfFD64: 40, blfFDError64: 1,
}

func setCANObject(f *canbus.Frame, kind uint32, d []byte) error {
	channel := uint16(d[0])
	if kind != blfFD64 && kind != blfFDError64 {
		channel = binary.LittleEndian.Uint16(d)
	}
	if channel > 255 {
		return fmt.Errorf("the channel %d is not 0 to 255", channel)
	}
	f.Channel = uint8(channel)
	switch kind {
	case blfCAN, blfCAN2:
		return setBLFClassic(f, d)
	case blfFD:
		return setBLFFD(f, d)
	case blfFD64:
		return setBLFFD64(f, d)
	}
	setError(f)
	return nil
}

// setBLFClassic: channel (2), flags (1), DLC (1), identifier (4), data (8).
func setBLFClassic(f *canbus.Frame, d []byte) error {
	setBLFID(f, binary.LittleEndian.Uint32(d[4:]))
	f.Len = canbus.DLCLen(d[3], false)
	return setBLFFlags(f, d[2], d[8:])
}

// setBLFFD: as classic ones, and behind the identifier the frame's length on the wire (4),
// bits (1), flags of CAN FD (1), number of data (1), 5 bytes, data (64).
func setBLFFD(f *canbus.Frame, d []byte) error {
	setBLFID(f, binary.LittleEndian.Uint32(d[4:]))
	setFDFlags(f, uint32(d[13]), blfEDL, blfBRS, blfESI)
	f.Len = canbus.DLCLen(d[3], f.Has(canbus.FD))
	return setBLFFlags(f, d[2], d[20:])
}

// setBLFFD64: channel (1), DLC (1), number of data (1), 1 byte, identifier (4), length on
// the wire (4), flags (4), 18 bytes, direction (1), 5 bytes, data.
func setBLFFD64(f *canbus.Frame, d []byte) error {
	setBLFID(f, binary.LittleEndian.Uint32(d[4:]))
	flags := binary.LittleEndian.Uint32(d[12:])
	setFDFlags(f, flags, vectorFD, vectorBRS, vectorESI)
	f.Len = canbus.DLCLen(d[1], f.Has(canbus.FD))
	direction := d[34]
	if flags&vectorRemote != 0 {
		direction |= blfRemote
	}
	return setBLFFlags(f, direction, d[40:])
}

func setBLFID(f *canbus.Frame, id uint32) {
	if id&socketExtended != 0 {
		f.Flags |= canbus.Extended
	}
	f.ID = id &^ socketExtended
}

func setFDFlags(f *canbus.Frame, flags, fd, brs, esi uint32) {
	if flags&fd == 0 {
		return
	}
	f.Flags |= canbus.FD
	if flags&brs != 0 {
		f.Flags |= canbus.BRS
	}
	if flags&esi != 0 {
		f.Flags |= canbus.ESI
	}
}

// setBLFFlags sets what the flags of a classic object say, and the data.
func setBLFFlags(f *canbus.Frame, flags byte, data []byte) error {
	switch flags & blfDirection {
	case 0:
	case blfSent:
		f.Flags |= canbus.Echo
	default:
		return errSkipped // a request, which the frame that was sent follows
	}
	if flags&blfRemote != 0 && !f.Has(canbus.FD) {
		f.Flags |= canbus.Remote
		return nil
	}
	if len(data) < int(f.Len) {
		return fmt.Errorf("there are %d of %d data bytes", len(data), f.Len)
	}
	copy(f.Data[:f.Len], data)
	return nil
}

// blfSink writes BLF.
type blfSink struct {
	channels
	w        *Writer
	clock    clock
	last     int64        // the time of the last frame
	buf      bytes.Buffer // a container that is not written yet
	packed   bytes.Buffer
	zlib     *zlib.Writer
	count    uint32 // of objects
	size     uint64 // of the file
	unpacked uint64 // of the file if nothing were compressed
}

// containerLen is how much a container holds, as Vector's and python-can's do.
const containerLen = 128 << 10

func newBLFSink(w *Writer) *blfSink {
	s := &blfSink{w: w}
	s.zlib = zlib.NewWriter(&s.packed)
	return s
}

// header returns the file's header, with what is known now.
func (s *blfSink) header() []byte {
	h := []byte(blfMagic)
	h = binary.LittleEndian.AppendUint32(h, blfHeader)
	h = append(h, 0, 0, 0, 0, 2, 6, 8, 1) // no application; the version of the format
	h = binary.LittleEndian.AppendUint64(h, s.size)
	h = binary.LittleEndian.AppendUint64(h, s.unpacked)
	h = binary.LittleEndian.AppendUint32(h, s.count)
	h = binary.LittleEndian.AppendUint32(h, 0)
	if s.clock.start == 0 {
		return append(h, make([]byte, blfHeader-len(h))...)
	}
	h = appendSystemTime(h, time.Unix(0, s.clock.start))
	h = appendSystemTime(h, time.Unix(0, s.last))
	return append(h, make([]byte, blfHeader-len(h))...)
}

func (s *blfSink) begin(f *canbus.Frame) error {
	s.clock.begin(f, time.Millisecond)
	s.size, s.unpacked = blfHeader, blfHeader
	_, err := s.w.w.Write(s.header())
	return err
}

func (s *blfSink) write(f *canbus.Frame, bus string) error {
	channel, err := s.of(bus)
	if err != nil {
		return err
	}
	if !s.clock.running {
		if err := s.begin(f); err != nil {
			return err
		}
	}
	at := s.clock.since(f, s.w)
	s.last = s.clock.start + at
	kind, body := blfBody(f, channel)
	if kind == blfErrorExt {
		s.w.losses.loseError(f)
	}
	s.buf.Write(objectHead(objectTimed, len(body), kind))
	var timed [objectTimed - objectBase]byte
	binary.LittleEndian.PutUint32(timed[:], blfNanos)
	binary.LittleEndian.PutUint64(timed[8:], uint64(at))
	s.buf.Write(timed[:])
	s.buf.Write(body)
	s.count++
	if s.buf.Len() < containerLen {
		return nil
	}
	return s.flush()
}

func objectHead(header, body int, kind uint32) []byte {
	b := []byte(blfObject)
	b = binary.LittleEndian.AppendUint16(b, uint16(header))
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(header+body))
	return binary.LittleEndian.AppendUint32(b, kind)
}

// blfBody returns the type of the object of a frame, and what is behind the header. Its
// length is a multiple of 4, so that nothing need follow it.
func blfBody(f *canbus.Frame, channel int) (kind uint32, body []byte) {
	if f.Has(canbus.ErrorFrame) {
		body = make([]byte, 32)
		binary.LittleEndian.PutUint16(body, uint16(channel))
		return blfErrorExt, body
	}
	flags := byte(0)
	if f.Has(canbus.Echo) {
		flags |= blfSent
	}
	if f.Has(canbus.Remote) {
		flags |= blfRemote
	}
	id := f.ID
	if f.Has(canbus.Extended) {
		id |= socketExtended
	}
	body = binary.LittleEndian.AppendUint16(body, uint16(channel))
	body = append(body, flags, f.DLC())
	body = binary.LittleEndian.AppendUint32(body, id)
	if !f.Has(canbus.FD) {
		return blfCAN, append(body, f.Data[:canbus.MaxClassicLen]...)
	}
	flags = blfEDL
	if f.Has(canbus.BRS) {
		flags |= blfBRS
	}
	if f.Has(canbus.ESI) {
		flags |= blfESI
	}
	body = append(body, 0, 0, 0, 0, 0, flags, f.Len, 0, 0, 0, 0, 0)
	body = append(body, f.Payload()...)
	return blfFD, append(body, make([]byte, 84-len(body))...)
}

// flush writes a container of the objects that wait.
func (s *blfSink) flush() error {
	if s.buf.Len() == 0 {
		return nil
	}
	size := s.buf.Len()
	s.packed.Reset()
	s.zlib.Reset(&s.packed)
	if _, err := s.buf.WriteTo(s.zlib); err != nil {
		return err
	}
	if err := s.zlib.Close(); err != nil {
		return err
	}
	head := objectHead(objectBase, containerHeader-objectBase+s.packed.Len(), blfContainer)
	head = append(head, blfDeflated, 0, 0, 0, 0, 0, 0, 0)
	head = binary.LittleEndian.AppendUint32(head, uint32(size))
	head = append(head, 0, 0, 0, 0)
	pad := make([]byte, (len(head)+s.packed.Len())%4)
	s.size += uint64(len(head) + s.packed.Len() + len(pad))
	s.unpacked += uint64(len(head) + size)
	for _, part := range [][]byte{head, s.packed.Bytes(), pad} {
		if _, err := s.w.w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// close writes the header once more, with what is known now, if the file lets it.
func (s *blfSink) close() error {
	if !s.clock.running {
		if err := s.begin(new(canbus.Frame)); err != nil {
			return err
		}
	}
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.w.w.Flush(); err != nil || s.w.file == nil {
		return err
	}
	if _, err := s.w.file.Seek(-int64(s.size), io.SeekCurrent); err != nil {
		return nil // a pipe: readers do without
	}
	if _, err := s.w.file.Write(s.header()); err != nil {
		return err
	}
	_, err := s.w.file.Seek(0, io.SeekEnd)
	return err
}
