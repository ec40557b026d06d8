package isotpnet_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

func TestAwaitMessageReturnsAtTheFirstFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tester, ecu := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{}), newNode(t, n)
		go func() {
			time.Sleep(40 * time.Millisecond)
			ecu.send("7E8#1008010203040506")
		}()
		start := time.Now()
		info, err := tester.AwaitMessage()
		if err != nil || info.Size != 8 || info.Rest != 6 || !info.First.Equal(start.Add(40*time.Millisecond)) || !info.Last.IsZero() {
			t.Errorf("%+v, %v", info, err)
		}
		wantSince(t, start, 40*time.Millisecond)
		// It reads nothing, and tells of the same message again.
		ecu.send("7E8#210708")
		synctest.Wait()
		info, err = tester.AwaitMessage()
		if err != nil || info.Size != 8 || info.Rest != 8 || info.Last.IsZero() {
			t.Errorf("%+v, %v", info, err)
		}
		wantRead(t, tester, "\x01\x02\x03\x04\x05\x06\x07\x08")
		ecu.send("7E8#0150")
		if info, err = tester.AwaitMessage(); err != nil || info.Size != 1 {
			t.Errorf("%+v, %v", info, err)
		}
		wantRead(t, tester, "\x50")
	})
}

func TestAwaitMessageFailsAsReadDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tester := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
		tester.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := tester.AwaitMessage()
		wantErr(t, err, "read", tester, os.ErrDeadlineExceeded)
		tester.SetReadDeadline(time.Time{})
		done := make(chan error, 1)
		go func() { _, err := tester.AwaitMessage(); done <- err }()
		synctest.Wait()
		tester.Close()
		wantErr(t, <-done, "read", tester, net.ErrClosed)
		functional := dialOn(t, newTap(t, n), "/7DF:", isotpnet.Config{})
		_, err = functional.AwaitMessage()
		wantErr(t, err, "read", functional, isotpnet.ErrSendOnly)
	})
}

// readAtFirstFrame reads with a deadline 50 ms away and DeadlineAtFirstFrame, while the ECU
// sends frames at times of a script.
func readAtFirstFrame(t *testing.T, script map[time.Duration]string, config isotpnet.Config) (n int, took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork(t, virtual.Options{})
		config.DeadlineAtFirstFrame = true
		tester, ecu := dialOn(t, newTap(t, net), testerAddr, config), newNode(t, net)
		for at, frame := range script {
			time.AfterFunc(at, func() { ecu.send(frame) })
		}
		start := time.Now()
		tester.SetReadDeadline(start.Add(50 * time.Millisecond))
		n, err = tester.Read(make([]byte, 100))
		took = time.Since(start)
		time.Sleep(time.Minute) // to the script's end
	})
	return n, took, err
}

const ms = time.Millisecond

var errReported = errors.New("a *ProtocolError")

func TestDeadlineAtFirstFrame(t *testing.T) {
	first, last := "7E8#1008010203040506", "7E8#210708"
	for _, tc := range []struct {
		name   string
		script map[time.Duration]string
		config isotpnet.Config
		n      int
		took   time.Duration
		err    error
	}{
		{"nothing comes", nil, isotpnet.Config{}, 0, 50 * ms, os.ErrDeadlineExceeded},
		{"a Single Frame", map[time.Duration]string{40 * ms: "7E8#0150"}, isotpnet.Config{}, 1, 40 * ms, nil},
		{"a First Frame, and the rest late", map[time.Duration]string{40 * ms: first, 900 * ms: last}, isotpnet.Config{}, 8, 900 * ms, nil},
		{"a First Frame too late", map[time.Duration]string{51 * ms: first, 52 * ms: last}, isotpnet.Config{}, 0, 50 * ms, os.ErrDeadlineExceeded},
		{"a First Frame, and no more", map[time.Duration]string{40 * ms: first}, isotpnet.Config{}, 0, 1040 * ms, os.ErrDeadlineExceeded},
		{"a First Frame, and no more, reported", map[time.Duration]string{40 * ms: first}, isotpnet.Config{ReportAborted: true}, 0, 1040 * ms, errReported},
		{"a message that another interrupts", map[time.Duration]string{40 * ms: first, 100 * ms: first, 300 * ms: last}, isotpnet.Config{}, 0, 100 * ms, os.ErrDeadlineExceeded},
		{"a wrong sequence number", map[time.Duration]string{40 * ms: first, 100 * ms: "7E8#220708"}, isotpnet.Config{}, 0, 100 * ms, os.ErrDeadlineExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n, took, err := readAtFirstFrame(t, tc.script, tc.config)
			if n != tc.n || took != tc.took {
				t.Errorf("read %d bytes after %v, want %d after %v", n, took, tc.n, tc.took)
			}
			if _, reported := errors.AsType[*isotpnet.ProtocolError](err); tc.err == errReported && reported {
				return
			}
			if !errors.Is(err, tc.err) {
				t.Errorf("error is %v, want %v", err, tc.err)
			}
		})
	}
}

func TestCloseEndsAReadBeyondItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tester := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{DeadlineAtFirstFrame: true})
		tester.SetReadDeadline(time.Now().Add(50 * ms))
		newNode(t, n).send("7E8#1008010203040506")
		done := make(chan error, 2)
		for range 2 {
			go func() { _, err := tester.Read(make([]byte, 8)); done <- err }()
		}
		time.Sleep(100 * ms)
		tester.Close()
		for range 2 {
			if err := <-done; !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
		}
	})
}

// After a functional request, ReadFrom waits for the peers that have begun to answer in time,
// and not for others.
func TestDeadlineAtFirstFrameOfManyPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/obd", isotpnet.Config{DeadlineAtFirstFrame: true})
		ecus := newNode(t, n)
		for at, frame := range map[time.Duration]string{
			10 * ms: "7E9#0101",
			40 * ms: "7E8#1008010203040506", 45 * ms: "7EB#1008010203040506",
			60 * ms: "7EA#1008010203040506", 180 * ms: "7E8#210708", 181 * ms: "7EA#210708",
		} {
			time.AfterFunc(at, func() { ecus.send(frame) })
		}
		start := time.Now()
		pc.SetReadDeadline(start.Add(50 * ms))
		wantReadFrom(t, pc, "\x01", "/7E1:7E9")
		wantReadFrom(t, pc, "\x01\x02\x03\x04\x05\x06\x07\x08", "/7E0:7E8")
		wantSince(t, start, 180*ms)
		// The answer of 7EA began after the deadline, but while ReadFrom waited for others.
		wantReadFrom(t, pc, "\x01\x02\x03\x04\x05\x06\x07\x08", "/7E2:7EA")
		done := make(chan error, 2)
		for range 2 {
			go func() { _, _, err := pc.ReadFrom(make([]byte, 8)); done <- err }()
		}
		for range 2 {
			wantPacketErr(t, <-done, "read", os.ErrDeadlineExceeded)
		}
		wantSince(t, start, 195*ms) // 7EB's N_Cr, 150 ms
	})
}

func TestDrain(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before []string // frames
		read   int      // bytes read of them
		after  []string
		want   int
	}{
		{"nothing", nil, 0, nil, 0},
		{"whole messages", []string{"7E8#0101", "7E8#0102", "7E8#1008010203040506", "7E8#210708"}, 0, nil, 3},
		{"the rest of one", []string{"7E8#03010203", "7E8#0104"}, 1, nil, 2},
		{"one that is coming", []string{"7E8#100F010203040506", "7E8#21AAAAAAAAAAAAAA"}, 0, []string{"7E8#22BBBB"}, 1},
		{"one that is coming, and is given up", []string{"7E8#100F010203040506"}, 0, []string{"7E8#25AAAAAAAAAAAAAA"}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				tester, ecu := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{}), newNode(t, n)
				if len(tc.before) > 0 {
					ecu.send(tc.before...)
				}
				synctest.Wait()
				if tc.read > 0 {
					tester.Read(make([]byte, tc.read))
				}
				for _, want := range []int{tc.want, 0} {
					if got, err := tester.Drain(); got != want || err != nil {
						t.Errorf("Drain: %d, %v; want %d", got, err, want)
					}
				}
				if len(tc.after) > 0 {
					ecu.send(tc.after...)
				}
				ecu.send("7E8#0150")
				wantRead(t, tester, "\x50")
			})
		})
	}
}

func TestDrainMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tester, ecu := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{ReadBuffer: 64}), newNode(t, n)
		for range 10 {
			ecu.send("7E8#0101")
		}
		ecu.send("7E8#1008010203040506") // held up
		synctest.Wait()
		if got, err := tester.Drain(); got != 4 || err != nil { // what was lost is forgotten
			t.Errorf("Drain: %d, %v", got, err)
		}
		ecu.hear("7E0#300000CCCCCCCCCC")
		ecu.send("7E8#210708", "7E8#0150")
		wantRead(t, tester, "\x50")
	})
}

func TestDrainEndsTheReaderOfAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tester, ecu := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{}), newNode(t, n)
		ecu.send("7E8#100F010203040506")
		r, _, err := tester.NextReader()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tester.Drain(); got != 1 || err != nil {
			t.Errorf("Drain: %d, %v", got, err)
		}
		if k, err := r.Read(make([]byte, 8)); err == nil {
			t.Errorf("read %d bytes of a message thrown away", k)
		}
		ecu.send("7E8#2107070707070707", "7E8#220808", "7E8#0150")
		wantRead(t, tester, "\x50")
		tester.Close()
		_, err = tester.Drain()
		wantErr(t, err, "read", tester, net.ErrClosed)
	})
}

func TestDrainOfManyPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc, ecus := listenPacketOn(t, newTap(t, n), "/obd", isotpnet.Config{}), newNode(t, n)
		ecus.send("7E8#0101", "7E8#0102", "7E9#0103", "7EA#1008010203040506")
		synctest.Wait()
		if got, err := pc.Drain(); got != 4 || err != nil {
			t.Errorf("Drain: %d, %v", got, err)
		}
		ecus.send("7EA#210708", "7EB#0150")
		wantReadFrom(t, pc, "\x50", "/7E3:7EB")
		pc.Close()
		_, err := pc.Drain()
		wantPacketErr(t, err, "read", net.ErrClosed)
	})
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{Bitrate: 500000})
		var steps []string
		hook := func(what string) func(isotpnet.TraceEvent) {
			return func(ev isotpnet.TraceEvent) { steps = append(steps, fmt.Sprint(what, " ", ev.Done, "/", ev.Size)) }
		}
		c := isotpnet.Config{Trace: &isotpnet.Trace{
			MessageStarted: hook("started"), MessageReceiving: hook("receiving"), MessageReceived: hook("received"),
			MessageSending: hook("sending"), MessageSent: hook("sent"),
		}}
		tester, ecu := dialOn(t, newTap(t, n), testerAddr, c), newNode(t, n)
		want := func(received, sent isotpnet.Progress) {
			t.Helper()
			synctest.Wait()
			if r, s := tester.Progress(); r != received || s != sent {
				t.Errorf("received %+v and sent %+v, want %+v and %+v", r, s, received, sent)
			}
		}
		want(isotpnet.Progress{}, isotpnet.Progress{})
		ecu.send("7E8#1014010203040506", "7E8#2101020304050607")
		time.Sleep(10 * ms)
		want(isotpnet.Progress{Done: 13, Size: 20}, isotpnet.Progress{})
		written := goWrite(t, tester, payload(22))
		time.Sleep(10 * ms)
		want(isotpnet.Progress{Done: 13, Size: 20}, isotpnet.Progress{Done: 6, Size: 22})
		ecu.send("7E8#300100")
		time.Sleep(10 * ms)
		want(isotpnet.Progress{Done: 13, Size: 20}, isotpnet.Progress{Done: 13, Size: 22})
		ecu.send("7E8#22", "7E8#2201020304050607", "7E8#300000")
		<-written
		want(isotpnet.Progress{}, isotpnet.Progress{})
		if want := []string{"started 0/20", "receiving 13/20", "sending 6/22", "sending 13/22", "received 0/20", "sending 20/22", "sent 0/22"}; !slices.Equal(steps, want) {
			t.Errorf("told %q, want %q", steps, want)
		}
	})
}
