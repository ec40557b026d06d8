package slcan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
)

// openLogged is openSim, and returns what was logged, too, and the error.
func openLogged(s *sim, o Options) (b *Bus, logged string, err error) {
	var text bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&text, nil))
	b, err = New(context.Background(), s.plug(), "PORT", o)
	return b, text.String(), err
}

// An Arduino that restarts when its port is opened is waited for.
func TestAdapterThatBootsWhenOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := newWire(t, 500_000, 0)
		heard := record(t, wire)
		s := newSim(wire, "Arduino")
		began := time.Now()
		b, logged, err := openLogged(s, Options{Bitrate: 500_000})
		if err != nil || logged != "" {
			t.Fatalf("%v, logged %q", err, logged)
		}
		if d := time.Since(began); d > 2500*time.Millisecond {
			t.Errorf("Open took %v", d)
		}
		echoes(b)
		write(t, b, numbered(1))
		b.Close()
		s.unplug()
		if n := len(heard()); n != 1 {
			t.Errorf("%d frames on the wire", n)
		}
	})
}

// A lateLine is a serial line on which what the adapter says comes late, as across a slow
// network, in its order, and nothing is lost.
type lateLine struct {
	io.ReadWriteCloser
	said chan lateText
	rest []byte
}

type lateText struct {
	comes time.Time
	text  []byte
}

// newLateLine makes one that asks how late each text comes.
func newLateLine(line io.ReadWriteCloser, late func(text []byte) time.Duration) *lateLine {
	l := &lateLine{line, make(chan lateText, 10_000), nil}
	go func() {
		defer close(l.said)
		var last time.Time
		for {
			text := make([]byte, 1000)
			n, err := line.Read(text)
			if err != nil {
				return
			}
			last = later(last, time.Now().Add(late(text[:n])))
			l.said <- lateText{last, text[:n]}
		}
	}()
	return l
}

func (l *lateLine) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		said, ok := <-l.said
		if !ok {
			return 0, io.EOF
		}
		time.Sleep(time.Until(said.comes))
		l.rest = said.text
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// Each answer is that of its own command, however late it comes.
func TestAnswersThatComeLate(t *testing.T) {
	for of, firmware := range firmwares {
		if firmware.version == "" {
			continue
		}
		for _, late := range []time.Duration{150 * time.Millisecond, 250 * time.Millisecond, 900 * time.Millisecond} {
			t.Run(of+" "+late.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					wire := newWire(t, 500_000, 0)
					heard := record(t, wire)
					s := newSim(wire, of)
					line := newLateLine(s.plug(), func([]byte) time.Duration { return late })
					defer time.Sleep(late) // what is on its way comes
					defer line.Close()
					b, err := New(t.Context(), line, "PORT", Options{Bitrate: 500_000, Logger: quietly})
					if err != nil {
						t.Fatal(err)
					}
					echoes(b)
					write(t, b, numbered(1))
					if err := b.Flush(t.Context()); err != nil {
						t.Error("Flush:", err)
					}
					b.Close()
					s.unplug()
					if n := len(heard()); n != 1 || s.speed != 500_000 {
						t.Errorf("%d frames on the wire, at %d bit/s", n, s.speed)
					}
				})
			})
		}
	}
}

// The version comes when the time for the answers to one question is over. An adapter is
// the one that it is all the same.
func TestVersionThatComesLaterThanAnAnswer(t *testing.T) {
	for of, firmware := range firmwares {
		if firmware.version == "" {
			continue
		}
		for _, c := range []struct{ answer, version, wait time.Duration }{
			{190, 210, 0}, {190, 210, -1}, {150, 250, 0}, {150, 420, 0}, {150, 650, 0},
		} {
			if c.wait < 0 && (firmware.boots > 0 || !firmware.closes) {
				continue // it does not answer the first question in time
			}
			t.Run(fmt.Sprintf("%s %d %d", of, c.answer, c.version), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSim(newWire(t, 500_000, 0), of)
					line := newLateLine(s.plug(), func(text []byte) time.Duration {
						if len(text) < 3 {
							return c.answer * time.Millisecond
						}
						return c.version * time.Millisecond
					})
					defer time.Sleep(time.Second) // what is on its way comes
					defer line.Close()
					b, err := New(t.Context(), line, "PORT", Options{Bitrate: 500_000, Wait: c.wait, Logger: quietly})
					if err != nil {
						t.Fatal(err)
					}
					if b.version != firmware.version || !s.isOpen() || s.speed != 500_000 {
						t.Errorf("the version is %q; open %v, at %d bit/s", b.version, s.isOpen(), s.speed)
					}
					b.Close()
					s.unplug()
				})
			})
		}
	}
}

// What comes late of an adapter that does not tell its version is not taken for the answer to
// a later command.
func TestAnswersThatComeLateWithoutAVersion(t *testing.T) {
	for _, of := range []string{"Lawicel", "Arduino", "CANableThatAnswers"} {
		for _, late := range []time.Duration{0, 150 * time.Millisecond} {
			t.Run(of+" "+late.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSim(newWire(t, 500_000, 0), of)
					s.version = ""
					line := newLateLine(s.plug(), func([]byte) time.Duration { return late })
					defer time.Sleep(late) // what is on its way comes
					defer line.Close()
					b, err := New(t.Context(), line, "PORT", Options{Bitrate: 500_000, Logger: quietly})
					if err != nil {
						t.Fatal(err)
					}
					if !s.isOpen() || s.speed != 500_000 {
						t.Errorf("open %v, at %d bit/s, after %q", s.isOpen(), s.speed, s.commands)
					}
					b.Close()
					s.unplug()
				})
			})
		}
	}
}

// One that needs longer than it is given is warned of.
func TestAdapterThatDoesNotAnswer(t *testing.T) {
	for _, c := range []struct{ option, takes time.Duration }{{0, 3 * time.Second}, {-1, 0}, {time.Second, time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(newWire(t, 500_000, 0), "Mute")
			began := time.Now()
			b, logged, err := openLogged(s, Options{Bitrate: 500_000, Wait: c.option})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(logged, "the adapter does not answer") || !strings.Contains(logged, "port=PORT") {
				t.Errorf("logged %q", logged)
			}
			if d := time.Since(began); d < c.takes || d > c.takes+5*patience {
				t.Errorf("Open took %v, want %v and a little", d, c.takes)
			}
			if !s.isOpen() || s.speed != 500_000 {
				t.Error("the channel is not open")
			}
			b.Close()
			s.unplug()
		})
	}
}

// Adapters have two ways to listen only, and each is opened by its own.
func TestListenOnly(t *testing.T) {
	eachFirmware(t, func(t *testing.T, of string) {
		wire := newWire(t, 500_000, 0)
		s := newSim(wire, of)
		b, _, err := openLogged(s, Options{Bitrate: 500_000, ListenOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if !s.isOpen() || !s.silent {
			t.Errorf("open %v, silent %v, after %q", s.isOpen(), s.silent, s.commands)
		}
		other, err := wire.Tap()
		if err != nil {
			t.Fatal(err)
		}
		write(t, other, numbered(1))
		var got [1]canbus.Frame
		if _, err := b.ReadFrames(got[:]); err != nil || number(&got[0]) != 0 {
			t.Errorf("read %v, %v", got, err)
		}
		if n, err := b.WriteFrames(numbered(1)); n != 0 || err == nil || !strings.Contains(err.Error(), "listen only") {
			t.Errorf("WriteFrames: %d, %v", n, err)
		}
		other.Close()
		b.Close()
		s.unplug()
	})
}

// An adapter of another kind that knows one way only.
func TestListenOnlyOfAnUnknownAdapter(t *testing.T) {
	for _, way := range []string{"L", "M1", ""} {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(newWire(t, 500_000, 0), "Lawicel")
			s.version, s.listen = "Some adapter 1.0", way
			b, _, err := openLogged(s, Options{Bitrate: 500_000, ListenOnly: true})
			if way == "" {
				if err == nil || !strings.Contains(err.Error(), "L and M1") {
					t.Errorf("error %v", err)
				}
				s.unplug()
				return
			}
			if err != nil || !s.isOpen() || !s.silent {
				t.Errorf("%s: %v; open %v, silent %v, after %q", way, err, s.isOpen(), s.silent, s.commands)
			}
			b.Close()
			s.unplug()
		})
	}
}

// No bit rate is taken for another.
func TestBitratesAreWhatTheyAreCalled(t *testing.T) {
	type try struct {
		of      string
		bitrate int
		family  string
	}
	for c, want := range map[try]string{
		{"Lawicel", 800_000, ""}:             "",
		{"Lawicel", 750_000, ""}:             "its command S7 is 800000",
		{"Lawicel", 83_300, ""}:              "refuses the command S9",
		{"CANable", 750_000, ""}:             "",
		{"CANable", 800_000, ""}:             "its command S7 is 750000",
		{"CANable", 83_300, ""}:              "has no bit rate 83300",
		{"CANableThatAnswers", 750_000, ""}:  "",
		{"CANable2", 750_000, ""}:            "",
		{"CANable2", 800_000, ""}:            "its command S7 is 750000",
		{"CANable2", 83_300, ""}:             "",
		{"CANable25", 800_000, ""}:           "",
		{"CANable25", 750_000, ""}:           "its command S7 is 800000",
		{"CANable25", 83_300, ""}:            "",
		{"Arduino", 83_300, ""}:              "",
		{"Mute", 800_000, ""}:                "family=lawicel",
		{"Mute", 750_000, ""}:                "family=lawicel",
		{"Mute", 83_300, ""}:                 "family=lawicel",
		{"Mute", 800_000, FamilyLawicel}:     "",
		{"Mute", 800_000, FamilyCANable}:     "S7 is 750000",
		{"CANable25", 800_000, "canable2.5"}: "",
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(newWire(t, 500_000, 0), c.of)
			b, _, err := openLogged(s, Options{Bitrate: c.bitrate, Family: c.family, Wait: 2500 * time.Millisecond})
			switch {
			case err == nil && want != "":
				t.Errorf("%v: opened with %d", c, s.speed)
			case err == nil && s.speed != c.bitrate:
				t.Errorf("%v: opened with %d", c, s.speed)
			case err != nil && (want == "" || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "PORT")):
				t.Errorf("%v: %v", c, err)
			}
			if b != nil {
				b.Close()
			}
			s.unplug()
		})
	}
}

// The same for what an adapter ignores without a word.
func TestWhatTheAdapterWouldIgnore(t *testing.T) {
	for _, c := range []struct {
		of      string
		options Options
		want    string
	}{
		{"CANable2", Options{Bitrate: 500_000, DataBitrate: 4_000_000}, "no data bit rate 4000000"},
		{"CANable2", Options{Bitrate: 500_000, DataBitrate: 5_000_000}, ""},
		{"CANable25", Options{Bitrate: 500_000, DataBitrate: 4_000_000}, ""},
		{"CANable", Options{Bitrate: 500_000, DataBitrate: 2_000_000}, "no CAN FD"},
		{"CANable2", Options{Registers: "031C"}, "no timing registers"},
		{"Lawicel", Options{Registers: "031C"}, ""},
		{"Lawicel", Options{Bitrate: 500_000, DataBitrate: 2_000_000}, "refuses the command Y2"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(newWire(t, 500_000, 0), c.of)
			b, _, err := openLogged(s, c.options)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s %+v: %v", c.of, c.options, err)
			}
			if b != nil {
				b.Close()
			}
			s.unplug()
		})
	}
}

// What another program has left in the adapter is not sent: neither the frame that it
// sent last, again, nor the half of one.
func TestWhatIsLeftInTheAdapter(t *testing.T) {
	eachFirmware(t, func(t *testing.T, of string) {
		wire := newWire(t, 500_000, 0)
		heard := record(t, wire)
		s := newSim(wire, of)
		s.boots = 0
		port := s.plug()
		s.mu.Lock()
		for _, command := range []string{"S6", "O", "t10011F"} {
			s.execute(command)
		}
		s.text = []byte("t100211")
		s.mu.Unlock()
		b, err := New(t.Context(), port, "PORT", Options{Bitrate: 500_000, Wait: -1, Logger: quietly})
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
		s.unplug()
		if list := heard(); len(list) != 1 {
			t.Errorf("on the wire: %v", list)
		}
	})
}

// Open returns whatever the adapter says, and however much.
func TestFloodWhileOpening(t *testing.T) {
	for _, text := range []string{"\a", "\r", "z\r", "t1230\r", "V1013\r", "F00\r", "x"} {
		t.Run(text, func(t *testing.T) {
			if testing.Short() {
				synctest.Test(t, func(t *testing.T) { floodWhileOpening(t, text, 5*time.Millisecond) })
				return
			}
			floodWhileOpening(t, text, 0)
		})
	}
}

// floodWhileOpening has the line say a text without end: a hundred times, and after a pause
// again. Without a pause the flood takes a processor, until the time to open is over.
func floodWhileOpening(t *testing.T, text string, pause time.Duration) {
	host, line := net.Pipe()
	go io.Copy(io.Discard, line)
	var flooding sync.WaitGroup
	flooding.Go(func() {
		flood := []byte(strings.Repeat(text, 100))
		for {
			if _, err := line.Write(flood); err != nil {
				return
			}
			time.Sleep(pause)
		}
	})
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		if b, err := New(t.Context(), host, "PORT", Options{Bitrate: 500_000, Wait: -1, Logger: quietly}); err == nil {
			b.Close()
		}
	}()
	select {
	case <-opened:
	case <-time.After(30 * time.Second):
		t.Error("Open does not return")
		host.Close()
	}
	line.Close()
	flooding.Wait()
}

// What the adapter says of itself when it has refused a frame comes as an error frame.
func TestRefusalIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(newWire(t, 500_000, 0), "Lawicel")
		s.refuse = func(*canbus.Frame) bool { return true }
		var text bytes.Buffer
		b, err := New(t.Context(), s.plug(), "PORT", Options{Bitrate: 500_000, Logger: slog.New(slog.NewTextHandler(&text, nil))})
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.status = "F02"
		s.mu.Unlock()
		got := make(chan canbus.Frame, 10)
		go func() {
			defer close(got)
			var f [1]canbus.Frame
			for {
				if _, err := b.ReadFrames(f[:]); err != nil {
					return
				}
				got <- f[0]
			}
		}()
		write(t, b, numbered(1))
		time.Sleep(time.Second)
		b.Close()
		s.unplug()
		var kinds []canbus.Flags
		for f := range got {
			kinds = append(kinds, f.Flags&^canbus.Timed)
			if f.Has(canbus.ErrorFrame) && (f.ID != 4 || f.Data[1] != 2) {
				t.Errorf("error frame %v", f)
			}
		}
		if !slices.Contains(kinds, canbus.ErrorFrame) || !slices.Contains(kinds, canbus.Echo|canbus.Refused) {
			t.Errorf("came: %v", kinds)
		}
		if !strings.Contains(text.String(), "refuses frames") || !strings.Contains(text.String(), "port=PORT") {
			t.Errorf("logged %q", text.String())
		}
	})
}

// What CANable 2.5 reports comes as an error frame, and ESI with the frame.
func TestReportsOfCANable25(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(newWire(t, 500_000, 2_000_000), "CANable25")
		b, _, err := openLogged(s, Options{Bitrate: 500_000, DataBitrate: 2_000_000})
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.say("E2310800C\rb7E020102S\r")
		s.mu.Unlock()
		var got [2]canbus.Frame
		for n := 0; n < 2; {
			k, err := b.ReadFrames(got[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += k
		}
		if !got[0].Has(canbus.ErrorFrame) || !got[1].Has(canbus.FD|canbus.BRS|canbus.ESI) {
			t.Errorf("read %v", got)
		}
		b.Close()
		s.unplug()
	})
}

// A serial line of another computer is one of ours, over IPv4 and IPv6.
func TestSerialOverTCP(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		wire := newWire(t, 0, 0)
		heard := record(t, wire)
		s := newSim(wire, "Lawicel")
		s.patient = true
		plugged := make(chan struct{})
		go func() {
			defer close(plugged)
			if conn, err := ln.Accept(); err == nil {
				s.plugInto(conn)
			}
		}()
		bus, err := canbus.Open(t.Context(), "slcan:tcp:"+ln.Addr().String()+"@500000")
		if err != nil {
			t.Fatal(err)
		}
		<-plugged
		go func() {
			buf := make([]canbus.Frame, 64)
			for {
				if _, err := bus.ReadFrames(buf); err != nil {
					return
				}
			}
		}()
		write(t, bus, numbered(300))
		bus.Close()
		s.unplug()
		ln.Close()
		if n := len(heard()); n != 300 {
			t.Errorf("%s: %d of 300 frames on the wire", address, n)
		}
		if !s.did("C") {
			t.Error("the channel was not closed")
		}
		if _, err := canbus.Open(t.Context(), "slcan:tcp:"+ln.Addr().String()+"@500000"); err == nil || !strings.Contains(err.Error(), "tcp:") {
			t.Errorf("no listener is there: %v", err)
		}
	}
}

// The other computer goes away.
func TestSerialOverTCPIsLost(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := newSim(newWire(t, 500_000, 0), "Lawicel")
	go func() {
		if conn, err := ln.Accept(); err == nil {
			s.plugInto(conn)
		}
	}()
	b, err := Open(t.Context(), "tcp:"+ln.Addr().String(), Options{Bitrate: 500_000})
	if err != nil {
		t.Fatal(err)
	}
	s.line.Close()
	_, err = b.ReadFrames(make([]canbus.Frame, 1))
	if lost, ok := errors.AsType[*canbus.GoneError](err); !ok || !errors.Is(lost, net.ErrClosed) {
		t.Errorf("ReadFrames: %v", err)
	}
	if err := b.Flush(context.Background()); err == nil {
		t.Error("Flush: nil")
	}
	b.Close()
	s.unplug()
}

// openAndLog is openSim, with a log to which the Bus writes until it is closed.
func openAndLog(t *testing.T, s *sim) (*Bus, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	return openSim(t, s, Options{Bitrate: 500_000, Logger: slog.New(slog.NewTextHandler(log, nil))}), log
}

// The adapter is taken out while Close waits for its answers.
func TestCloseTellsOfFramesOfAnAdapterThatIsGone(t *testing.T) {
	for of, want := range map[string]string{
		"Lawicel":  "the last 5 frames may not have been sent",
		"CANable2": "frames may not have been sent", // and more, as it answers none
	} {
		t.Run(of, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(newWire(t, 500_000, 0), of)
				b, log := openAndLog(t, s)
				write(t, b, numbered(20))
				time.Sleep(time.Second)
				s.mu.Lock()
				s.boots = time.Hour // deaf
				s.mu.Unlock()
				write(t, b, numbered(5))
				time.AfterFunc(50*time.Millisecond, func() { s.line.Close() })
				b.Close()
				s.unplug()
				if !strings.Contains(log.String(), "closed before it is known") || !strings.Contains(log.String(), want) {
					t.Errorf("logged %q", log)
				}
			})
		})
	}
}

func TestCloseSaysNothingOfAnAdapterThatIsGoneAndHadAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(newWire(t, 500_000, 0), "Lawicel")
		b, log := openAndLog(t, s)
		write(t, b, numbered(20))
		time.Sleep(time.Second)
		s.line.Close()
		synctest.Wait()
		b.Close()
		s.unplug()
		if log.Len() > 0 {
			t.Errorf("logged %q", log)
		}
	})
}

// An adapter that is still starting, one that says nothing, and one that takes nothing.
func TestContextEndsTheWaitForAnAdapter(t *testing.T) {
	for name, plug := range map[string]func(t *testing.T) (line io.ReadWriteCloser, unplug func()){
		"starts": func(t *testing.T) (io.ReadWriteCloser, func()) {
			s := newSim(newWire(t, 500_000, 0), "Arduino")
			return s.plug(), s.unplug
		},
		"mute": func(t *testing.T) (io.ReadWriteCloser, func()) {
			s := newSim(newWire(t, 500_000, 0), "Mute")
			return s.plug(), s.unplug
		},
		"takes nothing": func(t *testing.T) (io.ReadWriteCloser, func()) {
			host, adapter := net.Pipe()
			return host, func() { adapter.Close() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				line, unplug := plug(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				b, err := New(ctx, line, "PORT", Options{Bitrate: 500_000})
				if b != nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "PORT") {
					t.Errorf("New: %v, %v", b, err)
				}
				if d := time.Since(began); d < time.Second || d > time.Second+patience {
					t.Errorf("New took %v", d)
				}
				unplug()
			})
		})
	}
}

// Whichever command comes next when the context ends, the adapter's channel is closed.
func TestContextThatEndsLeavesNoOpenChannel(t *testing.T) {
	for _, command := range []string{"V", "S6", "O", "F"} {
		t.Run(command, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(newWire(t, 500_000, 0), "Lawicel")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s.on = func(c string) {
					if c == command {
						cancel()
					}
				}
				if b, err := New(ctx, s.plug(), "PORT", Options{Bitrate: 500_000}); b != nil || !errors.Is(err, context.Canceled) {
					t.Errorf("New: %v, %v", b, err)
				}
				s.unplug()
				if last := s.commands[len(s.commands)-1]; last != "C" {
					t.Errorf("the last command is %q, of %q", last, s.commands)
				}
			})
		})
	}
}
