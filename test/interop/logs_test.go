package interop

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/canlog"
)

// A logMessage is a message of python-can as logs.py writes it.
type logMessage struct {
	Time     int64  `json:"us"`
	Channel  string `json:"channel"`
	ID       uint32 `json:"id"`
	Extended bool   `json:"extended"`
	Remote   bool   `json:"remote"`
	Error    bool   `json:"error"`
	FD       bool   `json:"fd"`
	BRS      bool   `json:"brs"`
	ESI      bool   `json:"esi"`
	Sent     bool   `json:"sent"`
	Len      int    `json:"len"`
	Data     string `json:"data"`
}

// logTime is in us. The headers of several formats have whole milliseconds.
const logTime = 1_700_000_000_123_000

var logMessages = []logMessage{
	{ID: 0x7E0, Len: 3, Data: "021003"},
	{ID: 0x7E8, Len: 8, Data: "06500300320c1c00", Sent: true},
	{ID: 0},
	{ID: 0x123, Extended: true, Len: 1, Data: "ff"},
	{ID: 0x1FFFFFFF, Extended: true},
	{ID: 0x7E0, Remote: true, Len: 8},
	{ID: 0x18DAF110, Remote: true, Extended: true, Len: 8},
	{ID: 0x456, FD: true, Len: 12, Data: "000102030405060708090a0b"},
	{ID: 0x18DAF110, Extended: true, FD: true, BRS: true, ESI: true, Len: 2, Data: "aabb", Sent: true},
	{ID: 0x456, FD: true, BRS: true, Len: 64, Data: hex.EncodeToString(bytes.Repeat([]byte{0xC3}, 64))},
	// Of an error frame python-can keeps in all formats only that it is one.
	{Error: true, Extended: true},
}

// A pythonFormat is a format that python-can has, as Debian has it.
type pythonFormat struct {
	format canlog.Format
	// classic: python-can reads and writes no remote frames, error frames and CAN FD.
	classic bool
	// noStart: python-can does not read the log's beginning, and writes one of its own.
	noStart bool
	// noRemoteLen: python-can writes no length of remote frames.
	noRemoteLen bool
	// channel is what python-can calls channel 1.
	channel string
}

var pythonFormats = []pythonFormat{
	{format: canlog.Candump, channel: "can0", noRemoteLen: true},
	{format: canlog.ASC, channel: "0"},
	{format: canlog.TRC, channel: "1", classic: true, noStart: true},
	{format: canlog.BLF, channel: "0"},
}

// messages are those of logMessages that python-can can have in the format.
func (p pythonFormat) messages() (list []logMessage) {
	for i, m := range logMessages {
		if p.classic && (m.FD || m.Remote || m.Error) {
			continue
		}
		m.Time, m.Channel = logTime+int64(i)*1001, "can0"
		list = append(list, m)
	}
	return list
}

// frame is a message as a frame of ours.
func (m logMessage) frame(t *testing.T) canbus.Frame {
	t.Helper()
	f := canbus.Frame{ID: m.ID, Len: uint8(m.Len)}
	f.Stamp(m.Time * 1000)
	for flag, set := range map[canbus.Flags]bool{
		canbus.Extended: m.Extended && !m.Error, canbus.Remote: m.Remote, canbus.ErrorFrame: m.Error,
		canbus.FD: m.FD, canbus.BRS: m.BRS, canbus.ESI: m.ESI, canbus.Echo: m.Sent,
	} {
		if set {
			f.Flags |= flag
		}
	}
	if m.Error {
		f.ID, f.Len = 0x80, 8 // CAN_ERR_BUSERROR
	}
	data, err := hex.DecodeString(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	copy(f.Data[:], data)
	return f
}

// writeLog writes frames of can0 to a file.
func writeLog(t *testing.T, path string, format canlog.Format, frames []canbus.Frame) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w, err := canlog.NewWriter(file, format)
	if err != nil {
		t.Fatal(err)
	}
	for i := range frames {
		if err := w.WriteFrame(&frames[i], "can0"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// readLog reads a log in which nothing is wrong, and which is found to be in that format.
func readLog(t *testing.T, path string, format canlog.Format) (frames []canbus.Frame, buses []string) {
	t.Helper()
	r, err := canlog.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Format() != format {
		t.Fatalf("%s is found to be %v", path, r.Format())
	}
	for {
		var f canbus.Frame
		bus, err := r.ReadFrame(&f)
		if errors.Is(err, io.EOF) {
			return frames, buses
		}
		if err != nil {
			t.Fatal(err)
		}
		frames, buses = append(frames, f), append(buses, bus)
	}
}

func TestPythonCANReadsOurLogs(t *testing.T) {
	needPython(t)
	for _, p := range pythonFormats {
		t.Run(p.format.String(), func(t *testing.T) {
			t.Parallel()
			want := p.messages()
			var frames []canbus.Frame
			for _, m := range want {
				frames = append(frames, m.frame(t))
			}
			path := filepath.Join(t.TempDir(), "ours."+p.format.String())
			writeLog(t, path, p.format, frames)
			out := start(t, nil, python, "logs.py", "read", p.format.String(), path).wait(t)
			var got []logMessage
			for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
				var m logMessage
				if err := d.Decode(&m); err != nil {
					t.Fatal(err)
				}
				got = append(got, m)
			}
			if len(got) != len(want) {
				t.Fatalf("python-can reads %d messages of %d", len(got), len(want))
			}
			for i := range want {
				want[i].Channel = p.channel
				if p.noStart {
					want[i].Time -= logTime
				}
				if want[i].Error {
					want[i], got[i] = logMessage{Error: true, Time: want[i].Time}, logMessage{Error: got[i].Error, Time: got[i].Time}
				}
				if got[i] != want[i] {
					t.Errorf("python-can reads\n%+v\nwant\n%+v", got[i], want[i])
				}
			}
		})
	}
}

func TestWeReadPythonCANsLogs(t *testing.T) {
	needPython(t)
	for _, p := range pythonFormats {
		t.Run(p.format.String(), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "theirs."+p.format.String())
			list := p.messages()
			var lines bytes.Buffer
			for _, m := range list {
				if err := json.NewEncoder(&lines).Encode(m); err != nil {
					t.Fatal(err)
				}
			}
			start(t, &lines, python, "logs.py", "write", p.format.String(), path).wait(t)
			frames, buses := readLog(t, path, p.format)
			if len(frames) != len(list) {
				t.Fatalf("%d frames of %d", len(frames), len(list))
			}
			bus, channel := "1", uint8(1)
			if p.format == canlog.Candump {
				bus, channel = "can0", 0
			}
			if slices.ContainsFunc(buses, func(b string) bool { return b != bus }) {
				t.Errorf("interfaces %q, want %s", buses, bus)
			}
			begun := frames[0].Timestamp
			for i, m := range list {
				want, got := m.frame(t), frames[i]
				want.Channel = channel
				if p.noRemoteLen && m.Remote {
					want.Len = 0
				}
				if p.noStart {
					got.Timestamp += logTime*1000 - begun
				}
				// Its times are float64, exact to less than a microsecond.
				if d := got.Timestamp - want.Timestamp; d < -1000 || d > 1000 {
					t.Errorf("frame %v is %d ns late", got, d)
				}
				got.Timestamp = want.Timestamp
				if m.Error {
					got.Len, got.Data = want.Len, want.Data
				}
				if got != want {
					t.Errorf("frame %+v, want %+v", got, want)
				}
			}
		})
	}
}
