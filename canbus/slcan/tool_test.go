//go:build !windows

package slcan

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"example.com/isotp/isotpnet"
)

// What the tool sends is on the wire when it ends, and it is all of it.
func TestTheToolSendsOverASerialLine(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the tool")
	}
	tool := filepath.Join(t.TempDir(), "isotp")
	if out, err := exec.Command("go", "build", "-o", tool, "example.com/isotp/cmd/isotp").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, of := range []string{"Lawicel", "CANable2"} {
		wire := newWire(t, 1_000_000, 0) // for this machine's wire may be late
		name, other, err := openPty()
		if err != nil {
			t.Fatal(err)
		}
		sims := [2]*sim{newSim(wire, of), newSim(wire, of)}
		sims[0].waits, sims[1].patient = true, true
		sims[0].plugInto(other)
		bus := openSim(t, sims[1], Options{Bitrate: 500_000})
		d := isotpnet.Dialer{Bus: bus}
		peer, err := d.DialContext(t.Context(), "isotp:user", "/7E8:7E0")
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 4096)
		for i := range 10 {
			message := bytes.Repeat([]byte{byte(i), 0xA5, 1}, 1+12*i*i)
			send := exec.Command(tool, "send", "--single", "slcan:"+name+"@500000,flush=250ms/7E0:7E8")
			send.Stdin = bytes.NewReader(message)
			if out, err := send.CombinedOutput(); err != nil {
				t.Fatalf("%s: message %d: %v\n%s", of, i, err, out)
			}
			peer.SetReadDeadline(time.Now().Add(10 * time.Second))
			if n, err := peer.Read(got); err != nil || !bytes.Equal(got[:n], message) {
				t.Fatalf("%s: message %d of %d bytes: %d bytes, %v", of, i, len(message), n, err)
			}
		}
		peer.Close()
		bus.Close()
		other.Close()
		for _, s := range sims {
			s.unplug()
		}
	}
}
