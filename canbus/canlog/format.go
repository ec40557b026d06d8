package canlog

import (
	"fmt"
	"path/filepath"
	"strings"
)

// A Format is one of the formats that logs are written in.
type Format uint8

// The formats.
const (
	Candump Format = iota + 1 // can-utils: candump -l and -L
	Screen                    // can-utils: candump, as people copy it from a terminal
	ASC                       // Vector: text
	TRC                       // PEAK: text
	BLF                       // Vector: binary, compressed
	PCAP                      // tcpdump, Wireshark: captures of SocketCAN, one interface without a name
	PCAPNG                    // Wireshark: captures of SocketCAN, interfaces with names
)

// formats are the formats' names, and the endings of files that are in them.
var formats = [...]struct {
	name    string
	endings []string
}{
	Candump: {"candump", []string{".log", ".candump"}},
	Screen:  {"screen", []string{".txt"}},
	ASC:     {"asc", []string{".asc"}},
	TRC:     {"trc", []string{".trc"}},
	BLF:     {"blf", []string{".blf"}},
	PCAP:    {"pcap", []string{".pcap", ".cap"}},
	PCAPNG:  {"pcapng", []string{".pcapng"}},
}

// String returns the format's name.
func (f Format) String() string {
	if !f.valid() {
		return fmt.Sprintf("Format(%d)", uint8(f))
	}
	return formats[f].name
}

func (f Format) valid() bool { return f > 0 && int(f) < len(formats) }

// MarshalText implements [encoding.TextMarshaler]: it returns what String returns.
func (f Format) MarshalText() ([]byte, error) {
	if !f.valid() {
		return nil, fmt.Errorf("canlog: there is no format %d", uint8(f))
	}
	return []byte(f.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]: it takes what String returns.
func (f *Format) UnmarshalText(text []byte) error {
	for i := range formats {
		if Format(i).valid() && strings.EqualFold(formats[i].name, string(text)) {
			*f = Format(i)
			return nil
		}
	}
	return fmt.Errorf("canlog: there is no format %q (formats are %s)", text, formatNames())
}

// HasNames reports whether interfaces have names in the format, and not only numbers.
func (f Format) HasNames() bool {
	switch f {
	case Candump, Screen, PCAPNG:
		return true
	}
	return false
}

func formatNames() string {
	var names []string
	for _, f := range formats[1:] {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// FormatByName returns the format that a file's name tells, by its ending: .log is
// [Candump]. A .gz behind that does not matter.
func FormatByName(filename string) (f Format, ok bool) {
	ending := filepath.Ext(strings.TrimSuffix(strings.ToLower(filename), ".gz"))
	for i := range formats {
		for _, e := range formats[i].endings {
			if ending == e {
				return Format(i), true
			}
		}
	}
	return 0, false
}
