package isotpnet

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/isotp/internal/kernel"
	"example.com/isotp/test/vm/cantest"
	"golang.org/x/sys/unix"
)

// A script is what a peer does. Both backends go through it, and what they do is
// written down: the frames they send, how the Write ended, and what was read.
type script struct {
	name   string
	config Config
	write  int      // begin by a Write of so many bytes; 0: none
	steps  []string // frames that the peer sends, each when it is quiet
	want   string   // of both, or of the user
	// kernel is what the kernel does where it is something else, and why that
	// is so is in the package's documentation. since and until are the versions
	// for which that holds.
	kernel string
	before string // what kernels before 6.9 do; empty: the same as kernel
}

// times is how many bytes of 30, 31, ... a Write of that size has.
func times(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = '0' + byte(i%10)
	}
	return p
}

const (
	first   = "7E0#1014303132333435"
	second  = "7E0#2136373839303132"
	third   = "7E0#2233343536373839"
	control = "7E0#300000CCCCCCCCCC"
)

var scripts = []script{
	{name: "single frame", write: 3, want: "7E0#03303132CCCCCCCC sent"},
	{name: "CTS", write: 20, steps: []string{"7E8#300000"}, want: first + " | " + second + " " + third + " sent"},
	{name: "block size 1", write: 20, steps: []string{"7E8#300100", "7E8#300100"}, want: first + " | " + second + " | " + third + " sent"},
	{name: "WAIT, then CTS", write: 20, steps: []string{"7E8#310000", "7E8#300000"}, want: first + " |  | " + second + " " + third + " sent"},
	{name: "block size of a WAIT", write: 20, steps: []string{"7E8#310100", "7E8#300000"},
		want:   first + " |  | " + second + " " + third + " sent",
		before: first + " |  | " + second + " N_TIMEOUT_Bs"},
	{name: "block size of the second CTS", write: 27, steps: []string{"7E8#300100", "7E8#300000"},
		want:   "7E0#101B303132333435 | " + second + " | 7E0#2233343536373839 7E0#2330313233343536 sent",
		before: "7E0#101B303132333435 | " + second + " | 7E0#2233343536373839 N_TIMEOUT_Bs"},
	{name: "the first CTS kept", config: Config{KeepFirstFlowControl: true}, write: 27, steps: []string{"7E8#300100", "7E8#300000", "7E8#300000"},
		want: "7E0#101B303132333435 | " + second + " | 7E0#2233343536373839 | 7E0#2330313233343536 sent"},
	{name: "OVFLW", write: 20, steps: []string{"7E8#320000"}, want: first + " |  N_BUFFER_OVFLW"},
	{name: "reserved FlowStatus", write: 20, steps: []string{"7E8#330000"}, want: first + " |  N_INVALID_FS"},
	{name: "short flow control", write: 20, steps: []string{"7E8#3000", "7E8#300000"},
		want: first + " |  | " + second + " " + third + " sent", kernel: first + " |  |  N_INVALID_FS"},
	{name: "silence", write: 20, want: first + " N_TIMEOUT_Bs"},
	{name: "flow control no sender waits for", steps: []string{"7E8#300000", "7E8#0141"}, want: " |  |  read 41"},
	{name: "message", steps: []string{"7E8#1008303132333435", "7E8#213637"}, want: " | " + control + " |  read 3031323334353637"},
	{name: "wrong sequence number", steps: []string{"7E8#1008303132333435", "7E8#223637", "7E8#0141"}, want: " | " + control + " |  |  read 41"},
	{name: "interrupted by a single frame", steps: []string{"7E8#1008303132333435", "7E8#0141", "7E8#213637"}, want: " | " + control + " |  |  read 41"},
	{name: "interrupted by an empty single frame", steps: []string{"7E8#1008303132333435", "7E8#00", "7E8#213637"},
		want: " | " + control + " |  |  read 3031323334353637", kernel: " | " + control + " |  | "},
	{name: "interrupted by a first frame", steps: []string{"7E8#1008303132333435", "7E8#1008414243444546", "7E8#214748"}, want: " | " + control + " | " + control + " |  read 4142434445464748"},
	{name: "single frame longer than it is", steps: []string{"7E8#054142"}, want: " | "},
	{name: "first frame too short", steps: []string{"7E8#10083031323334"}, want: " | "},
	{name: "FF_DL 7", steps: []string{"7E8#1007303132333435", "7E8#2136"}, want: " |  | ", kernel: " | " + control + " |  read 30313233343536"},
	{name: "FF_DL of 4 GiB - 1", steps: []string{"7E8#1000FFFFFFFF3031"}, want: " | 7E0#320000CCCCCCCCCC", kernel: " | "},
	{name: "unknown PDU in a message", steps: []string{"7E8#1008303132333435", "7E8#4000", "7E8#213637"}, want: " | " + control + " |  |  read 3031323334353637"},
	{name: "last consecutive frame too short", steps: []string{"7E8#1008303132333435", "7E8#2136", "7E8#213637"},
		want: " | " + control + " |  |  read 3031323334353637", kernel: " | " + control + " |  | "},
	{name: "block size 1 asked for", config: Config{BlockSize: 1}, steps: []string{"7E8#100F303132333435", "7E8#2136373839303132", "7E8#223334"},
		want: " | 7E0#300100CCCCCCCCCC | 7E0#300100CCCCCCCCCC |  read 303132333435363738393031323334"},
	{name: "empty frame", steps: []string{"7E8#", "7E8#0141"}, want: " |  |  read 41"},
}

func TestBackendsDoTheSame(t *testing.T) {
	cantest.Need(t)
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			for _, network := range []string{"isotp:user", "isotp:kernel"} {
				want := s.want
				if network == "isotp:kernel" {
					running, err := kernel.Probe()
					must(t, err)
					switch {
					case s.before != "" && running.Version.Before(kernel.Linux(6, 9)):
						want = s.before
					case s.kernel != "":
						want = s.kernel
					}
				}
				if got := s.run(t, network, want); got != want {
					t.Errorf("%s:\n%s\nwant\n%s", network, got, want)
				}
			}
		})
	}
}

// run returns what the backend does, with a bar at each of the peer's steps. It
// waits for as many frames as are wanted, and then for some time for others.
func (s *script) run(t *testing.T, network, want string) string {
	var wanted []int
	for _, step := range strings.Split(want, "|") {
		wanted = append(wanted, strings.Count(step, "#"))
	}
	name := newInterface(t)
	peer := newRawPeer(t, name)
	c := (&Dialer{Config: s.config}).mustDial(t, network, name+"/7E0:7E8")
	defer c.Close()
	read := make(chan string, 1)
	go func() { read <- reads(c) }()
	var done <-chan error
	if s.write > 0 {
		done = writing(c, times(s.write))
	}
	text := strings.Join(peer.frames(wanted[0]), " ")
	for i, step := range s.steps {
		peer.send(step)
		text += " | " + strings.Join(peer.frames(wanted[i+1]), " ")
	}
	if done != nil {
		err := <-done
		outcome := fmt.Sprint(err)
		if e, ok := errors.AsType[*ProtocolError](err); ok {
			outcome, _, _ = strings.Cut(e.Code.String(), ":")
		} else if err == nil {
			outcome = "sent"
		}
		text += " " + outcome
	}
	c.SetReadDeadline(time.Now())
	return text + <-read
}

// reads returns the messages that come until the deadline.
func reads(c *Conn) (text string) {
	buf := make([]byte, 5000)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return text
		}
		text += fmt.Sprintf(" read %X", buf[:n])
	}
}

// frames returns so many frames, and those that come soon after.
func (p *rawPeer) frames(n int) (frames []string) {
	p.t.Helper()
	for {
		wait := 40 * time.Millisecond
		if len(frames) < n {
			wait = 10 * time.Second
		}
		tv := unix.NsecToTimeval(int64(wait))
		must(p.t, unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
		f, err := p.tryNext()
		if err != nil {
			return frames
		}
		frames = append(frames, f)
	}
}
