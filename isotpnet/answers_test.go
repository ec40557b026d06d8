package isotpnet_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

var update = flag.Bool("update", false, "write the traces in testdata anew")

// Eight ECUs answer one functional request with messages of 200 bytes at the same
// time, on a bus of 500 kbit/s: all come whole, each with its sender, and what was on
// the bus, with its times, is what testdata says. The files are candump's.
func TestEightECUsAnswerAtOnce(t *testing.T) {
	for _, tc := range []struct {
		file, tester string
		ecu          func(i int) string
		// Which flow control belongs to the answers on which identifier.
		flowControl func(answer uint32) uint32
	}{
		{"answers11.log", "/obd",
			func(i int) string { return fmt.Sprintf("/%03X:%03X,7DF", 0x7E8+i, 0x7E0+i) },
			func(answer uint32) uint32 { return answer - 8 }},
		{"answers29.log", "/obd29",
			func(i int) string { return fmt.Sprintf("/fixed::%02X,func:33", 0x10+i) },
			func(answer uint32) uint32 { return 0x18DA00F1 | answer&0xFF<<8 }},
	} {
		t.Run(tc.file, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{Bitrate: 500000})
				rec := record(t, n)
				var ecus sync.WaitGroup
				const count = 8
				for i := range count {
					// Each takes another while to answer, and leaves a gap after
					// each frame, in which the others' frames go.
					ln := listenOn(t, newTap(t, n), tc.ecu(i), isotpnet.Config{OverrideSTmin: 2 * time.Millisecond})
					ecus.Go(func() {
						c := accept(t, ln)
						buf := make([]byte, 8)
						k, info, err := c.ReadMessage(buf)
						if string(buf[:k]) != "\x09\x02" || !info.Functional || err != nil {
							t.Errorf("ECU %d was asked % X, %+v, %v", i, buf[:k], info, err)
						}
						time.Sleep(time.Duration(i+1) * 310 * time.Microsecond)
						wantWrite(t, c, answer(i))
					})
				}
				tester := listenPacketOn(t, newTap(t, n), tc.tester, isotpnet.Config{})
				wantWriteTo(t, tester, "\x09\x02", tc.tester)
				seen := map[string]bool{}
				tester.SetReadDeadline(time.Now().Add(time.Second))
				for range count {
					message, _, from, err := tester.ReadMessageFrom(nil)
					if err != nil {
						t.Fatal(err)
					}
					i := int(message[0])
					want := ecuPeer(tc.tester, i)
					if string(message) != answer(i) || from.String() != want || seen[want] {
						t.Errorf("%d bytes of ECU %d from %v, want %s", len(message), i, from, want)
					}
					seen[want] = true
				}
				ecus.Wait()
				frames := rec.taken()
				checkFlowControl(t, frames, tc.flowControl)
				checkTrace(t, filepath.Join("testdata", tc.file), frames)
			})
		})
	}
}

// answer is what ECU i answers.
func answer(i int) string { return string([]byte{byte(i)}) + payload(199) }

// ecuPeer is the address of ECU i as the tester has it.
func ecuPeer(tester string, i int) string {
	if tester == "/obd" {
		return fmt.Sprintf("/%03X:%03X", 0x7E0+i, 0x7E8+i)
	}
	return fmt.Sprintf("/fixed:%02X:F1", 0x10+i)
}

// checkFlowControl checks that after each First Frame, and nowhere else, a CTS went
// to its sender's own identifier before that sent on.
func checkFlowControl(t *testing.T, frames []recorded, flowControl func(uint32) uint32) {
	t.Helper()
	waiting, granted, interleaved := map[uint32]bool{}, 0, 0
	var last uint32
	for _, r := range frames {
		f := &r.frame
		switch f.Data[0] >> 4 {
		case 1:
			waiting[flowControl(f.ID)] = true
		case 3:
			if !waiting[f.ID] || f.Data[0] != 0x30 {
				t.Errorf("flow control %v that no sender waits for", f)
			}
			delete(waiting, f.ID)
			granted++
		case 2:
			if waiting[flowControl(f.ID)] {
				t.Errorf("%v came without flow control", f)
			}
			if f.ID != last {
				interleaved++
			}
			last = f.ID
		}
	}
	if granted != 8 || len(waiting) > 0 {
		t.Errorf("%d flow controls, and none for %v", granted, waiting)
	}
	if interleaved < 100 {
		t.Errorf("the answers are not interleaved: the sender changes %d times", interleaved)
	}
}

// checkTrace compares frames with a file of candump's.
func checkTrace(t *testing.T, file string, frames []recorded) {
	t.Helper()
	var got []byte
	for _, r := range frames {
		f := r.frame
		f.Flags &^= canbus.Echo
		f.Stamp(int64(r.at))
		got = append(canbus.AppendLogLine(got, &f, "can0"), '\n')
	}
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			t.Fatalf("line %d of the trace is\n\t%s\nwant (%s, %d lines)\n\t%s", i+1, g[i], file, len(w), append(w, "")[min(i, len(w))])
		}
	}
	t.Fatalf("the trace ends after line %d; %s has %d", len(g), file, len(w))
}
