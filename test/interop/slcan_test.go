//go:build !windows

package interop

import (
	"testing"

	"example.com/isotp/canbus/slcan"
	"example.com/isotp/isotpnet"
	"github.com/creack/pty"
	"golang.org/x/term"
)

// python-can is on the other end of the line: its driver speaks as ours does.
func TestScapyOverPythonCANsSlcan(t *testing.T) {
	needPython(t)
	line, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	if _, err := term.MakeRaw(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	bus, err := slcan.New(line, "a pty", slcan.Options{Bitrate: 500_000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Close() })
	startPeer(t, "7E8", "7E0", map[string]any{"bustype": "slcan", "channel": tty.Name(), "sleep_after_open": 0})
	d := isotpnet.Dialer{Bus: bus, Config: patient}
	conn, err := d.Dial("isotp", "/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	exchange(t, conn.(*isotpnet.Conn))
}
