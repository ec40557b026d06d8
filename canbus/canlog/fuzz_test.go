package canlog

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"example.com/isotp/canbus"
)

// samples are logs in all formats.
func samples(tb testing.TB) (logs []string) {
	for i := range formats[1:] {
		var out bytes.Buffer
		w, err := NewWriter(&out, Format(i+1))
		if err != nil {
			tb.Fatal(err)
		}
		for line := range strings.Lines(everything) {
			f, bus, err := canbus.ParseLogLine(line)
			if err == nil {
				err = w.WriteFrame(&f, bus)
			}
			if err != nil {
				tb.Fatal(err)
			}
		}
		w.Close()
		logs = append(logs, out.String())
	}
	return logs
}

// FuzzReader reads anything as a log, at once and byte by byte: it ends, each frame is
// valid, and what comes does not depend on the pieces. What it reads can be written in any
// format, and read from there.
func FuzzReader(f *testing.F) {
	for i, log := range samples(f) {
		f.Add([]byte(log), uint8(i))
	}
	for i, log := range []string{
		ascHead + "   1.0 CANFD   3 Rx        30a  Name  1 1 1  1 01   102203  133   307000 e0006659\n",
		"base dec timestamps relative\n 1.5 1  16              Rx   d 2 16 255\n",
		"base hex timestamps relative\n" + strings.Repeat(" 9000000000.0 1 16 Rx d 0\n", 3),
		" (999999999.500000)  can0  123   [0]\n" + strings.Repeat(" (999999999.000000)  can0  123   [0]\n", 11),
		";$FILEVERSION=2.0\n;$COLUMNS=N,O,T,I,d,l,D\n      1     17535.400 DT 00000100 Tx 8  00 01 02 03 04 05 06 07\n",
		"     1)     17535.400 1  Tx    00000100 -  8    00 01 02 03 04 05 06 07\n    12)     48937.600 1  Rx        0704 -  1    RTR\n",
		" (000.000000)  can0  123   [3]  33`22`11            `..\"`\n (000.100000)  can0  TX B E  123  [12]  00 01 02 03 04 05 06 07 08 09 0A 0B\n",
		blfFile(blfIn(blfStored, len(blfSample), blfSample+blfSample), blfSample),
		big.pcap(pcapMicro, linkSLL, "\x00\x04\x01\x18"+strings.Repeat("\x00", 12)+socketFrame),
		big.section() + big.network(227, big.option(optionResolution, "\x81")) + big.packet(0, 5, socketFrame),
	} {
		f.Add([]byte(log), uint8(i))
	}
	f.Fuzz(func(t *testing.T, log []byte, format uint8) {
		frames, errs := readAny(t, bytes.NewReader(log))
		again, againErrs := readAny(t, iotest.OneByteReader(bytes.NewReader(log)))
		if !slices.Equal(frames, again) && !slices.ContainsFunc(frames, func(f logged) bool { return f.bus == "" }) {
			// Which times are deltas depends on what is in the buffer.
			if !bytes.Contains(log, []byte(".")) || !slices.EqualFunc(frames, again, func(a, b logged) bool {
				a.frame.Timestamp, b.frame.Timestamp = 0, 0
				return a == b
			}) {
				t.Errorf("at once %v, byte by byte %v", frames, again)
			}
		}
		if len(errs) != len(againErrs) {
			t.Errorf("errors at once %v, byte by byte %v", errs, againErrs)
		}
		writeAndRead(t, Format(int(format)%(len(formats)-1)+1), frames)
	})
}

type logged struct {
	frame canbus.Frame
	bus   string
}

// readAny reads what may be no log.
func readAny(t *testing.T, r io.Reader) (frames []logged, errs []error) {
	log, err := NewReader(r)
	for err == nil {
		var f canbus.Frame
		var bus string
		bus, err = log.ReadFrame(&f)
		switch {
		case err == nil:
			if err := valid(&f); err != nil {
				t.Errorf("frame %+v: %v", f, err)
			}
			if f.Timestamp < 0 {
				t.Errorf("frame %+v is of before 1970", f)
			}
			frames = append(frames, logged{f, bus})
		case errors.Is(err, canbus.ErrTemporary):
			errs, err = append(errs, err), nil
		}
	}
	return frames, errs
}

// writeAndRead writes frames, and fails the test unless as many can be read.
func writeAndRead(t *testing.T, format Format, frames []logged) {
	var out bytes.Buffer
	w, err := NewWriter(&out, format)
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	for i := range frames {
		err := w.WriteFrame(&frames[i].frame, frames[i].bus)
		if err == nil {
			written++
		} else if !errors.Is(err, canbus.ErrTemporary) {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	read, errs := readAny(t, &out)
	if len(read) != written || len(errs) > 0 {
		t.Fatalf("%v: of %d frames %d are read, errors %v", format, written, len(read), errs)
	}
	for i := range read {
		a, b := frames[i].frame, read[i].frame
		if a.Has(canbus.ErrorFrame) && b.Has(canbus.ErrorFrame) || written < len(frames) {
			continue
		}
		a.Strip()
		b.Strip()
		if a != b && a.Len > 0 {
			t.Errorf("%v: frame %d is %v, and is read as %v", format, i, a, b)
		}
	}
}

// FuzzGzip reads what may be compressed.
func FuzzGzip(f *testing.F) {
	for _, log := range samples(f) {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		io.WriteString(z, log)
		z.Close()
		f.Add(packed.Bytes())
	}
	f.Fuzz(func(t *testing.T, log []byte) { readAny(t, bytes.NewReader(log)) })
}
