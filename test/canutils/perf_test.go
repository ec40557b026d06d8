//go:build linux

package canutils

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"example.com/isotp/isotpnet"
)

// A measured is what isotpperf says of a message, and isotp perf too.
type measured struct {
	FD        bool    `json:"fd"`
	BRS       bool    `json:"brs"`
	FrameSize int     `json:"frame_size"`
	BlockSize int     `json:"block_size"`
	STminMS   float64 `json:"stmin_ms"`
	Bytes     int     `json:"bytes"`
	Seconds   float64 `json:"seconds"`
}

// perSecond is how isotpperf rounds: whole milliseconds, and 0 for less than one.
func (m measured) perSecond() int {
	if ms := int(math.Round(m.Seconds*1e6)) / 1000; ms > 0 {
		return m.Bytes * 1000 / ms
	}
	return 0
}

// agrees reports whether m is what isotpperf says. It cuts stamps to microseconds, and says no
// time below a millisecond.
func (m measured) agrees(theirs measured) bool {
	if theirs.Seconds == 0 && m.Seconds < 1e-3 || math.Abs(m.Seconds-theirs.Seconds) < 1.5e-6 {
		m.Seconds = theirs.Seconds
	}
	return m == theirs
}

// Both programs measure the same messages, in the same run, and say the same of each.
func TestPerfSaysWhatIsotpperfSays(t *testing.T) {
	need(t, "isotp")
	for _, v := range []struct {
		name, ours string
		options    string // of isotpperf
		sender     isotpnet.Config
		receiver   isotpnet.Config
	}{
		{"BS 0, STmin 0", "7E0:7E8", "-s 7E0 -d 7E8", isotpnet.Config{}, isotpnet.Config{}},
		{"BS 8, STmin 5 ms", "7E0:7E8", "-s 7E0 -d 7E8", isotpnet.Config{}, isotpnet.Config{BlockSize: 8, STmin: 5e6}},
		{"BS 1, STmin 300 us", "7E0:7E8", "-s 7E0 -d 7E8", isotpnet.Config{}, isotpnet.Config{BlockSize: 1, STmin: 300e3}},
		{"29 bits", "18DA10F1:18DAF110", "-s 18DA10F1 -d 18DAF110", isotpnet.Config{}, isotpnet.Config{BlockSize: 4, STmin: 1e6}},
		{"extended", "641#55:642#F1", "-s 641 -d 642 -x 55 -X F1", isotpnet.Config{}, isotpnet.Config{BlockSize: 4, STmin: 1e6}},
		{"mixed", "641#99:642#99", "-s 641 -d 642 -x 99 -X 99", isotpnet.Config{}, isotpnet.Config{BlockSize: 4, STmin: 1e6}},
		{"FD", "7E0:7E8", "-s 7E0 -d 7E8", isotpnet.Config{FD: true}, isotpnet.Config{FD: true, BlockSize: 2, STmin: 2e6}},
		{"FD with BRS, 32 bytes", "7E0:7E8", "-s 7E0 -d 7E8", isotpnet.Config{FD: true, BRS: true, FrameSize: 32}, isotpnet.Config{FD: true, STmin: 1e6}},
	} {
		t.Run(v.name, func(t *testing.T) {
			name := newInterface(t)
			theirs := start(t, "isotpperf", append(strings.Fields(v.options), name)...)
			ours := start(t, "isotp", "perf", "--json", "--id", v.ours, name)
			for _, id := range identifiers(v.options) {
				awaitReceiver(t, name, id, "raw")
			}
			awaitReceiver(t, name, "000", "raw")
			a := dial(t, "isotp:user", name+"/"+v.ours, v.sender)
			b := dial(t, "isotp:user", name+"/"+isotpnet.MustParseAddr("/" + v.ours).Mirror().String()[1:], v.receiver)
			for i, size := range []int{20, 100, 1000, 4095} {
				if _, err := a.Write(message(size)); err != nil {
					t.Fatal(err)
				}
				if n, err := b.Read(make([]byte, size)); n != size {
					t.Fatal(n, err)
				}
				want, speed := readIsotpperf(t, theirs.next())
				var got measured
				line := ours.next()
				if err := json.Unmarshal([]byte(line), &got); err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				if want.perSecond() != speed {
					t.Errorf("isotpperf says %d bytes a second, and %d bytes in %v s", speed, want.Bytes, want.Seconds)
				}
				// With different address bytes isotpperf does not see flow control: it
				// compares that of the sender with all frames.
				if v.name == "extended" {
					got.BlockSize, got.STminMS = 0, 0
				}
				// The first stamp that a socket is asked for is the time of asking.
				if i > 0 && !got.agrees(want) {
					t.Errorf("ours is   %+v\nisotpperf %+v", got, want)
				}
			}
		})
	}
}

// identifiers returns the identifiers of isotpperf's options that have 11 bits.
func identifiers(options string) []string {
	var ids []string
	for _, m := range regexp.MustCompile(`-[sd] ([0-9A-F]{3})\b`).FindAllStringSubmatch(options, -1) {
		ids = append(ids, strings.ToLower(m[1]))
	}
	return ids
}

var isotpperfLine = regexp.MustCompile(`\r(CAN-FD|CAN2.0) (\d\d)(.) \(BS:\s*(\d+) # STmin:\s*(\d+) ([mu])sec\) : (\d+) byte in (?:([0-9.]+)s => (\d+) byte/s|\(no time)`)

// readIsotpperf reads what isotpperf has written of one message, behind its bar.
func readIsotpperf(t *testing.T, line string) (m measured, perSecond int) {
	t.Helper()
	p := isotpperfLine.FindStringSubmatch(line)
	if p == nil {
		t.Fatalf("isotpperf says %q", line[max(0, len(line)-200):])
	}
	number := func(i int) int { n, _ := strconv.Atoi(p[i]); return n }
	m = measured{FD: p[1] == "CAN-FD", BRS: p[3] == "*", FrameSize: number(2), BlockSize: number(4), STminMS: float64(number(5)), Bytes: number(7)}
	if p[6] == "u" {
		m.STminMS /= 1000
	}
	if p[8] != "" {
		fmt.Sscan(p[8], &m.Seconds)
	}
	return m, number(9)
}
