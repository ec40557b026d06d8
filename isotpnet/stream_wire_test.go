package isotpnet_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// streamMessage is a DATA of the opener, as the documentation of the protocol has it.
func streamMessage(session, seq uint16, data string) []byte {
	p := []byte{0x2F, byte(session >> 8), byte(session), byte(seq >> 8), byte(seq)}
	p = binary.BigEndian.AppendUint16(p, uint16(7+len(data)+4))
	p = append(p, data...)
	return binary.BigEndian.AppendUint32(p, crc32.ChecksumIEEE(p))
}

// sendMixed sends a message in a First Frame and Consecutive Frames; from its byte at
// on the frames are those of another one, which is as long.
func (p *node) sendMixed(first, rest []byte, at int) {
	p.t.Helper()
	p.send(fmt.Sprintf("7E0#1%03X%X", len(first), first[:6]))
	p.hear("7E8#300000CCCCCCCCCC")
	for i, sn := 6, 1; i < len(first); i, sn = i+7, sn+1 {
		from := first
		if i >= at {
			from = rest
		}
		p.send(fmt.Sprintf("7E0#2%X%X", sn%16, from[i:min(i+7, len(from))]))
	}
}

// What one message has begun and another completed is never data, even of one session
// with one SEQ and one LENGTH, and is a loss to both ends.
func TestMessageMadeOfTwoIsNoData(t *testing.T) {
	p := streamMessage(1, 0x1000, strings.Repeat("P", 4084))
	for _, tt := range []struct {
		name string
		rest []byte
	}{
		{"of two sessions", streamMessage(2, 0x1000, strings.Repeat("Q", 4084))},
		{"of one session", streamMessage(1, 0x1000, strings.Repeat("Q", 4084))},
	} {
		for _, at := range []int{13, 111, 4090} {
			t.Run(fmt.Sprint(tt.name, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newNetwork(t, virtual.Options{})
					ln := tapEnd(newTap(t, n), ecuAddr, isotpnet.Config{}).listen(t)
					tester := newNode(t, n)
					tester.send("7E0#07070001100002FF")
					if got := tester.next(); !strings.HasPrefix(got, "7E8#07970001") || !strings.HasSuffix(got, "02FF") {
						t.Fatalf("heard %s, want an ACCEPT", got)
					}
					tester.sendMixed(p, tt.rest, at)
					tester.send("7E0#0767000110010000") // PING
					tester.hear("7E8#06D60001100003CC") // RESET: lost
					c := acceptStream(t, ln)
					got, err := io.ReadAll(c)
					if len(got) > 0 {
						t.Errorf("%d bytes were read: %.20q...", len(got), got)
					}
					wantStreamErr(t, err, "read", syscall.ECONNRESET)
				})
			})
		}
	}
}

func TestDialToAPeerOfAnotherVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu := newNode(t, n)
		go func() {
			open := ecu.next() // 7E0#0707, SESSION, SEQ, 02FF
			ecu.send("7E8#07D7" + open[8:16] + "0601")
		}()
		_, err := tapEnd(newTap(t, n), testerAddr, isotpnet.Config{}).tryDial(t.Context())
		wantStreamErr(t, err, "dial", syscall.ECONNREFUSED)
		if want := "it speaks version 1 of the protocol, and this side version 2"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say that %s", err, want)
		}
	})
}

func TestDialOfAnOlderVersionIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tapEnd(newTap(t, n), ecuAddr, isotpnet.Config{}).listen(t)
		tester := newNode(t, n)
		tester.send("7E0#07070001100001FF")
		tester.hear("7E8#07D7000110000602") // RESET, BadVersion, 2
	})
}

// dialNode opens a stream to a node that answers as an acceptor whose first SEQ is
// 0x3000. It returns the text of SESSION and SEQ, too.
func dialNode(t *testing.T, tester streamEnd, ecu *node) (c *isotpnet.StreamConn, session, seq string) {
	t.Helper()
	go func() {
		open := ecu.next() // 7E0#0707, SESSION, SEQ, 02FF
		session, seq = open[8:12], open[12:16]
		ecu.send("7E8#0797" + session + "300002FF")
	}()
	c = tester.dial(t)
	synctest.Wait()
	return c, session, seq
}

// next16 is the number after one of four digits.
func next16(seq string) string {
	n, _ := strconv.ParseUint(seq, 16, 16)
	return fmt.Sprintf("%04X", uint16(n)+1)
}

// inNodeBubble runs a test with a stream to a node. Whatever the test leaves unanswered
// ends by itself.
func inNodeBubble(t *testing.T, test func(t *testing.T, c *isotpnet.StreamConn, tester streamEnd, ecu *node, session, seq string)) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ecu, tester := newNode(t, n), tapEnd(newTap(t, n), testerAddr, isotpnet.Config{})
		c, session, seq := dialNode(t, tester, ecu)
		test(t, c, tester, ecu, session, seq)
	})
}

// The peer's flow control comes after the deadline: the message goes on, as one that TCP
// has taken.
func TestMessageRunsOnAfterTheDeadline(t *testing.T) {
	inNodeBubble(t, func(t *testing.T, c *isotpnet.StreamConn, _ streamEnd, ecu *node, session, seq string) {
		start := time.Now()
		c.SetWriteDeadline(start.Add(50 * time.Millisecond))
		p := []byte("123456")
		if n, err := c.Write(p); n != len(p) || err != nil {
			t.Errorf("Write: %d, %v; want all of it on its way", n, err)
		}
		wantSince(t, start, 50*time.Millisecond)
		copy(p, "xxxxxx") // it is the caller's again
		if n, err := c.Write([]byte("12")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write after the deadline: %d, %v", n, err)
		}
		ecu.hear("7E0#10112F" + session + seq + "00")
		c.SetWriteDeadline(time.Time{})
		written := make(chan error, 1)
		go func() {
			_, err := c.Write([]byte("78"))
			written <- err
		}()
		synctest.Wait()
		ecu.send("7E8#300000")
		ecu.hear("7E0#2111313233343536")
		if got := ecu.next(); !strings.HasPrefix(got, "7E0#22") {
			t.Errorf("heard %s, want the CHECK", got)
		}
		ecu.hear("7E0#0727" + session + next16(seq) + "3738")
		if err := <-written; err != nil {
			t.Error(err)
		}
	})
}

// What has run on and is refused, or never answered, ends the stream on both sides.
func TestMessageThatRunsOnAndFails(t *testing.T) {
	inNodeBubble(t, func(t *testing.T, c *isotpnet.StreamConn, _ streamEnd, ecu *node, session, seq string) {
		c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := c.Write([]byte("123456")); n != 6 || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
		ecu.hear("7E0#10112F" + session + seq + "00")
		_, err := c.Read(make([]byte, 1))
		wantCodeOf(t, err, isotpnet.CodeTimeoutBs)
		ecu.hear("7E0#0656" + session + "300007CC") // RESET
		c.SetWriteDeadline(time.Time{})
		_, err = c.Write([]byte("78"))
		wantCodeOf(t, err, isotpnet.CodeTimeoutBs)
	})
}

func wantCodeOf(t *testing.T, err error, want isotpnet.Code) {
	t.Helper()
	if pe, ok := errors.AsType[*isotpnet.ProtocolError](err); !ok || pe.Code != want {
		t.Errorf("%v, want %v", err, want)
	}
}

// A message that has left cannot be put behind others; one that waits with its first
// frame, as the peer owes a flow control, does not hold up those that need none.
func TestHeldMessageHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tester, ecu := tapEnd(newTap(t, n), testerAddr, isotpnet.Config{}), newNode(t, n)
		plain := dialOn(t, tester.dialer.Bus, testerAddr, isotpnet.Config{})
		plain.SetWriteDeadline(time.Now().Add(time.Millisecond))
		plain.Write([]byte(payload(20)))
		plain.Close() // its flow control is owed
		ecu.next()

		c, session, seq := dialNode(t, tester, ecu)
		written := make(chan error, 1)
		go func() {
			_, err := c.Write([]byte("123456"))
			written <- err
		}()
		synctest.Wait() // the First Frame is held
		start := time.Now()
		ecu.send("7E8#07E7" + session + "30000000") // PING
		ecu.hear("7E0#0777" + session + seq + "00FF")
		other, _, _ := dialNode(t, tester, ecu)
		wantSince(t, start, 0)
		if before := other.Stats().SendsAborted; before != 0 {
			t.Errorf("%d messages count as aborted", before)
		}

		ecu.send("7E8#300000") // what is owed: it grants nothing
		ecu.hear("7E0#10112F" + session + seq + "00")
		ecu.send("7E8#300000")
		ecu.hear("7E0#2111313233343536")
		ecu.next()
		if err := <-written; err != nil {
			t.Error(err)
		}
	})
}

// Nothing of a message that is held has left: at the deadline it is taken back.
func TestDeadlineOfAHeldMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		tester, ecu := tapEnd(newTap(t, n), testerAddr, isotpnet.Config{}), newNode(t, n)
		plain := dialOn(t, tester.dialer.Bus, testerAddr, isotpnet.Config{})
		plain.SetWriteDeadline(time.Now().Add(time.Millisecond))
		plain.Write([]byte(payload(20)))
		plain.Close()
		ecu.next()

		c, session, seq := dialNode(t, tester, ecu)
		c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		sent, err := c.Write([]byte("123456"))
		owed, ok := errors.AsType[*isotpnet.OwedError](err)
		if sent != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !ok || owed.Until.Before(time.Now()) {
			t.Errorf("Write: %d, %v", sent, err)
		}
		if count := c.Stats().Errors[isotpnet.CodeFlowControlOwed]; count != 1 {
			t.Errorf("Stats count %d", count)
		}
		c.SetWriteDeadline(time.Time{})
		wantWrite(t, c, "78")
		ecu.hear("7E0#0727" + session + seq + "3738") // the number is used now
	})
}

// Go's commonest idiom works, and addresses tell that they are of streams.
func TestAddressesOfStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		end := tapEnd(newTap(t, n), ecuAddr, isotpnet.Config{})
		ln := end.listen(t)
		d := isotpnet.Dialer{Bus: newTap(t, n)}
		dialled, err := d.Dial(ln.Addr().Network(), ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer dialled.Close()
		accepted := acceptStream(t, ln)
		if ln.Addr().Network() != "isotp-stream" || ln.Addr().String() != testerAddr {
			t.Errorf("the listener's address is %s %s", ln.Addr().Network(), ln.Addr())
		}
		if accepted.LocalAddr() != ln.Addr() || dialled.RemoteAddr() != ln.Addr() || accepted.RemoteAddr() != dialled.LocalAddr() {
			t.Errorf("%v - %v and %v - %v", accepted.LocalAddr(), accepted.RemoteAddr(), dialled.LocalAddr(), dialled.RemoteAddr())
		}
		if got := dialled.LocalAddr().Network(); got != "isotp-stream" {
			t.Errorf("LocalAddr is of %s", got)
		}
		// An Addr that a stream has returned can be dialled, also for messages.
		again, err := d.DialStream(t.Context(), "isotp-stream", dialled.RemoteAddr().(isotpnet.Addr))
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
		plain, err := (&isotpnet.Dialer{Bus: newTap(t, n)}).DialAddr(t.Context(), "isotp:user", dialled.RemoteAddr().(isotpnet.Addr))
		if err != nil {
			t.Fatal(err)
		}
		if plain.RemoteAddr() != isotpnet.MustParseAddr(testerAddr) {
			t.Errorf("it was dialled as %s of %s", plain.RemoteAddr(), plain.RemoteAddr().Network())
		}
		plain.Close()
	})
}

func TestAddressesOfListenersOfStreamsForAnyPeer(t *testing.T) {
	tap := newTap(t, newNetwork(t, virtual.Options{}))
	for _, address := range []string{"/fixed::10", "/7E8:7E0,7E9:7E1"} {
		if a := listenStreamPeers(t, tap, address).Addr(); a.Network() != "isotp-stream" || a.String() != address {
			t.Errorf("%s %s, want isotp-stream %s", a.Network(), a, address)
		}
	}
}
