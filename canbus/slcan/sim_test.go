package slcan

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
)

// A firmware is what adapters differ in.
type firmware struct {
	version string        // the answer to V
	ok, no  string        // the answers to other commands; "": none
	sent    string        // the answer to a frame with 11 bits
	tail    string        // behind the version
	nothing string        // the answer to an empty command; "again": the last one again
	closes  bool          // C is answered, too, with no if the channel is closed
	speeds  map[byte]int  // of S
	fd      string        // digits of Y
	listen  string        // "L", or "M1" before O
	status  string        // the answer to F; "": F is not known
	boots   time.Duration // after its port has been opened; hears nothing then
	queue   int
	waits   bool // for room in the queue, and holds the line up
}

var lawicelSpeeds = map[byte]int{
	'0': 10_000, '1': 20_000, '2': 50_000, '3': 100_000, '4': 125_000, '5': 250_000, '6': 500_000, '7': 800_000, '8': 1_000_000,
}

func withSpeeds(more map[byte]int) map[byte]int {
	speeds := make(map[byte]int)
	for _, m := range []map[byte]int{lawicelSpeeds, more} {
		for c, rate := range m {
			speeds[c] = rate
		}
	}
	return speeds
}

// The firmwares, as their sources and manuals have them.
var firmwares = map[string]firmware{
	// CAN232 and CANUSB.
	"Lawicel": {
		version: "V1013", ok: "\r", no: "\a", sent: "z\r", nothing: "\r", closes: true,
		speeds: lawicelSpeeds, listen: "L", status: "F00", queue: 32,
	},
	// CANable with the slcan firmware of 2021: only V is answered.
	"CANable": {
		version: "8ca5d39 https://github.com/normaldotcom/canable-fw.git", nothing: "again",
		speeds: withSpeeds(map[byte]int{'7': 750_000}), listen: "M1", queue: 63,
	},
	// The one of 2019 answers all, the version twice.
	"CANableThatAnswers": {
		version: "3a0efec https://github.com/normaldotcom/canable-fw.git", ok: "\r", no: "\a", sent: "\r", tail: "\r", nothing: "again",
		closes: true, speeds: withSpeeds(map[byte]int{'7': 750_000}), listen: "M1", queue: 63,
	},
	"CANable2": {
		version: "b158aa7 https://github.com/normaldotcom/canable2-fw.git", nothing: "again",
		speeds: withSpeeds(map[byte]int{'7': 750_000, '9': 83_300}), fd: "25", listen: "M1", queue: 63,
	},
	// CANable 2.5, by ElmueSoft. C is not answered.
	"CANable25": {
		version: "+Board: Multiboard\tMCU: STM32G431\tDevID: 1128\tFirmware: 2426132\tSlcan: 105\tClock: 160\tChannels: 1\tQuartz: No\tLimits: 512,256,128,128,32,32,16,16\tHAL: 1.2.5\tSerial: 206249E3946306550",
		ok:      "\r", no: "\a", sent: "\r", nothing: "\r",
		speeds: withSpeeds(map[byte]int{'9': 83_300}), fd: "012458", listen: "M1", queue: 67,
	},
	// An Arduino with an MCP2515, which restarts when its port is opened.
	"Arduino": {
		version: "V1013", ok: "\r", no: "\a", sent: "\r", nothing: "", closes: true,
		speeds: withSpeeds(map[byte]int{'9': 83_300}), listen: "L", status: "F00", boots: 2 * time.Second, queue: 3, waits: true,
	},
	// One that answers nothing at all.
	"Mute": {speeds: lawicelSpeeds, listen: "L", queue: 63, fd: "25"},
}

// A sim is a simulated adapter on a simulated wire. It has a queue of its own, from
// which one frame at a time goes to its controller; C stops that at once.
type sim struct {
	firmware
	wire *virtual.Network
	// refuse reports whether the frame is refused; lose whether its answer, and
	// drop whether the frame and the answer are lost on the serial line. nil: never.
	refuse     func(f *canbus.Frame) bool
	lose, drop func() bool
	on         func(command string) // is called with each command, before its answer
	// patient: this machine may be late, by more than Close waits, and a real wire is
	// not. So the adapter waits for room in its queue, and for its end before C.
	patient bool

	mu       sync.Mutex
	line     io.ReadWriteCloser
	out      chan string
	commands []string
	opened   time.Time
	speed    int
	silent   bool // M1
	feedback bool // CANable 2.5's MF
	last     string
	text     []byte       // not a whole command yet
	tap      *virtual.Tap // nil: the channel is closed
	waiting  []canbus.Frame
	work     chan struct{}
	done     sync.WaitGroup
}

// plug connects the adapter, and returns the other end of the line.
func (s *sim) plug() io.ReadWriteCloser {
	host, line := net.Pipe()
	s.plugInto(line)
	return host
}

// plugInto connects the adapter to a line.
func (s *sim) plugInto(line io.ReadWriteCloser) {
	out := make(chan string, 10_000)
	s.mu.Lock()
	s.line, s.out, s.opened = line, out, time.Now()
	s.work = make(chan struct{}, 1)
	s.mu.Unlock()
	s.done.Go(func() {
		for text := range out {
			if _, err := io.WriteString(line, text); err != nil {
				for range out {
				}
			}
		}
	})
	s.done.Go(func() { s.obey(line) })
}

// unplug waits until the host has closed the line.
func (s *sim) unplug() {
	s.done.Wait()
}

func (s *sim) obey(line io.ReadWriteCloser) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closeChannel()
		line.Close()
		close(s.out)
	}()
	buf := make([]byte, 64) // a USB packet
	for {
		n, err := line.Read(buf)
		s.mu.Lock()
		if time.Since(s.opened) >= s.boots {
			s.text = append(s.text, buf[:n]...)
		}
		for {
			command, rest, found := bytes.Cut(s.text, []byte{'\r'})
			if !found {
				break
			}
			s.text = rest
			s.execute(string(command))
		}
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// say sends text to the host. Under mu.
func (s *sim) say(text string) {
	if text != "" {
		s.out <- text
	}
}

func (s *sim) answer(ok bool) {
	switch {
	case s.feedback && ok:
		s.say("#\r")
	case s.feedback:
		s.say("#7\r")
	case ok:
		s.say(s.ok)
	default:
		s.say(s.no)
	}
}

func (s *sim) execute(command string) {
	if command == "" {
		if s.nothing == "again" {
			if s.last != "" {
				s.execute(s.last)
			}
			return
		}
		s.say(s.nothing)
		return
	}
	s.last = command
	isFrame := strings.ContainsRune("tTrRdDbB", rune(command[0]))
	if !isFrame {
		s.commands = append(s.commands, command)
		if s.on != nil {
			s.on(command)
		}
	}
	switch c := command[0]; {
	case isFrame:
		s.send(command)
	case command == "V" && s.version != "":
		s.say(s.version + "\r" + s.tail)
	case command == "C":
		if s.patient {
			s.awaitRoom(1)
		}
		was := s.tap != nil
		s.closeChannel()
		if strings.HasPrefix(s.version, "+") {
			s.feedback, s.silent = false, false
		} else if s.closes {
			s.answer(was)
		}
	case command == "F" && s.status != "":
		s.say(s.status + "\r")
	case strings.HasPrefix(s.version, "+") && command == "F":
		s.answer(true) // no filter
	case strings.HasPrefix(s.version, "+") && command == "MEFS":
		s.feedback = true
		s.answer(true)
	case s.tap != nil:
		s.answer(false)
	case c == 'S' && len(command) == 2 && s.speeds[command[1]] != 0:
		s.speed = s.speeds[command[1]]
		s.answer(true)
	case c == 's' && len(command) == 5 && s.listen == "L":
		s.speed = 125_000
		s.answer(true)
	case c == 'Y' && len(command) == 2 && strings.Contains(s.fd, command[1:]):
		s.answer(true)
	case (command == "M0" || command == "M1") && s.listen == "M1":
		s.silent = command == "M1"
		s.answer(true)
	case command == "O", command == "L" && s.listen == "L":
		s.silent = s.silent || command == "L"
		s.openChannel()
		s.answer(true)
	default:
		s.answer(false)
	}
}

func (s *sim) openChannel() {
	tap, err := s.wire.Tap()
	if err != nil {
		panic(err)
	}
	s.tap, s.waiting = tap, nil
	s.done.Go(func() { s.forward(tap) })
	s.done.Go(func() { s.transmit(tap) })
}

func (s *sim) closeChannel() {
	if s.tap != nil {
		s.tap.Close()
		s.tap, s.waiting = nil, nil
		s.poke()
	}
}

func (s *sim) poke() {
	select {
	case s.work <- struct{}{}:
	default:
	}
}

// send takes a frame into the queue.
func (s *sim) send(command string) {
	if s.drop != nil && s.drop() {
		return
	}
	f, ok := scan(command)
	if !ok || s.tap == nil || s.silent || s.refuse != nil && s.refuse(&f) {
		s.answer(false)
		return
	}
	if s.waits || s.patient {
		s.awaitRoom(s.queue)
	}
	if len(s.waiting) >= s.queue {
		if s.no != "" || s.feedback {
			s.answer(false)
		}
		return
	}
	s.waiting = append(s.waiting, f)
	s.poke()
	if s.lose != nil && s.lose() {
		return
	}
	switch {
	case s.feedback:
		s.say("#\r")
	case command[0] < 'a':
		s.say(strings.ToUpper(s.sent))
	default:
		s.say(s.sent)
	}
}

// awaitRoom holds the line up until fewer frames wait. Under mu.
func (s *sim) awaitRoom(frames int) {
	for s.tap != nil && len(s.waiting) >= frames {
		s.mu.Unlock()
		time.Sleep(100 * time.Microsecond)
		s.mu.Lock()
	}
}

// transmit is the controller.
func (s *sim) transmit(tap *virtual.Tap) {
	for {
		s.mu.Lock()
		if s.tap != tap {
			s.mu.Unlock()
			s.poke() // there may be another
			return
		}
		work := s.work
		next := slices.Clone(s.waiting[:min(len(s.waiting), 1)])
		s.mu.Unlock()
		if len(next) == 0 {
			<-work
			continue
		}
		tap.WriteFrames(next)
		s.mu.Lock()
		if s.tap == tap {
			s.waiting = s.waiting[1:]
		}
		s.mu.Unlock()
	}
}

func (s *sim) forward(tap *virtual.Tap) {
	buf := make([]canbus.Frame, 10)
	for {
		n, err := tap.ReadFrames(buf)
		for i := range buf[:n] {
			if !buf[i].Has(canbus.Echo) {
				s.mu.Lock()
				s.say(string(appendFrame(nil, &buf[i])))
				s.mu.Unlock()
			}
		}
		if err != nil {
			return
		}
	}
}

func (s *sim) did(command string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.commands, command)
}

func (s *sim) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tap != nil
}

func scan(s string) (f canbus.Frame, ok bool) {
	kind, format := s[0], "%8X"
	if kind >= 'a' {
		format, kind = "%3X", kind-'a'+'A'
	} else {
		f.Flags = canbus.Extended
	}
	var dlc int
	var data []byte
	n, _ := fmt.Sscanf(s[1:], format+"%1X%X", &f.ID, &dlc, &data)
	f.Len = []uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64}[dlc&15]
	f.Flags |= map[byte]canbus.Flags{'T': 0, 'R': canbus.Remote, 'D': canbus.FD, 'B': canbus.FD | canbus.BRS}[kind]
	copy(f.Data[:], data)
	return f, n >= 2 && (kind == 'R' || len(data) == int(f.Len))
}

// newWire makes a wire with the bit rate.
func newWire(t *testing.T, bitrate, dataBitrate int) *virtual.Network {
	t.Helper()
	n, err := virtual.New(virtual.Options{Bitrate: bitrate, DataBitrate: dataBitrate, QueueLen: 32, BufferLen: 4096})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// newSim makes an adapter.
func newSim(wire *virtual.Network, name string) *sim {
	return &sim{firmware: firmwares[name], wire: wire}
}
