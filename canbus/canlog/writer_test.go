package canlog

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/isotp/canbus"
)

// convert writes the frames of a log of candump's in a format.
func convert(t *testing.T, log string, format Format) (text []byte, losses []Loss, refused []error) {
	t.Helper()
	r, err := NewReader(strings.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := NewWriter(&out, format)
	if err != nil {
		t.Fatal(err)
	}
	for {
		var f canbus.Frame
		bus, err := r.ReadFrame(&f)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteFrame(&f, bus); errors.Is(err, canbus.ErrTemporary) {
			refused = append(refused, err)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), w.Losses(), refused
}

func TestCandumpFormatsKeepAll(t *testing.T) {
	for _, format := range []Format{Candump, Screen} {
		t.Run(format.String(), func(t *testing.T) {
			text, losses, refused := convert(t, candumpLog, format)
			if len(losses)+len(refused) > 0 {
				t.Errorf("it tells of losses %v and of frames %v", losses, refused)
			}
			wantFrames(t, string(text), strings.Split(strings.TrimSpace(candumpLog), "\n")...)
		})
	}
}

func TestWriterTellsWhatIsLost(t *testing.T) {
	_, losses, _ := convert(t, "(1.1234567) can0 001#\n can0 123 [1] 11\n(2.1234567) can0 001#\n", Candump)
	want := []Loss{{"times below a microsecond", 2}, {"that their time is not known (it is the log's first)", 1}}
	if !slices.Equal(losses, want) {
		t.Errorf("losses %v, want %v", losses, want)
	}
}

func TestWriterRefusesInvalidFrames(t *testing.T) {
	w, err := NewWriter(io.Discard, Candump)
	if err != nil {
		t.Fatal(err)
	}
	err = w.WriteFrame(&canbus.Frame{ID: 0x800}, "can0")
	if !errors.Is(err, canbus.ErrTemporary) || !strings.Contains(err.Error(), "0x800") {
		t.Errorf("error %v", err)
	}
	if err := w.WriteFrame(&canbus.Frame{ID: 0x7FF}, "can0"); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

func TestWriterFailsForGood(t *testing.T) {
	broken := errors.New("no space left")
	r, pipe := io.Pipe()
	r.CloseWithError(broken)
	w, err := NewWriter(pipe, Candump)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteFrame(&canbus.Frame{}, "can0"); err != nil {
		t.Fatal(err)
	}
	for _, call := range []func() error{w.Flush, w.Close} {
		if err := call(); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	}
	if err := w.WriteFrame(&canbus.Frame{}, "can0"); err == nil {
		t.Error("it writes after Close")
	}
}

func TestOpenReadsGzip(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, candumpLog)
	z.Close()
	file := filepath.Join(t.TempDir(), "a.log.gz")
	if err := os.WriteFile(file, packed.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var f canbus.Frame
	if bus, err := r.ReadFrame(&f); err != nil || bus != "vcan0" || f.ID != 0x44 || r.Format() != Candump {
		t.Errorf("frame %v of %q in format %v, %v", f, bus, r.Format(), err)
	}
}

func TestWhatIsNoLog(t *testing.T) {
	for name, log := range map[string]string{
		"text":    "Lorem ipsum\ndolor\n",
		"UTF-16":  "\xff\xfe(\x001\x00.\x00",
		"binary":  "\x7fELF\x02\x01\x01\x00",
		"no line": strings.Repeat("x", 2*bufferLen),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewReader(strings.NewReader(log))
			unknown, ok := errors.AsType[*UnknownFormatError](err)
			if !ok || unknown.Text == "" || !strings.Contains(err.Error(), "candump") {
				t.Errorf("error %v", err)
			}
		})
	}
	for name, log := range map[string]string{"empty": "", "comments": "# one\n\n; two"} {
		t.Run(name, func(t *testing.T) { wantFrames(t, log) })
	}
}

func TestFormatNames(t *testing.T) {
	for name, want := range map[string]Format{"a.log": Candump, "A.LOG.gz": Candump, "/tmp/x.y/candump-2024.log": Candump, "a.txt": Screen} {
		if f, ok := FormatByName(name); f != want || !ok {
			t.Errorf("FormatByName(%q) = %v, %v", name, f, ok)
		}
	}
	for _, name := range []string{"", "log", "a.gz", "a.pdf"} {
		if f, ok := FormatByName(name); ok {
			t.Errorf("FormatByName(%q) = %v", name, f)
		}
	}
	var f Format
	if err := f.UnmarshalText([]byte("nothing")); err == nil || !strings.Contains(err.Error(), "candump") {
		t.Errorf("UnmarshalText: %v", err)
	}
	for i := range formats[1:] {
		format := Format(i + 1)
		if err := f.UnmarshalText([]byte(format.String())); err != nil || f != format {
			t.Errorf("UnmarshalText(%v) = %v, %v", format, f, err)
		}
	}
}

// A pcap capture has 32 bits for seconds.
func TestPCAPTellsOfTimesThatItCannotSay(t *testing.T) {
	text, losses, _ := convert(t, "(4294967295.5) can0 001#\n(4294967296.25) can0 001#\n", PCAP)
	if want := []Loss{{"times after the year 2106", 1}}; !slices.Equal(losses, want) {
		t.Errorf("losses %v, want %v", losses, want)
	}
	wantFrames(t, string(text), "(4294967295.500000) 1 001#", "(4294967295.999999) 1 001#")
}

func TestPCAPNGKeepsLongNames(t *testing.T) {
	long := strings.Repeat("a", maxName)
	log := "(1.000000) " + long + " 001#\n"
	text, losses, _ := convert(t, log+"(2.000000) "+long+"b 001#\n(3.000000) "+long+"b 001#\n", PCAPNG)
	if want := []Loss{{"what the names of interfaces have behind 255 bytes", 2}}; !slices.Equal(losses, want) {
		t.Errorf("losses %v, want %v", losses, want)
	}
	wantFrames(t, string(text), "(0000000001.000000) "+long+" 001#", "(0000000002.000000) "+long+" 001#", "(0000000003.000000) "+long+" 001#")
}
