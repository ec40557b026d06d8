package isotpnet_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

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
