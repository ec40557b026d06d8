package canlog

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/isotp/canbus"
)

// blfFile is a file of these containers and objects, which begins in 2017.
func blfFile(parts ...string) string {
	header := blfMagic + little.u32(blfHeader) + strings.Repeat("\x00", 32)
	for _, v := range []uint16{2017, 9, 6, 30, 15, 6, 13, 191} {
		header += little.u16(v)
	}
	return header + strings.Repeat("\x00", blfHeader-len(header)) + strings.Join(parts, "")
}

func blfPart(kind uint32, header uint16, version uint16, rest string) string {
	size := 16 + len(rest)
	return blfObject + little.u16(header) + little.u16(version) + little.u32(uint32(size)) + little.u32(kind) + rest + strings.Repeat("\x00", size%4)
}

func blfTimed(kind uint32, flags uint32, at uint64, body string) string {
	return blfPart(kind, 32, 1, little.u32(flags)+little.u32(0)+little.u64(at)+body)
}

func deflated(data string) string {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	io.WriteString(z, data)
	z.Close()
	return b.String()
}

func blfIn(method uint16, size int, data string) string {
	return blfPart(blfContainer, 16, 1, little.u16(method)+little.u16(0)+little.u32(0)+little.u32(uint32(size))+little.u32(0)+data)
}

func container(data string) string { return blfIn(blfDeflated, len(data), deflated(data)) }

// blfSample is a classic frame, 1 s after the beginning.
var blfSample = blfTimed(blfCAN, blfNanos, 1e9, little.u16(1)+"\x00\x03"+little.u32(0x7E0)+"\x02\x10\x03\x00\x00\x00\x00\x00")

const blfSampleText = "(1506783974.191000) 1 7E0#021003"

func TestBLF(t *testing.T) {
	inZone(t, 0)
	fd64 := "\x02\x09\x0C\x00" + little.u32(0x80000123) + little.u32(0) + little.u32(vectorFD|vectorBRS|vectorESI) + strings.Repeat("\x00", 18) + "\x01" + strings.Repeat("\x00", 5) + "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B"
	version2 := blfPart(blfCAN2, 40, 2, little.u32(blfNanos)+little.u32(0)+little.u64(1e9)+little.u64(0)+little.u16(1)+"\x00\x03"+little.u32(0x7E0)+"\x02\x10\x03\x00\x00\x00\x00\x00"+little.u64(0))
	marker := blfTimed(96, blfNanos, 0, strings.Repeat("LOB", 33333))
	for name, c := range map[string]struct {
		log  string
		want []string
	}{
		"classic":         {container(blfSample), []string{blfSampleText}},
		"units of 10 us":  {container(blfTimed(blfCAN, blfTenMicros, 1e5, blfSample[32:])), []string{blfSampleText}},
		"version 2":       {container(version2), []string{blfSampleText}},
		"not compressed":  {blfIn(blfStored, len(blfSample), blfSample), []string{blfSampleText}},
		"in no container": {blfSample + marker + blfSample, []string{blfSampleText, blfSampleText}},
		"two containers":  {container(blfSample[:20]) + container(blfSample[20:]), []string{blfSampleText}},
		"other objects":   {container(marker + blfSample + blfTimed(115, 2, 0, "xyz") + blfSample), []string{blfSampleText, blfSampleText}},
		"sent, remote":    {container(blfTimed(blfCAN, 2, 1e9, little.u16(2)+"\x81\x08"+little.u32(0x80000001)+"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF")), []string{"(1506783974.191000) 2 00000001#R8 T"}},
		"request":         {container(blfTimed(blfCAN, 2, 1e9, little.u16(2)+"\x02"+blfSample[35:])), nil},
		"DLC above 8":     {container(blfTimed(blfCAN, 2, 1e9, little.u16(1)+"\x00\x0F"+blfSample[36:])), []string{"(1506783974.191000) 1 7E0#0210030000000000"}},
		"FD":              {container(blfTimed(blfFD, 2, 1e9, little.u16(1)+"\x01\x02"+little.u32(0x7E0)+little.u32(0)+"\x00\x03\x02\x00\x00\x00\x00\x00\xAA\xBB")), []string{"(1506783974.191000) 1 7E0##1AABB T"}},
		"FD, classic":     {container(blfTimed(blfFD, 2, 1e9, little.u16(1)+"\x00\x02"+little.u32(0x7E0)+little.u32(0)+"\x00\x00\x02\x00\x00\x00\x00\x00\xAA\xBB")), []string{"(1506783974.191000) 1 7E0#AABB"}},
		"short error":     {container(blfTimed(blfFDError64, 2, 1e9, "\x05")), []string{"(1506783974.191000) 5 20000080#0000000000000000"}},
		"FD 64":           {container(blfTimed(blfFD64, 2, 1e9, fd64)), []string{"(1506783974.191000) 2 00000123##3000102030405060708090A0B T"}},
		"errors": {container(blfTimed(blfErrorExt, 2, 1e9, little.u16(3)+strings.Repeat("\x00", 30)) + blfTimed(blfError, 2, 1e9, little.u32(4)) + blfTimed(blfFDError64, 2, 1e9, "\x05"+strings.Repeat("\x00", 60))),
			[]string{"(1506783974.191000) 3 20000080#0000000000000000", "(1506783974.191000) 4 20000080#0000000000000000", "(1506783974.191000) 5 20000080#0000000000000000"}},
	} {
		t.Run(name, func(t *testing.T) { wantFrames(t, blfFile(c.log), c.want...) })
	}
}

// What is wrong is told, and reading goes on with the next object that is whole.
func TestBLFErrors(t *testing.T) {
	inZone(t, 0)
	damaged := []byte(container(strings.Repeat(blfSample, 100)))
	damaged[len(damaged)/2] ^= 0xFF
	for name, c := range map[string]struct {
		log    string
		frames int // before those of the last container
		names  string
	}{
		"zlib":          {string(damaged), -1, "container"},
		"no zlib":       {blfIn(blfDeflated, 100, "xxxxxxxxxxxx"), 0, "zlib"},
		"method":        {blfIn(7, 100, "xxxxxxxxxxxx"), 0, "is 7"},
		"small":         {blfPart(blfContainer, 16, 1, "abcd"), 0, "container of 20 bytes"},
		"garbage":       {strings.Repeat("x", 100), 0, "100 bytes"},
		"inner garbage": {container(blfSample + strings.Repeat("x", 100) + blfSample), 2, "100 bytes"},
		"header":        {container(blfSample + blfPart(blfCAN, 99, 1, "") + blfSample), 2, "header of 99"},
		"version":       {container(blfPart(blfCAN, 32, 3, strings.Repeat("\x00", 32))), 0, "version 3"},
		"no time":       {container(blfPart(blfCAN, 16, 1, strings.Repeat("\x00", 32))), 0, "16 bytes"},
		"short":         {container(blfTimed(blfCAN, 2, 0, "abcd")), 0, "4 bytes"},
		"long":          {container(blfTimed(blfCAN, 2, 0, strings.Repeat("x", 70000))), 0, "too many"},
		"time":          {container(blfTimed(blfCAN, blfTenMicros, 1<<63, blfSample[32:])), 0, "2262"},
		"channel":       {container(blfTimed(blfCAN, 2, 1, little.u16(300)+blfSample[34:])), 0, "300"},
		"identifier":    {container(blfTimed(blfCAN, 2, 1, little.u16(1)+"\x00\x03"+little.u32(0x800)+blfSample[40:])), 0, "0x800"},
		"data":          {container(blfTimed(blfFD64, 2, 1, "\x01\x0F\x40\x00"+little.u32(1)+little.u32(0)+little.u32(vectorFD)+strings.Repeat("\x00", 30))), 0, "of 64 data"},
	} {
		frames, errs := readLog(t, strings.NewReader(blfFile(c.log, container(blfSample))))
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), c.names) || !strings.Contains(errs[0].Error(), "at byte") {
			t.Errorf("%s: errors %v; want one that names a byte and %s", name, errs, c.names)
		}
		if c.frames >= 0 && len(frames) != c.frames+1 || len(frames) == 0 || frames[len(frames)-1] != blfSampleText {
			t.Errorf("%s: frames %q", name, frames)
		}
	}
	whole := blfFile(container(blfSample), container(blfSample))
	if frames, errs := readLog(t, strings.NewReader(whole[:len(whole)-9])); len(frames) == 0 || len(errs) != 1 {
		t.Errorf("cut off: frames %q, errors %v", frames, errs)
	}
	wantEnd(t, blfFile()[:50], "header")
	wantEnd(t, blfMagic+little.u32(8)+strings.Repeat("\x00", 200), "8 bytes")
}

// Where a file was cut off between two objects, its header knows how much there was. The header
// of a recorder that has crashed, or writes still, does not.
func TestBLFThatIsCutOffBetweenObjects(t *testing.T) {
	inZone(t, 0)
	whole := blfFile(container(blfSample), container(blfSample))
	telling := func(log string, size uint64, objects uint32) string {
		b := []byte(log)
		binary.LittleEndian.PutUint64(b[16:], size)
		binary.LittleEndian.PutUint32(b[32:], objects)
		return string(b)
	}
	one, all := len(blfFile(container(blfSample))), uint64(len(whole))
	for name, c := range map[string]struct {
		log    string
		frames int
		names  string // in the error; "": there is none
	}{
		"whole":               {telling(whole, all, 2), 2, ""},
		"whole, more objects": {telling(whole, all, 3), 2, ""}, // other programs may count others
		"grown":               {telling(whole, all-10, 1), 2, ""},
		"crashed":             {telling(whole[:one], 0, 0), 1, ""},
		"just begun":          {telling(whole[:one], blfHeader, 0), 1, ""},
		"cut":                 {telling(whole[:one], all, 2), 1, fmt.Sprintf("%d bytes", all)},
		"header and a byte":   {telling(whole[:blfHeader+1], all, 2), 0, fmt.Sprintf("%d bytes", all)},
		"objects alone known": {telling(whole[:one], 0, 2), 1, "2 objects"},
	} {
		frames, errs := readLog(t, strings.NewReader(c.log))
		good := len(errs) == 0
		if c.names != "" {
			good = len(errs) == 1 && errors.Is(errs[0], canbus.ErrTemporary) && strings.Contains(errs[0].Error(), c.names)
		}
		if len(frames) != c.frames || !good {
			t.Errorf("%s: %d frames, errors %v; want %d, and %q", name, len(frames), errs, c.frames, c.names)
		}
	}
}

// What a container holds beyond the size that it tells, and objects that tell of 4 GiB, take
// no memory.
func TestBLFBounds(t *testing.T) {
	inZone(t, 0)
	bomb := blfIn(blfDeflated, len(blfSample), deflated(blfSample+strings.Repeat("\x00", 4<<20)))
	huge := []byte(container(blfSample))
	binary.LittleEndian.PutUint32(huge[8:], 1<<32-1)
	inner := []byte(blfSample)
	binary.LittleEndian.PutUint32(inner[8:], 1<<32-1)
	wantFrames(t, blfFile(bomb, container(blfSample)), blfSampleText, blfSampleText)
	for name, log := range map[string]string{"container": blfFile(string(huge)), "object": blfFile(container(blfSample + string(inner)))} {
		frames, errs := readLog(t, strings.NewReader(log))
		if len(frames) != 1 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "middle") {
			t.Errorf("%s: frames %q, errors %v", name, frames, errs)
		}
	}
}

// At the end the header has what was not known at the beginning.
func TestBLFHeader(t *testing.T) {
	inZone(t, 0)
	path := filepath.Join(t.TempDir(), "a.blf")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w, err := NewWriter(file, BLF)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		f := canbus.Frame{ID: 0x123, Len: 8}
		f.Stamp(1506783974191000000 + int64(i)*1e9)
		if err := w.WriteFrame(&f, "can0"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size, unpacked, count := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:]), binary.LittleEndian.Uint32(b[32:])
	if size != uint64(len(b)) || unpacked < 5000*48 || count != 5000 {
		t.Errorf("the header tells of %d bytes of %d, %d, and %d objects", size, len(b), unpacked, count)
	}
	if first, last := parseSystemTime(b[40:]), parseSystemTime(b[56:]); first != 1506783974191000000 || last != first+4999e9 {
		t.Errorf("the header tells of the times %d and %d", first, last)
	}
	if frames, errs := readLog(t, bytes.NewReader(b)); len(frames) != 5000 || len(errs) > 0 {
		t.Errorf("%d frames, errors %v", len(frames), errs)
	}
}
