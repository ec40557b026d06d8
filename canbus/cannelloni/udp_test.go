package cannelloni

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest"
	"example.com/isotp/canbus/internal/errno"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/conntest"
)

// openEnd opens one end of a tunnel on this computer, on a free port.
func openEnd(t testing.TB, host string, change func(*address)) *UDP {
	t.Helper()
	a := &address{
		transport: transportUDP, host: host, port: Port, mtu: defaultMTU, bitrate: -1,
		local: netip.AddrPortFrom(netip.MustParseAddr(host), 0),
	}
	if change != nil {
		change(a)
	}
	b, err := openUDP(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func (b *UDP) local() netip.AddrPort { return b.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func openPair(t testing.TB, host string) (a, b *UDP) {
	t.Helper()
	a, b = openEnd(t, host, nil), openEnd(t, host, nil)
	a.peer, b.peer = b.local(), a.local()
	return a, b
}

// A far is the other end of a tunnel of UDP, as a test plays it.
type far struct {
	t    testing.TB
	conn *net.UDPConn
}

// openFar opens an end, with the other end played.
func openFar(t testing.TB, change func(*address)) (*UDP, *far) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	b := openEnd(t, "127.0.0.1", change)
	b.peer = conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return b, &far{t, conn}
}

// send sends a datagram to a bus: its text in hexadecimal, with spaces.
func (f *far) send(b *UDP, text string) {
	f.t.Helper()
	if _, err := f.conn.WriteToUDPAddrPort(unhex(f.t, strings.ReplaceAll(text, " ", "")), b.local()); err != nil {
		f.t.Fatal(err)
	}
}

// receive returns the next datagram.
func (f *far) receive() []byte {
	f.t.Helper()
	buf := make([]byte, maxDatagram)
	n, err := f.conn.Read(buf)
	if err != nil {
		f.t.Fatal(err)
	}
	return buf[:n]
}

// wantNext reads the next frame and checks it.
func wantNext(t testing.TB, b canbus.Bus, want canbus.Frame) {
	t.Helper()
	var got [1]canbus.Frame
	if _, err := b.ReadFrames(got[:]); err != nil {
		t.Fatal(err)
	}
	if got[0].Strip(); got[0] != want {
		t.Errorf("read %v, want %v", got[0], want)
	}
}

func write(t testing.TB, b canbus.Bus, frames ...canbus.Frame) {
	t.Helper()
	for len(frames) > 0 {
		n, err := b.WriteFrames(frames)
		if err != nil {
			t.Fatal(err)
		}
		frames = frames[n:]
	}
}

func frame(id uint32, data ...byte) canbus.Frame {
	f := canbus.Frame{ID: id, Len: uint8(len(data))}
	copy(f.Data[:], data)
	return f
}

func TestUDPConforms(t *testing.T) {
	for name, host := range map[string]string{"IPv4": "127.0.0.1", "IPv6": "::1"} {
		t.Run(name, func(t *testing.T) {
			bustest.TestBus(t, func() (canbus.Bus, canbus.Bus, func(), error) {
				a, b := openPair(t, host)
				return a, b, nil, nil
			}, bustest.Options{Lossy: true, Report: func(a canbus.Bus) error {
				f := &canbus.Frame{ID: 4, Flags: canbus.ErrorFrame, Len: 8}
				c, err := net.Dial("udp", a.(*UDP).local().String())
				if err != nil {
					return err
				}
				defer c.Close()
				_, err = c.Write(appendFrame([]byte{version, opData, 0, 0, 1}, f))
				return err
			}})
		})
	}
}

func TestUDPConnIsANetConn(t *testing.T) {
	conntest.Run(t, func() (canbus.Bus, canbus.Bus, func(), error) {
		a, b := openPair(t, "127.0.0.1")
		return a, b, nil, nil
	}, isotpnet.Config{FD: true, BRS: true, BlockSize: 50})
}

// The bytes are those of the protocol's text: frames that are written together go together.
func TestADatagram(t *testing.T) {
	b, far := openFar(t, nil)
	write(t, b, frame(0x7E0, 2, 0x10, 3), canbus.Frame{ID: 0x18DAF110, Flags: canbus.Extended | canbus.FD | canbus.BRS, Len: 1, Data: [64]byte{9}})
	write(t, b, frame(0x7E0))
	for _, want := range []string{
		"02 00 00 0002" + "000007e0 03 021003" + "98daf110 81 01 09",
		"02 00 01 0001" + "000007e0 00",
	} {
		if got := far.receive(); string(got) != string(unhex(t, strings.ReplaceAll(want, " ", ""))) {
			t.Errorf("sent %x, want %s", got, want)
		}
	}
	far.send(b, "02 00 07 0002"+"000007e8 02 5003"+"400007e8 08")
	wantNext(t, b, frame(0x7E8, 0x50, 3))
	wantNext(t, b, canbus.Frame{ID: 0x7E8, Flags: canbus.Remote, Len: 8})
}

// What is too much for one datagram goes in several, none of which is longer than the MTU.
func TestDatagramsFitTheMTU(t *testing.T) {
	for _, mtu := range []int{minMTU, 200} {
		t.Run(strconv.Itoa(mtu), func(t *testing.T) { testMTU(t, mtu) })
	}
}

func testMTU(t *testing.T, mtu int) {
	b, far := openFar(t, func(a *address) { a.mtu = mtu })
	frames := make([]canbus.Frame, 64)
	for i := range frames {
		frames[i] = canbus.Frame{ID: uint32(i), Flags: canbus.FD, Len: 64}
	}
	write(t, b, frames...)
	next := uint32(0)
	for number := byte(0); next < uint32(len(frames)); number++ {
		d := far.receive()
		if len(d) > mtu-headersIPv4 || d[2] != number || len(d) != headerLen+int(d[4])*maxFrame {
			t.Fatalf("datagram %d of %d bytes: %x", number, len(d), d[:headerLen])
		}
		for at := headerLen; at < len(d); at += maxFrame {
			var f canbus.Frame
			if _, err := parseFrame(d[at:], &f); err != nil || f != frames[next] {
				t.Fatalf("%v, %v; want %v", f, err, frames[next])
			}
			next++
		}
	}
}

func TestDatagramsThatAreLostAreCounted(t *testing.T) {
	b, far := openFar(t, nil)
	far.send(b, "02 00 09 0001"+"00000001 00")
	far.send(b, "02 00 0c 0001"+"00000002 00")
	wantNext(t, b, frame(1))
	if n := b.Dropped(); n != 0 {
		t.Errorf("%d lost", n)
	}
	wantNext(t, b, frame(2))
	if n := b.Dropped(); n != 2 {
		t.Errorf("%d lost of 2", n)
	}
}

func TestDatagramsThatAreLateAreLeftOut(t *testing.T) {
	b, far := openFar(t, nil)
	for i, number := range []string{"00", "02", "01", "02", "03"} {
		far.send(b, "02 00 "+number+" 0001 0000000"+string(rune('0'+i))+" 00")
	}
	for _, id := range []uint32{0, 1, 4} {
		wantNext(t, b, frame(id))
	}
	if b.Late() != 2 || b.Dropped() != 1 {
		t.Errorf("%d late, %d lost", b.Late(), b.Dropped())
	}
}

// Each hostile datagram is counted, and what is good is read.
func TestDatagramsThatAreWrong(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		good int // frames
	}{
		"empty":             {"", 0},
		"short":             {"02 00 00 00", 0},
		"another version":   {"03 00 00 0001 000007e0 00", 0},
		"no data":           {"02 01 00 0001 000007e0 00", 0},
		"cut off":           {"02 00 00 0003 000007e0 00 000007e0 03 01", 1},
		"no frame":          {"02 00 00 ffff", 0},
		"too long a frame":  {"02 00 00 0002 000007e0 7f 00 000007e0 00", 0},
		"a bad frame":       {"02 00 00 0003 000007e0 00 00000fff 00 000007e0 00", 2},
		"more than counted": {"02 00 00 0001 000007e0 00 00", 1},
		"more than nothing": {"02 00 00 0000 00", 0},
	} {
		t.Run(name, func(t *testing.T) {
			b, far := openFar(t, nil)
			far.send(b, c.text)
			far.send(b, "02 00 01 0001 00000001 00")
			for range c.good {
				wantNext(t, b, frame(0x7E0))
			}
			wantNext(t, b, frame(1))
			if b.Malformed() != 1 {
				t.Errorf("%d are malformed", b.Malformed())
			}
		})
	}
}

func TestADatagramWithoutFrames(t *testing.T) {
	b, far := openFar(t, nil)
	far.send(b, "02 00 05 0000")
	far.send(b, "02 00 06 0001 00000001 00")
	wantNext(t, b, frame(1))
	if b.Malformed() != 0 || b.Dropped() != 0 {
		t.Errorf("%d malformed, %d lost", b.Malformed(), b.Dropped())
	}
}

func TestDatagramsOfOtherHosts(t *testing.T) {
	b, far := openFar(t, nil)
	own := b.peer
	b.peer = netip.MustParseAddrPort("127.0.0.2:20000")
	far.send(b, "02 00 00 0001 00000001 00")
	if err := b.receive(); err != nil || b.Strangers() != 1 {
		t.Errorf("%v, %d strangers", err, b.Strangers())
	}
	b.peer = netip.AddrPortFrom(own.Addr(), 9) // the port does not matter
	far.send(b, "02 00 00 0001 00000002 00")
	wantNext(t, b, frame(2))
}

func TestAnyHost(t *testing.T) {
	b, far := openFar(t, func(a *address) { a.anySource = true })
	b.peer = netip.MustParseAddrPort("127.0.0.2:20000")
	far.send(b, "02 00 00 0001 00000001 00")
	wantNext(t, b, frame(1))
}

func TestAPeerThatIsThisEnd(t *testing.T) {
	for name, itself := range map[string]bool{
		"udp:127.0.0.1":                           true,
		"udp:127.0.0.9,local=:20000":              true,
		"udp:127.0.0.9:20001":                     false,
		"udp:127.0.0.9,local=127.0.0.1:20000":     false,
		"udp:127.0.0.1:7000,local=127.0.0.1:7000": true,
		"udp:[::1],local=[::]:20000":              true,
		"udp:192.0.2.1":                           false,
	} {
		a, err := parse(name)
		if err != nil {
			t.Fatal(err)
		}
		peer, err := a.resolve(t.Context())
		if got := a.isItself(peer); err != nil || got != itself {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := Open(t.Context(), "udp:127.0.0.1"); err == nil || !strings.Contains(err.Error(), "this end itself") {
		t.Error(err)
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	b := openEnd(t, "127.0.0.1", nil)
	_, err := Open(t.Context(), "udp:127.0.0.1,local="+b.local().String())
	if !errno.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "local=:PORT") {
		t.Error(err)
	}
}
