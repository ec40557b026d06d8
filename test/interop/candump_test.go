package interop

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
)

// A logMessage is a message of python-can as candump.py writes it.
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

const logTime = 1_700_000_000_123_456 // in us

var logMessages = []logMessage{
	{ID: 0x7E0, Len: 3, Data: "021003"},
	{ID: 0x7E8, Len: 8, Data: "06500300320c1c00", Sent: true},
	{ID: 0},
	{ID: 0x123, Extended: true, Len: 1, Data: "ff"},
	{ID: 0x1FFFFFFF, Extended: true},
	{ID: 0x7E0, Remote: true},
	{ID: 0x18DAF110, Remote: true, Extended: true},
	{ID: 0x456, FD: true, Len: 12, Data: "000102030405060708090a0b"},
	{ID: 0x18DAF110, Extended: true, FD: true, BRS: true, ESI: true, Len: 2, Data: "aabb", Sent: true},
	{ID: 0x456, FD: true, BRS: true, Len: 64, Data: hex.EncodeToString(bytes.Repeat([]byte{0xC3}, 64))},
	// Of an error frame python-can keeps only that it is one.
	{Error: true, Extended: true},
}

// messages are logMessages at times of their own.
func messages(channel string) []logMessage {
	list := slices.Clone(logMessages)
	for i := range list {
		list[i].Time, list[i].Channel = logTime+int64(i)*1001, channel
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
		f.ID = 0x80 // CAN_ERR_BUSERROR
	}
	data, err := hex.DecodeString(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	copy(f.Data[:], data)
	return f
}

func TestPythonCANReadsOurLog(t *testing.T) {
	needPython(t)
	path := filepath.Join(t.TempDir(), "ours.log")
	r, err := candump.Create(path, candump.RecorderOptions{OnError: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	want := messages("vcan0")
	for i, m := range want {
		f := m.frame(t)
		if m.Remote {
			f.Len, want[i].Len = 8, 8
		}
		r.Record([]canbus.Frame{f}, "vcan0")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	out := start(t, nil, python, "candump.py", "read", path).wait(t)
	var got []logMessage
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var m logMessage
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	last := &want[len(want)-1] // the error frame
	last.Channel = ""
	if !slices.Equal(got, want) {
		t.Errorf("python-can reads\n%+v\nwant\n%+v", got, want)
	}
}

func TestWeReadPythonCANsLog(t *testing.T) {
	needPython(t)
	path := filepath.Join(t.TempDir(), "theirs.log")
	list := messages("vcan0")
	var lines bytes.Buffer
	for _, m := range list {
		if err := json.NewEncoder(&lines).Encode(m); err != nil {
			t.Fatal(err)
		}
	}
	start(t, &lines, python, "candump.py", "write", path).wait(t)
	b, err := candump.Open(t.Context(), path, candump.Options{Fast: true, Interface: "vcan0"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	buf := make([]canbus.Frame, 5)
	var got []canbus.Frame
	for {
		n, err := b.ReadFrames(buf)
		got = append(got, buf[:n]...)
		if err == candump.ErrEnd {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range list {
		want := m.frame(t)
		want.Flags &^= canbus.Echo
		if i >= len(got) || got[i] != want {
			t.Fatalf("of %d frames number %d is not %v at %d:\n%v", len(got), i, want, want.Timestamp, got)
		}
	}
	if len(got) != len(list) {
		t.Errorf("%d frames of %d", len(got), len(list))
	}
}
