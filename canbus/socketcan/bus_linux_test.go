package socketcan_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/socketcan"
	"example.com/isotp/test/vm/cantest"
	"golang.org/x/sys/unix"
)

func open(t testing.TB, name string) *socketcan.Bus {
	t.Helper()
	cantest.Need(t)
	b, err := socketcan.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// fresh makes an interface for a test that spoils it.
func fresh(t *testing.T) string {
	t.Helper()
	cantest.Need(t)
	const name = "vcantest"
	must(t, cantest.AddLink(name))
	t.Cleanup(func() { cantest.DeleteLink(name) })
	must(t, cantest.SetLink(name, true))
	return name
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func frame(id uint32, data ...byte) canbus.Frame {
	f := canbus.Frame{ID: id, Len: uint8(len(data))}
	copy(f.Data[:], data)
	return f
}

// numbered returns frames that differ.
func numbered(n int) []canbus.Frame {
	list := make([]canbus.Frame, n)
	for i := range list {
		list[i] = frame(0x100+uint32(i%7), byte(i), byte(i>>8), byte(i>>16))
	}
	return list
}

func write(t testing.TB, b canbus.Bus, frames ...canbus.Frame) {
	t.Helper()
	for len(frames) > 0 {
		n, err := b.WriteFrames(frames)
		if err != nil && !errors.Is(err, canbus.ErrTemporary) {
			t.Fatalf("after %d frames: %v", n, err)
		}
		frames = frames[n:]
	}
}

// read reads n frames; echoes too if they are wanted.
func read(t testing.TB, b canbus.Bus, n int, echoes bool) []canbus.Frame {
	t.Helper()
	var all []canbus.Frame
	buf := make([]canbus.Frame, 100)
	for len(all) < n {
		k, err := b.ReadFrames(buf[:min(len(buf), n-len(all))])
		if err != nil {
			t.Fatalf("after %d of %d frames: %v", len(all), n, err)
		}
		for _, f := range buf[:k] {
			if echoes || !f.Has(canbus.Echo) {
				all = append(all, f)
			}
		}
	}
	return all
}

// plain is a frame as it was before it was sent.
func plain(f canbus.Frame) canbus.Frame {
	f.Strip()
	clear(f.Data[f.Len:])
	return f
}

func equal(t *testing.T, got, want []canbus.Frame) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i := range got {
		if plain(got[i]) != plain(want[i]) {
			t.Fatalf("frame %d is %v, want %v", i, got[i], want[i])
		}
	}
}

var kinds = []canbus.Frame{
	frame(0x7E0, 1, 2, 3, 4, 5, 6, 7, 8),
	frame(0),
	{ID: 0x18DAF110, Flags: canbus.Extended, Len: 2, Data: [64]byte{1, 2}},
	{ID: 0x7E0, Flags: canbus.Remote, Len: 8},
	{ID: 0x7E0, Flags: canbus.FD, Len: 8, Data: [64]byte{8, 7, 6}},
	{ID: 0x7E0, Flags: canbus.FD | canbus.BRS, Len: 64, Data: [64]byte{63: 1}},
	{ID: 0x18DAF110, Flags: canbus.FD | canbus.ESI | canbus.Extended, Len: 12, Data: [64]byte{11: 1}},
}

func TestFramesOfEveryKindArrive(t *testing.T) {
	a, b := open(t, "vcan0"), open(t, "vcan0")
	write(t, a, kinds...)
	equal(t, read(t, b, len(kinds), true), kinds)
}

func TestBatchesOfAnySizeKeepTheOrder(t *testing.T) {
	for _, size := range []int{1, 3, 64, 65, 300} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			a, b := open(t, "vcan0"), open(t, "vcan0")
			sent := numbered(300)
			for chunk := range slices.Chunk(sent, size) {
				write(t, a, chunk...)
			}
			equal(t, read(t, b, len(sent), true), sent)
		})
	}
}

func TestOwnFramesComeBackAsEchoes(t *testing.T) {
	a, b := open(t, "vcan0"), open(t, "vcan0")
	write(t, a, kinds...)
	echoes := read(t, a, len(kinds), true)
	equal(t, echoes, kinds)
	for _, f := range echoes {
		if !f.Has(canbus.Echo) {
			t.Errorf("%v has no flag Echo", f)
		}
	}
	for _, f := range read(t, b, len(kinds), true) {
		if f.Has(canbus.Echo) {
			t.Errorf("another bus got %v as its own echo", f)
		}
	}
}

func TestFramesHaveTheTimeOfReception(t *testing.T) {
	a, b := open(t, "vcan0"), open(t, "vcan0")
	before := time.Now()
	write(t, a, frame(1))
	for _, bus := range []canbus.Bus{a, b} {
		f := read(t, bus, 1, true)[0]
		if at := f.Time(); at.Before(before.Add(-time.Millisecond)) || at.After(time.Now().Add(time.Millisecond)) {
			t.Errorf("%v has the time %v, written at %v", f, at, before)
		}
	}
}

func TestErrorFramesPassAllFilters(t *testing.T) {
	b := open(t, "vcan0")
	must(t, b.SetFilters(nil))
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	must(t, err)
	defer unix.Close(fd)
	link, err := net.InterfaceByName("vcan0")
	must(t, err)
	must(t, unix.Bind(fd, &unix.SockaddrCAN{Ifindex: link.Index}))
	// struct can_frame: bus-off
	_, err = unix.Write(fd, []byte{0x40, 0, 0, 0x20, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	must(t, err)
	f := read(t, b, 1, true)[0]
	f.Strip()
	if f.ID != unix.CAN_ERR_BUSOFF || f.Flags != canbus.ErrorFrame || f.Len != 8 {
		t.Errorf("got %+v, want bus-off", f)
	}
}

func TestFiltersLetPassWhatTheyName(t *testing.T) {
	ext := func(f canbus.Frame) canbus.Frame { f.Flags |= canbus.Extended; return f }
	remote := func(f canbus.Frame) canbus.Frame { f.Flags |= canbus.Remote; return f }
	fd := func(f canbus.Frame) canbus.Frame { f.Flags |= canbus.FD; return f }
	all := []canbus.Frame{
		frame(0x7E8, 1), frame(0x7E9, 2), ext(frame(0x7E8, 3)), remote(frame(0x7E8)), remote(frame(0x7EA)),
		fd(frame(0x7E8, 4)), ext(frame(0x18DAF110, 5)), ext(frame(0x18DAF111, 6)), frame(0x100, 7),
	}
	many := make([]canbus.Filter, 600)
	for i := range many {
		many[i] = canbus.Filter{ID: 0x200 + uint32(i), Mask: canbus.MaxStandardID}
	}
	for _, c := range []struct {
		name    string
		filters []canbus.Filter
	}{
		{"exact", []canbus.Filter{{ID: 0x7E8, Mask: canbus.MaxStandardID}}},
		{"exact, 29 bits", []canbus.Filter{{ID: 0x18DAF110, Mask: canbus.MaxExtendedID, Extended: true}}},
		{"a range", []canbus.Filter{{ID: 0x7E8, Mask: 0x7F8}}},
		{"a range of 29 bits", []canbus.Filter{{ID: 0x18DAF100, Mask: 0x1FFFFF00, Extended: true}}},
		{"all", []canbus.Filter{{}, {Extended: true}}},
		{"two that overlap", []canbus.Filter{{ID: 0x7E8, Mask: canbus.MaxStandardID}, {ID: 0x7E0, Mask: 0x7F0}}},
		{"none", nil},
		{"more than the kernel takes", append(many, canbus.Filter{ID: 0x7E8, Mask: canbus.MaxStandardID})},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b, end := open(t, "vcan0"), open(t, "vcan0"), frame(0x555)
			must(t, b.SetFilters(append(c.filters, canbus.Filter{ID: end.ID, Mask: canbus.MaxStandardID})))
			var want []canbus.Frame
			for _, f := range all {
				if slices.ContainsFunc(c.filters, func(l canbus.Filter) bool { return l.Match(&f) }) {
					want = append(want, f)
				}
			}
			want = append(want, end)
			write(t, a, append(slices.Clone(all), end)...)
			equal(t, read(t, b, len(want), true), want)
		})
	}
}

func TestFiltersCanBeReplaced(t *testing.T) {
	a, b := open(t, "vcan0"), open(t, "vcan0")
	must(t, b.SetFilters([]canbus.Filter{{ID: 1, Mask: canbus.MaxStandardID}}))
	write(t, a, frame(1, 1), frame(2, 1))
	equal(t, read(t, b, 1, true), []canbus.Frame{frame(1, 1)})
	must(t, b.SetFilters([]canbus.Filter{{ID: 2, Mask: canbus.MaxStandardID}}))
	write(t, a, frame(1, 2), frame(2, 2))
	equal(t, read(t, b, 1, true), []canbus.Frame{frame(2, 2)})
}

func TestEchoesPassAllFilters(t *testing.T) {
	a := open(t, "vcan0")
	must(t, a.SetFilters(nil))
	write(t, a, kinds...)
	equal(t, read(t, a, len(kinds), true), kinds)
	must(t, a.SetFilters([]canbus.Filter{{ID: 5, Mask: canbus.MaxStandardID}}))
	write(t, a, kinds...)
	equal(t, read(t, a, len(kinds), true), kinds)
}

func TestEchoesPassWhenMoreIdentifiersAreSentThanTheKernelFilters(t *testing.T) {
	a, b := open(t, "vcan0"), open(t, "vcan0")
	must(t, a.SetFilters(nil))
	sent := make([]canbus.Frame, 600)
	for i := range sent {
		sent[i] = frame(uint32(i), byte(i))
	}
	for chunk := range slices.Chunk(sent, 100) { // fewer than an unprivileged socket holds
		write(t, a, chunk...)
		equal(t, read(t, a, len(chunk), true), chunk)
		read(t, b, len(chunk), true)
	}
	// The kernel lets everything pass now, the bus does not.
	write(t, b, frame(1, 9), frame(0x700, 9))
	write(t, a, frame(1, 10))
	equal(t, read(t, a, 1, true), []canbus.Frame{frame(1, 10)})
}

// To hear the echoes of what it sends a socket must hear what others send under
// the same identifier.
func TestFiltersKeepOutWhatOthersSendUnderOurIdentifiers(t *testing.T) {
	a, b := open(t, "vcan0"), open(t, "vcan0")
	must(t, a.SetFilters([]canbus.Filter{{ID: 0x7E8, Mask: canbus.MaxStandardID}}))
	write(t, a, frame(0x7E0, 1))
	write(t, b, frame(0x7E0, 2), frame(0x7E8, 3))
	equal(t, read(t, a, 2, true), []canbus.Frame{frame(0x7E0, 1), frame(0x7E8, 3)})
}

func TestCloseEndsReadFrames(t *testing.T) {
	for range 20 {
		b := open(t, "vcan0")
		result := make(chan error)
		go func() {
			_, err := b.ReadFrames(make([]canbus.Frame, 1))
			result <- err
		}()
		runtime.Gosched()
		must(t, b.Close())
		if err := <-result; err != net.ErrClosed {
			t.Fatalf("ReadFrames: %v", err)
		}
	}
}

func TestCloseEndsWriteFrames(t *testing.T) {
	name := fresh(t)
	must(t, cantest.SetQueue(name, 1, 1e8))
	b := open(t, name)
	result := make(chan error)
	go func() {
		for {
			if _, err := b.WriteFrames(kinds); err != nil && !errors.Is(err, canbus.ErrTemporary) {
				result <- err
				return
			}
		}
	}()
	read(t, open(t, name), 0, true)
	must(t, b.Close())
	if err := <-result; err != net.ErrClosed {
		t.Fatalf("WriteFrames: %v", err)
	}
}

func TestAfterCloseEverythingIsClosed(t *testing.T) {
	b := open(t, "vcan0")
	must(t, b.Close())
	must(t, b.Close())
	_, read := b.ReadFrames(make([]canbus.Frame, 1))
	_, write := b.WriteFrames(kinds)
	_, try := b.TryWriteFrames(kinds)
	for _, err := range []error{read, write, try, b.SetFilters(nil)} {
		if err != net.ErrClosed {
			t.Errorf("error %v, want net.ErrClosed", err)
		}
	}
	if n := b.Dropped(); n != 0 {
		t.Errorf("%d frames dropped", n)
	}
}

func TestCloseLeavesNoDescriptor(t *testing.T) {
	cantest.Need(t)
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(list)
	}
	before := count()
	for range 20 {
		b := open(t, "vcan0")
		write(t, b, frame(1))
		must(t, b.Close())
	}
	if after := count(); after > before+1 { // one may be the runtime's poller
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestInvalidFramesAreRefusedAfterTheValidOnes(t *testing.T) {
	a, b := open(t, "vcan0"), open(t, "vcan0")
	n, err := a.WriteFrames([]canbus.Frame{frame(1, 1), frame(0x800), frame(2)})
	if n != 1 || err == nil || errors.Is(err, canbus.ErrTemporary) || !strings.Contains(err.Error(), "0x800") {
		t.Errorf("WriteFrames = %d, %v", n, err)
	}
	write(t, a, frame(3))
	equal(t, read(t, b, 2, true), []canbus.Frame{frame(1, 1), frame(3)})
}

func TestProperties(t *testing.T) {
	b := open(t, "vcan0")
	if p := b.Properties(); p != (canbus.Properties{FD: true, Echo: true, QueueLen: p.QueueLen}) {
		t.Errorf("vcan0 with an MTU of 72: %+v", p)
	}
}

func TestAnInterfaceForClassicCANRefusesFD(t *testing.T) {
	name := fresh(t)
	must(t, cantest.SetLink(name, false))
	must(t, cantest.SetMTU(name, 16))
	must(t, cantest.SetLink(name, true))
	a, b := open(t, name), open(t, name)
	if a.Properties().FD {
		t.Error("says it carries CAN FD")
	}
	n, err := a.WriteFrames([]canbus.Frame{frame(1), {ID: 2, Flags: canbus.FD}})
	if n != 1 || err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("WriteFrames = %d, %v", n, err)
	}
	equal(t, read(t, b, 1, true), []canbus.Frame{frame(1)})
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	down := fresh(t)
	must(t, cantest.SetLink(down, false))
	for _, c := range []struct {
		name string
		want error
	}{
		{"", unix.ENODEV},
		{"nosuchcan0", unix.ENODEV},
		{"a-name-longer-than-15", unix.ENODEV},
		{"lo", unix.ENODEV}, // not a CAN interface
		{down, unix.ENETDOWN},
	} {
		b, err := canbus.Open(t.Context(), c.name)
		if b != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), "open "+c.name) {
			t.Errorf("Open(%q) = %v, %v; want %v", c.name, b, err, c.want)
		}
	}
}
