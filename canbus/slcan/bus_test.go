//go:build !windows

package slcan

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/conntest"
	"github.com/creack/pty"
	"go.uber.org/goleak"
	"golang.org/x/term"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// classic has timing registers, so that the Bus does not know a bit rate to keep to.
var classic = Options{Registers: "031C"}

// A master is the other end of a serial line that openPty has made. It keeps the port open
// too: reads of the line fail while no program has the port open.
type master struct {
	*os.File
	tty *os.File
}

func (m *master) Close() error {
	m.tty.Close()
	return m.File.Close()
}

// openPty makes a serial line: a port that Open opens, and its other end.
func openPty() (name string, other *master, err error) {
	ptm, tty, err := pty.Open()
	if err != nil {
		return "", nil, err
	}
	// A File of its own, whose Close ends a Write that waits.
	fd, err := syscall.Dup(int(ptm.Fd()))
	ptm.Close()
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		tty.Close()
		return "", nil, err
	}
	other = &master{os.NewFile(uintptr(fd), "ptmx"), tty}
	// Raw from the beginning: the other end shall not hear its own words.
	if _, err := term.MakeRaw(int(tty.Fd())); err != nil {
		other.Close()
		return "", nil, err
	}
	return tty.Name(), other, nil
}

// pair makes two buses, on a line and an adapter each, on one wire.
func pair(t *testing.T, o Options, of string) bustest.MakePair {
	return func() (a, b canbus.Bus, stop func(), err error) {
		wire := newWire(t, o.Bitrate, o.DataBitrate)
		var buses [2]*Bus
		var sims [2]*sim
		for i := range buses {
			name, other, err := openPty()
			if err != nil {
				return nil, nil, nil, err
			}
			sims[i] = newSim(wire, of)
			sims[i].boots, sims[i].patient = 0, true
			sims[i].plugInto(other)
			if buses[i], err = Open(t.Context(), name, o); err != nil {
				return nil, nil, nil, err
			}
		}
		return &reporting{buses[0], sims[0]}, buses[1], func() {
			for i := range sims {
				sims[i].line.Close()
				sims[i].unplug()
			}
		}, nil
	}
}

// A reporting bus can have its adapter report an error.
type reporting struct {
	*Bus
	sim *sim
}

func TestBusConforms(t *testing.T) {
	for of := range firmwares {
		if of == "Mute" {
			continue // it behaves as CANable does, after waits
		}
		if testing.Short() && of != "Lawicel" && of != "CANable25" {
			continue // one that answers each frame, and one that carries CAN FD
		}
		o := Options{Bitrate: 1_000_000, Logger: slog.New(slog.DiscardHandler)}
		if of == "CANable2" || of == "CANable25" {
			o.DataBitrate = 5_000_000
		}
		t.Run(of, func(t *testing.T) {
			bustest.TestBus(t, pair(t, o, of), bustest.Options{
				Report: func(a canbus.Bus) error {
					s := a.(*reporting).sim
					s.mu.Lock()
					defer s.mu.Unlock()
					s.say("F80\r")
					return nil
				},
				Refuse: refuser(of),
			})
		})
	}
}

// refuser has the adapter refuse frames; nil if it does not say so.
func refuser(of string) func(canbus.Bus, func(*canbus.Frame) bool) error {
	if firmwares[of].sent == "" {
		return nil
	}
	return func(a canbus.Bus, refuse func(*canbus.Frame) bool) error {
		s := a.(*reporting).sim
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refuse = refuse
		return nil
	}
}

func TestConnIsANetConn(t *testing.T) {
	if testing.Short() {
		t.Skip("a megabyte crosses the wire at its own speed")
	}
	o := Options{Bitrate: 1_000_000, DataBitrate: 5_000_000}
	conntest.Run(t, pair(t, o, "CANable25"), isotpnet.Config{FD: true})
}

// openLine makes a Bus with a line that the test holds the other end of, which has
// answered the commands that set an adapter up.
func openLine(t *testing.T, o Options) (*Bus, *master) {
	t.Helper()
	name, other, err := openPty()
	if err != nil {
		t.Fatal(err)
	}
	set := make(chan struct{})
	go func() {
		defer close(set)
		buf := make([]byte, 1)
		for text, last := "", ""; last != "F\rV\r"; {
			if n, err := other.Read(buf); n == 0 || err != nil {
				return
			}
			if text += string(buf); strings.HasSuffix(text, "V\r") {
				answer := "\rV1013\r"
				if text == "F\rV\r" {
					answer = "F00\rV1013\r"
				}
				io.WriteString(other, answer)
				text, last = "", text
			}
		}
	}()
	b, err := Open(t.Context(), name, o)
	if err != nil {
		t.Fatal(err)
	}
	<-set
	t.Cleanup(func() { b.Close(); other.Close() })
	return b, other
}

func TestGarbageIsLeftOutAndCounted(t *testing.T) {
	b, other := openLine(t, classic)
	want := canbus.Frame{ID: 0x7E8, Len: 2, Data: [64]byte{0x01, 0x3E}}
	io.WriteString(other, "8\xFF\x00t7E82013E\r"+ // the end of something
		"t7E82013E\r"+
		"t7E89013E\r\r\r\az\rZ\rV1013\rNA123\r"+ // a wrong length, and answers
		"t"+strings.Repeat("7", 10_000)+"\r"+
		"t7E82013E\r")
	for range 2 {
		var got [1]canbus.Frame
		if _, err := b.ReadFrames(got[:]); err != nil {
			t.Fatal(err)
		}
		got[0].Timestamp = 0
		got[0].Flags &^= canbus.Timed
		if got[0] != want {
			t.Errorf("read %v, want %v", got[0], want)
		}
	}
	if b.Malformed() != 3 || b.Refused() != 1 {
		t.Errorf("Malformed %d, Refused %d; want 3 and 1", b.Malformed(), b.Refused())
	}
}

// The channel is closed with the Bus, or the adapter would go on acknowledging.
func TestCloseClosesTheChannel(t *testing.T) {
	b, other := openLine(t, classic)
	b.Close()
	said := make([]byte, 2)
	if _, err := io.ReadFull(other, said); err != nil || string(said) != "C\r" {
		t.Errorf("written %q, %v", said, err)
	}
}

// The adapter is unplugged in the middle of a message: the calls that wait fail, and say why.
func TestAdapterThatVanishes(t *testing.T) {
	b, other := openLine(t, classic)
	d := isotpnet.Dialer{Bus: b}
	conn, err := d.DialContext(t.Context(), "isotp:user", "/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	errs := make(chan error, 2)
	wg.Go(func() {
		_, err := conn.Write(make([]byte, 4000))
		errs <- err
	})
	wg.Go(func() {
		_, err := conn.Read(make([]byte, 10))
		errs <- err
	})
	first := make([]byte, 22)
	if _, err := io.ReadFull(other, first); err != nil || !strings.HasPrefix(string(first), "t7E081FA0") {
		t.Fatalf("written %q, %v", first, err)
	}
	other.Close()
	for range 2 {
		err := <-errs
		if lost, ok := errors.AsType[*canbus.GoneError](err); !ok || errors.Is(err, net.ErrClosed) || lost.Err == nil {
			t.Errorf("error %v, want a GoneError, which is not net.ErrClosed yet", err)
		}
	}
	if _, err := b.ReadFrames(make([]canbus.Frame, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadFrames: %v", err)
	}
}

// An adapter that takes nothing more holds up a write, which Close ends.
func TestAdapterThatStalls(t *testing.T) {
	b, _ := openLine(t, classic)
	ended := make(chan error, 1)
	wrote := make(chan struct{}, 1)
	go func() {
		for {
			if _, err := b.WriteFrames(make([]canbus.Frame, 16)); err != nil {
				ended <- err
				return
			}
			select {
			case wrote <- struct{}{}:
			default:
			}
		}
	}()
	<-wrote
	b.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteFrames: %v", err)
	}
}

// Frames come faster than they are read: the line holds the adapter up.
func TestFloodHoldsTheAdapterUp(t *testing.T) {
	b, other := openLine(t, classic)
	const count = 20_000
	go func() {
		for i := range count {
			f := canbus.Frame{ID: 0x100, Len: 2, Data: [64]byte{byte(i), byte(i >> 8)}}
			other.Write(appendFrame(nil, &f))
		}
	}()
	buf := make([]canbus.Frame, 50)
	for n := 0; n < count; {
		k, err := b.ReadFrames(buf)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range buf[:k] {
			if i := int(f.Data[0]) | int(f.Data[1])<<8; i != n {
				t.Fatalf("frame %d after %d", i, n-1)
			}
			n++
		}
	}
}

func TestPortThatIsNotThere(t *testing.T) {
	_, err := canbus.Open(t.Context(), "slcan:/dev/no-such-port@500000")
	if err == nil || !strings.Contains(err.Error(), "/dev/no-such-port") {
		t.Errorf("Open: %v", err)
	}
}
