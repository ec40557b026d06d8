//go:build linux

package canutils

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// listened are pairs of addresses as each program has them, with those of its frames.
var listened = []struct {
	name, ours, theirs string
	a, b               wire.Address
	size               int // of the frames
}{
	{"normal, 11 bits", "7E0:7E8", "-s 7E0 -d 7E8", wire.Address{ID: 0x7E0}, wire.Address{ID: 0x7E8}, 8},
	{"normal fixed", "fixed:10:F1", "-s 18DA10F1 -d 18DAF110", eff(0x18DA10F1), eff(0x18DAF110), 8},
	{"normal, 29 bits", "00000123:00000456", "-s 00000123 -d 00000456", eff(0x123), eff(0x456), 8},
	{"extended", "641#55:642#F1", "-s 641 -d 642 -x 55 -X F1", with(0x55, wire.Address{ID: 0x641}), with(0xF1, wire.Address{ID: 0x642}), 8},
	{"mixed, 11 bits", "641#99:642#99", "-s 641 -d 642 -x 99 -X 99", with(0x99, wire.Address{ID: 0x641}), with(0x99, wire.Address{ID: 0x642}), 8},
	{"mixed, 29 bits", "mixed:10:F1#99", "-s 18CE10F1 -d 18CEF110 -x 99 -X 99", with(0x99, eff(0x18CE10F1)), with(0x99, eff(0x18CEF110)), 8},
	{"normal, FD", "7E0:7E8", "-s 7E0 -d 7E8", wire.Address{ID: 0x7E0}, wire.Address{ID: 0x7E8}, 64},
	{"extended, FD", "641#55:642#F1", "-s 641 -d 642 -x 55 -X F1", with(0x55, wire.Address{ID: 0x641}), with(0xF1, wire.Address{ID: 0x642}), 64},
}

func eff(id uint32) wire.Address { return wire.Address{ID: id, Extended: true} }

func with(b byte, a wire.Address) wire.Address { a.HasByte, a.Byte = true, b; return a }

// receivers is an identifier as the kernel lists what receives it.
func receivers(a wire.Address) string {
	if a.Extended {
		return fmt.Sprintf("%08x", a.ID|1<<31)
	}
	return fmt.Sprintf("%03x", a.ID)
}

// conversation are frames of each kind between two addresses: messages of one and of several
// frames, with WAITs; one that is refused; a flow control that has no meaning.
func conversation(a, b wire.Address, size int) (frames []canbus.Frame) {
	fa := wire.Format{Address: a, FrameSize: size, MinFrameSize: 8, Fill: 0xCC, FD: size > 8}
	fb := fa
	fb.Address = b
	add := func(write func(*canbus.Frame)) {
		var f canbus.Frame
		write(&f)
		frames = append(frames, f)
	}
	single := func(f wire.Format, p ...byte) {
		add(func(fr *canbus.Frame) { copy(f.SingleFrame(fr, len(p)), p) })
	}
	flow := func(f wire.Format, status wire.FlowStatus, bs, stmin uint8) {
		add(func(fr *canbus.Frame) { f.FlowControl(fr, status, bs, stmin) })
	}
	single(fa, 0x22, 0xF1, 0x90)
	m := message(3*size - 7)
	m[0], m[2] = 0x62, 'A'
	add(func(fr *canbus.Frame) { m = m[copy(fb.FirstFrame(fr, uint32(len(m))), m):] })
	flow(fa, wire.Wait, 0, 0)
	flow(fa, wire.ContinueToSend, 1, 0xF5)
	for sn := uint8(1); len(m) > 0; sn++ {
		add(func(fr *canbus.Frame) {
			m = m[copy(fb.ConsecutiveFrame(fr, sn, min(len(m), fb.ConsecutiveData())), m):]
		})
		flow(fa, wire.ContinueToSend, 1, 0x7F)
	}
	add(func(fr *canbus.Frame) { copy(fa.FirstFrame(fr, 5000), message(size)) })
	flow(fb, wire.Overflow, 0, 0)
	flow(fb, 7, 200, 0xFA)
	single(fa, 0x3E, 0x00)
	single(fb, 0x7F, 0x3E, 0x12)
	if size > 8 {
		single(fb, message(40)...)
	}
	return frames
}

// write sends frames on an interface.
func write(t *testing.T, name string, frames []canbus.Frame) {
	t.Helper()
	bus := openInterface(t, name)
	for len(frames) > 0 {
		n, err := bus.WriteFrames(frames)
		if err != nil {
			t.Fatal(err)
		}
		frames = frames[n:]
	}
}

// A dumped frame is what both programs say of one.
type dumped struct {
	time            float64
	id              uint64
	addressByte     string
	length          string
	kind, fields    string // as "FF", "23"
	data, text, uds string
}

// headOf is the beginning of a line of either program.
var headOf = regexp.MustCompile(`^\((\d+\.\d+)\)  \S+ +([0-9A-F]+)(?:\{(..)\})? +\[(\d+)\]  \[(..)\] (.*)\n$`)

// dataOf is what both have behind the fields.
var dataOf = regexp.MustCompile(`^((?:[0-9A-F]{2} ?)*) *(?:- +' *(.*)')?(?: +- +(\[.*))?$`)

// dumpLine takes a line apart; fields takes the fields of a kind off, in one form for both.
func dumpLine(t *testing.T, line string, fields func(kind, rest string) (string, string)) dumped {
	t.Helper()
	head := headOf.FindStringSubmatch(line)
	if head == nil {
		t.Fatalf("line %q", line)
	}
	var d dumped
	d.time, _ = strconv.ParseFloat(head[1], 64)
	d.id, _ = strconv.ParseUint(head[2], 16, 32)
	length, _ := strconv.Atoi(head[4])
	d.addressByte, d.length, d.kind = head[3], strconv.Itoa(length), head[5]
	var rest string
	if d.fields, rest = fields(d.kind, head[6]); d.kind == "FC" {
		return d
	}
	data := dataOf.FindStringSubmatch(rest)
	if data == nil {
		t.Fatalf("data %q of line %q", rest, line)
	}
	d.data, d.text = strings.TrimSpace(data[1]), data[2]
	// isotpdump names only the code of a negative response, as an older edition does.
	d.uds = strings.ToLower(strings.ReplaceAll(data[3], "-", ""))
	if mark, name, found := strings.Cut(d.uds, "] "); found {
		_, code, negative := strings.Cut(name, ": ")
		if negative {
			name = code
		}
		d.uds = mark + "] " + name
	}
	return d
}

// fieldsOf takes fields off by one expression for each kind, and joins them.
func fieldsOf(expressions map[string]string) func(kind, rest string) (string, string) {
	return func(kind, rest string) (string, string) {
		m := regexp.MustCompile(expressions[kind]).FindStringSubmatch(rest)
		if m == nil {
			return "no fields of " + kind, rest
		}
		return strings.Join(m[1:], " "), strings.TrimLeft(rest[len(m[0]):], " ")
	}
}

var (
	theirFields = fieldsOf(map[string]string{
		"SF": `^ln: (\d+) +data:`, "FF": `^ln: (\d+) +data:`, "CF": `^sn: (.) +data:`,
		"FC": `^FC: \d+ = (\S+) # BS: (\d+) .*# STmin: 0x(..) = (.*)$`,
	})
	ourFields = fieldsOf(map[string]string{
		"SF": `^length (\d+)`, "FF": `^length (\d+)`, "CF": `^SN (.)`,
		"FC": `^(?:. = )?(\S+) BS (\d+) STmin (..) = (.*)$`,
	})
)

func TestDumpSaysWhatIsotpdumpSays(t *testing.T) {
	for _, v := range listened {
		t.Run(v.name, func(t *testing.T) {
			need(t, "isotp")
			name := newInterface(t)
			theirs := start(t, "isotpdump", append(strings.Fields(v.theirs), "-t", "a", "-a", "-u", name)...)
			ours := start(t, "isotp", "dump", "--id", v.ours, "--ascii", "--uds", name)
			awaitReceiver(t, name, receivers(v.b), "raw")
			awaitReceiver(t, name, "000", "raw")
			frames := conversation(v.a, v.b, v.size)
			write(t, name, frames)
			for i := range frames {
				want := dumpLine(t, theirs.next(), theirFields)
				got := dumpLine(t, ours.next(), ourFields)
				want.fields = strings.Replace(want.fields, "WT", "WAIT", 1)
				if math.Abs(got.time-want.time) > 1 {
					t.Errorf("frame %v: at %f, want %f", frames[i], got.time, want.time)
				}
				got.time = want.time
				if want.kind == "SF" || want.kind == "FF" {
					// OBD has services where isotpdump knows none.
					if want.uds == "[???] unknown" {
						want.uds = got.uds
					}
				}
				if got != want {
					t.Errorf("frame %v:\n%+v, want\n%+v", frames[i], got, want)
				}
			}
		})
	}
}

// sniffedLine is a message's identifier, length, digits and text, which both have.
var sniffedLine = regexp.MustCompile(`^ \S+  ([0-9A-F]+)\S*  \[(\d+)\]  ((?:[0-9A-F]{2} ?)*) +- '(.*)'(.*)\n$`)

func TestSniffSaysWhatIsotpsnifferSays(t *testing.T) {
	for _, v := range listened {
		t.Run(v.name, func(t *testing.T) {
			need(t, "isotp")
			name := newInterface(t)
			programs := []*program{start(t, "isotp", "sniff", "--time", "none", "--id", v.ours, name), start(t, "isotp", "sniff", "--time", "none", name)}
			awaitReceivers(t, name, "000", "raw", 2)
			// The kernel's sockets hear CAN FD only if they are told to, which isotpsniffer of
			// 2024 can (-L) and that of older systems cannot.
			if v.size == canbus.MaxClassicLen {
				programs = append(programs, start(t, "isotpsniffer", strings.Fields(v.theirs+" "+name)...))
				awaitReceiver(t, name, receivers(v.a), "isotp")
				awaitReceiver(t, name, receivers(v.b), "isotp")
			}
			write(t, name, conversation(v.a, v.b, v.size))
			want := said(v.a, v.b, v.size)
			for _, p := range programs {
				if got := sniffedBy(t, p, len(want)); !slices.Equal(got, want) {
					t.Errorf("%v:\n%+v, want\n%+v", p.cmd.Args, got, want)
				}
			}
		})
	}
}

// said are the whole messages of a conversation.
func said(a, b wire.Address, size int) (list []sniffedMessage) {
	long := message(3*size - 7)
	long[0], long[2] = 0x62, 'A'
	add := func(from wire.Address, p ...byte) {
		text := strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '.'
			}
			return r
		}, latin1(p))
		list = append(list, sniffedMessage{uint64(from.ID), strconv.Itoa(len(p)), fmt.Sprintf("% X", p), text})
	}
	add(a, 0x22, 0xF1, 0x90)
	add(b, long...)
	add(a, 0x3E, 0x00)
	add(b, 0x7F, 0x3E, 0x12)
	if size > canbus.MaxClassicLen {
		add(b, message(40)...)
	}
	sortByIdentifier(list)
	return list
}

// latin1 has a rune of each byte.
func latin1(p []byte) string {
	var runes []rune
	for _, b := range p {
		runes = append(runes, rune(b))
	}
	return string(runes)
}

func sortByIdentifier(list []sniffedMessage) {
	slices.SortStableFunc(list, func(a, b sniffedMessage) int { return cmp.Compare(a.id, b.id) })
}

// A sniffedMessage is what both programs say of one.
type sniffedMessage struct {
	id                 uint64
	length, data, text string
}

// sniffedBy returns the next n whole messages, those of each identifier in their order:
// isotpsniffer reads two sockets.
func sniffedBy(t *testing.T, p *program, n int) (list []sniffedMessage) {
	t.Helper()
	for len(list) < n {
		line := p.next()
		m := sniffedLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%v: line %q", p.cmd.Args, line)
		}
		if strings.Contains(m[5], "given up") {
			continue
		}
		id, _ := strconv.ParseUint(m[1], 16, 32)
		list = append(list, sniffedMessage{id, m[2], strings.TrimSpace(m[3]), m[4]})
	}
	sortByIdentifier(list)
	return list
}
