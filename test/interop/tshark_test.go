package interop

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/candump"
	_ "example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// needTShark skips the test where Wireshark's tshark is not installed.
func needTShark(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		if os.Getenv("ISOTPNET_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skipf("%v (test/setup installs it)", err)
	}
}

// A sentMessage is a message, and the identifier on which it was sent.
type sentMessage struct {
	id   uint32
	data string
}

// talk has both ends of an address send messages of these sizes in turn, and records it.
func talk(t *testing.T, r *candump.Recorder, address string, config isotpnet.Config, sizes ...int) (sent []sentMessage) {
	t.Helper()
	name := "virtual:" + t.Name()
	bus, err := canbus.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := isotpnet.ParseAddr(name + "/" + address)
	if err != nil {
		t.Fatal(err)
	}
	config.Padding = isotpnet.NoPadding()
	tester := isotpnet.Dialer{Config: config, Bus: r.Wrap(bus, "can0")}
	here, err := tester.DialAddr(t.Context(), "isotp:user", addr.WithBus(""))
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	there, err := (&isotpnet.Dialer{Config: config}).DialAddr(t.Context(), "isotp:user", addr.Mirror())
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	ends := [2]*isotpnet.Conn{here, there}
	send, _ := addr.Send()
	listen, _ := addr.Listen()
	ids := [2]uint32{send.ID, listen.ID}
	for i, size := range sizes {
		data := randomBytes(size)
		from, to := ends[i%2], ends[1-i%2]
		for _, c := range ends {
			c.SetDeadline(time.Now().Add(time.Minute))
		}
		failed := make(chan error, 1)
		go func() { _, err := from.Write(data); failed <- err }()
		got := make([]byte, size+1)
		n, err := to.Read(got)
		if err == nil {
			err = <-failed
		}
		if err != nil || !bytes.Equal(got[:n], data) {
			t.Fatalf("message of %d bytes: %d bytes, %v", size, n, err)
		}
		sent = append(sent, sentMessage{ids[i%2], hex.EncodeToString(data)})
	}
	return sent
}

// tshark returns the messages that Wireshark reassembles of a capture. It fails the test if
// an expert warns.
func tshark(t *testing.T, capture, addressing string) (messages []sentMessage) {
	t.Helper()
	out := start(t, nil, "tshark", "-r", capture,
		"-d", "can.subdissector,iso15765", "-o", "iso15765.addressing:"+addressing,
		"-T", "fields", "-e", "can.id", "-e", "data.data", "-e", "_ws.expert.message", "-e", "iso15765.message_type", "-e", "iso15765.reassembled.length").wait(t)
	const single = "0x00"
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 || f[2] != "" || f[3] == "" {
			t.Errorf("%s: tshark says of a frame %q", capture, f)
			continue
		}
		id, err := strconv.ParseUint(f[0], 0, 32)
		if err != nil {
			t.Fatal(err)
		}
		if f[3] == single || f[4] != "" { // else the data are a part
			messages = append(messages, sentMessage{uint32(id), f[1]})
		}
	}
	return messages
}

func wantMessages(t *testing.T, name string, got, want []sentMessage) {
	t.Helper()
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Errorf("%s: message %d is not the one of %d bytes on %X", name, i, len(want[i].data)/2, want[i].id)
			return
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d messages, want %d", name, len(got), len(want))
	}
}

// record records what talks say.
func record(t *testing.T, path string, talks func(*candump.Recorder)) {
	t.Helper()
	r, err := candump.Create(path, candump.RecorderOptions{OnError: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	talks(r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// A conversation on the addresses and in the kinds of frames that tshark tells apart with one
// setting, converted by our command to each format. Those that tshark cannot read go on to
// pcapng.
func TestTSharkReassemblesEachFormat(t *testing.T) {
	needTShark(t)
	isotp, dir := build(t), t.TempDir()
	log := filepath.Join(dir, "a.log")
	var want []sentMessage
	record(t, log, func(r *candump.Recorder) {
		sizes := []int{1, 7, 8, 6, 100, 300, 4095}
		want = append(want, talk(t, r, "7E0:7E8", isotpnet.Config{}, sizes...)...)
		want = append(want, talk(t, r, "18DA10F1:18DAF110", isotpnet.Config{BlockSize: 5}, sizes...)...)
		want = append(want, talk(t, r, "700:708", isotpnet.Config{FD: true, BRS: true}, 5, 60, 61, 62, 63, 5000)...)
	})
	for _, ending := range []string{"pcapng", "pcap", "blf", "asc", "trc", "txt", "log", "pcapng.gz"} {
		t.Run(ending, func(t *testing.T) {
			t.Parallel()
			capture := filepath.Join(dir, "converted."+ending)
			start(t, nil, isotp, "convert", log, capture).wait(t)
			if ending == "asc" || ending == "trc" || ending == "txt" || ending == "log" {
				further := capture + ".pcapng"
				start(t, nil, isotp, "convert", capture, further).wait(t)
				capture = further
			}
			wantMessages(t, ending, tshark(t, capture, "Normal addressing"), want)
		})
	}
}

func TestTSharkReassemblesExtendedAddresses(t *testing.T) {
	needTShark(t)
	isotp, dir := build(t), t.TempDir()
	log, capture := filepath.Join(dir, "a.log"), filepath.Join(dir, "a.pcapng")
	var want []sentMessage
	record(t, log, func(r *candump.Recorder) {
		want = talk(t, r, "641#55:642#F1", isotpnet.Config{}, 1, 6, 7, 5, 100, 4095)
	})
	start(t, nil, isotp, "convert", log, capture).wait(t)
	wantMessages(t, "extended", tshark(t, capture, "Extended addressing"), want)
}
