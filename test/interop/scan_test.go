package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// scapyScans are the arguments of isotp_scan for the addresses of scanFlags.
var scapyScans = []string{
	`{"scan_range": [2008, 2024]}`,
	`{"scan_range": [1777, 1778], "extended_addressing": true, "extended_scan_range": [0, 32]}`,
	`{"scan_range": [416944369, 416949490, 256], "extended_can_id": true}`,
}

var scanFlags = []string{"--ids", "7D8-7E7", "--extended", "6F1#00-1F", "--fixed", "10-24"}

// Ours and scapy's scan find the same endpoints on one bus, and the same padding.
// python-can hears what it has sent itself, and so scapy takes the identifiers that it has
// probed for others': none of these is one of an answer.
func TestScanFindsWhatScapyFinds(t *testing.T) {
	needPython(t)
	const bus = "udp:239.74.163.5:43113"
	isotp := build(t)
	startECUs(t, isotp, bus+"/7E8:7E0", bus+"/610#F1:6F1#10")
	startECUs(t, isotp, "--padding", "none", bus+"/7ED:7E5", bus+"/18DAF122:18DA22F1")

	args := []string{"scan.py", `{"bustype": "udp_multicast", "channel": "239.74.163.5"}`, `{"noise_listen_time": 1, "sniff_time": 0.05}`}
	theirs := scapyEndpoints(t, start(t, nil, python, append(args, scapyScans...)...).wait(t))
	ours := ourEndpoints(t, start(t, nil, isotp, append([]string{"scan", "--json", "--yes", "--listen", "500ms", "--rate", "200", bus}, scanFlags...)...).wait(t))
	want := []string{
		"18DA22F1:18DAF122 padding false", "6F1#10:610#F1 padding true",
		"7E0:7E8 padding true", "7E5:7ED padding false",
	}
	if !slices.Equal(ours, theirs) || !slices.Equal(ours, want) {
		t.Errorf("we find\n%q\nscapy finds\n%q\nwant\n%q", ours, theirs, want)
	}
}

// startECUs starts isotp ecu, and returns once it listens on all addresses.
func startECUs(t *testing.T, isotp string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), isotp, append([]string{"ecu"}, args...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Wait() })
	lines := bufio.NewScanner(stderr)
	for _, arg := range args {
		if strings.Contains(arg, "/") && !(lines.Scan() && strings.HasSuffix(lines.Text(), "listens on "+arg)) {
			t.Fatalf("isotp ecu says %q, want that it listens on %s", lines.Text(), arg)
		}
	}
	go io.Copy(io.Discard, stderr)
}

// scapyEndpoints returns what isotp_scan has printed, in one text for each endpoint.
func scapyEndpoints(t *testing.T, out []byte) (list []string) {
	t.Helper()
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var e struct {
			To, From uint32
			ToByte   *byte `json:"to_byte"`
			FromByte *byte `json:"from_byte"`
			Padding  bool
		}
		if err := d.Decode(&e); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		list = append(list, fmt.Sprintf("%s:%s padding %v", address(e.To, e.ToByte), address(e.From, e.FromByte), e.Padding))
	}
	slices.Sort(list)
	return list
}

func address(id uint32, b *byte) string {
	text := fmt.Sprintf("%03X", id)
	if b != nil {
		text += fmt.Sprintf("#%02X", *b)
	}
	return text
}

// ourEndpoints returns what isotp scan --json has printed, in the same texts.
func ourEndpoints(t *testing.T, out []byte) (list []string) {
	t.Helper()
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var e struct {
			Request, Answer string
			Padding         *string
		}
		if err := d.Decode(&e); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if e.Request != "" {
			list = append(list, fmt.Sprintf("%s:%s padding %v", e.Request, e.Answer, e.Padding != nil))
		}
	}
	slices.Sort(list)
	return list
}
