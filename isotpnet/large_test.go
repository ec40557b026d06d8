package isotpnet_test

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/scale"
)

// wantFull reads one whole message, however long.
func wantFull(t testing.TB, c *isotpnet.Conn, want string) {
	t.Helper()
	buf := make([]byte, len(want)+1)
	if n, info, err := c.ReadMessage(buf); err != nil || string(buf[:n]) != want || info.Rest != 0 {
		t.Errorf("read %d bytes of %d, %v", n, len(want), err)
	}
}

func wantTooLong(t testing.TB, c *isotpnet.Conn, size int) {
	t.Helper()
	_, err := c.Write(make([]byte, size))
	wantCode(t, err, "write", c, isotpnet.CodeBufferOverflow)
}

// reading has a call of Read wait, so that it is decided how c is read.
func reading(t testing.TB, c *isotpnet.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(ms))
	c.Read(make([]byte, 1))
	c.SetReadDeadline(time.Time{})
}

func TestOnePeerMaySendMessagesOf16MiB(t *testing.T) {
	const most = 16 << 20
	for name, open := range map[string]func(t *testing.T) (from, to *isotpnet.Conn){
		"Pipe": func(t *testing.T) (from, to *isotpnet.Conn) { return newPipe(t, nil) },
		"Dial": func(t *testing.T) (from, to *isotpnet.Conn) {
			return newPair(t, newNetwork(t, virtual.Options{}), isotpnet.Config{}, isotpnet.Config{})
		},
		"Listen on a pair": func(t *testing.T) (from, to *isotpnet.Conn) {
			n := newNetwork(t, virtual.Options{})
			ln := listenOn(t, newTap(t, n), ecuAddr, isotpnet.Config{})
			from = dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{})
			wantWrite(t, from, "x")
			to, err := ln.AcceptConn()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { to.Close() })
			wantRead(t, to, "x")
			return from, to
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from, to := open(t)
				reading(t, to)
				want := payload(1<<20) + string(make([]byte, scale.Down(most, 2<<20)-1<<20))
				beginWrite(t, from, want)
				wantFull(t, to, want)
				wantTooLong(t, from, most+1)
			})
		})
	}
}

func TestManyPeersMaySendMessagesOf65535Bytes(t *testing.T) {
	const most = 65535
	t.Run("ListenOnly", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, virtual.Options{})
			from, to := newPair(t, n, isotpnet.Config{}, isotpnet.Config{})
			listener := dialOn(t, newTap(t, n), ecuAddr, isotpnet.Config{ListenOnly: true})
			reading(t, listener)
			for _, size := range []int{most, most + 1} {
				beginWrite(t, from, payload(size))
				wantFull(t, to, payload(size))
			}
			wantFull(t, listener, payload(most))
			if got := listener.Stats().Errors[isotpnet.CodeReceptionTooLong]; got != 1 {
				t.Errorf("%d were too long", got)
			}
		})
	})
	for _, address := range []string{"/fixed::10", "/fixed:F1:10,fixed:F2:10"} {
		t.Run("Listen on "+address, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				ln := listenOn(t, newTap(t, n), address, isotpnet.Config{})
				from := dialOn(t, newTap(t, n), "/fixed:10:F1", isotpnet.Config{})
				beginWrite(t, from, payload(most))
				to, err := ln.AcceptConn()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { to.Close() })
				wantFull(t, to, payload(most))
				wantTooLong(t, from, most+1)
			})
		})
	}
	for _, address := range []string{"/fixed::10", "/7E8:7E0", "/obd"} {
		t.Run("ListenPacket on "+address, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				pc := listenPacketOn(t, newTap(t, n), address, isotpnet.Config{})
				peer := map[string]string{"/fixed::10": "/fixed:10:F1", "/7E8:7E0": testerAddr, "/obd": "/7E8:7E0"}[address]
				from := dialOn(t, newTap(t, n), peer, isotpnet.Config{})
				beginWrite(t, from, payload(most))
				p, _, _, err := pc.ReadMessageFrom(nil)
				if err != nil || string(p) != payload(most) {
					t.Errorf("read %d bytes, %v", len(p), err)
				}
				wantTooLong(t, from, most+1)
			})
		})
	}
}

// 64 MiB have room for two messages of 30 MiB. The third is held up and goes on when one
// was read, and shorter ones are never held up.
func TestLongMessagesOfManyPeersAreBoundedTogether(t *testing.T) {
	const size = 30 << 20
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/fixed::10", isotpnet.Config{MaxMessageSize: size})
		peers := newNode(t, n)
		for i := range 4 {
			peers.send(fmt.Sprintf("18DA10%02X#1000%08X0102", 0xF0+i, size))
			if i < 2 {
				peers.hear(fmt.Sprintf("18DA%02X10#30FF00CCCCCCCCCC", 0xF0+i))
			}
		}
		peers.send("18DA10E1#10000000FFFF0102")
		peers.hear("18DAE110#300000CCCCCCCCCC")
		// Interrupted, it makes room for the first of those that wait.
		peers.send("18DA10F1#0150")
		wantReadFrom(t, pc, "\x50", "/fixed:F1:10")
		peers.hear("18DAF210#30FF00CCCCCCCCCC")
		peers.hear("18DAF310#31FF00CCCCCCCCCC")
	})
}

// A message admitted gives way when its sender stalls: here for an hour, if it may.
func TestALongMessageThatComesSlowlyGivesWay(t *testing.T) {
	const size = 60 << 20
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		var code isotpnet.Code
		pc := listenPacketOn(t, newTap(t, n), "/fixed::10", isotpnet.Config{
			MaxMessageSize: size, ConsecutiveFrameTimeout: time.Hour,
			Trace: &isotpnet.Trace{ReceptionAborted: func(e isotpnet.TraceEvent) { code = e.Code }},
		})
		peers := newNode(t, n)
		peers.send(fmt.Sprintf("18DA10F1#1000%08X0102", size))
		peers.hear("18DAF110#30FF00CCCCCCCCCC")
		start := time.Now()
		peers.send(fmt.Sprintf("18DA10F2#1000%08X0102", size))
		peers.hear("18DAF210#31FF00CCCCCCCCCC", "18DAF210#30FF00CCCCCCCCCC")
		wantSince(t, start, 1600*ms)
		synctest.Wait()
		if code != isotpnet.CodeReceiverFull || pc.Stats().ReceptionsAborted != 1 {
			t.Errorf("%d given up, %v", pc.Stats().ReceptionsAborted, code)
		}
	})
}

// The hold until it is known how a connection is read does not grow with MaxMessageSize.
func TestAMessageAbove65535BytesWaitsForTheFirstRead(t *testing.T) {
	for name, read := range map[string]func(*isotpnet.Conn) (isotpnet.MessageInfo, error){
		"Read": func(c *isotpnet.Conn) (isotpnet.MessageInfo, error) {
			_, info, err := c.ReadMessage(make([]byte, 65536))
			return info, err
		},
		"NextReader": func(c *isotpnet.Conn) (isotpnet.MessageInfo, error) {
			r, info, err := c.NextReader()
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			return info, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, virtual.Options{})
				c, ecu := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{}), newNode(t, n)
				ecu.send("7E8#1000000100000102")
				ecu.hear("7E0#31FF00CCCCCCCCCC")
				beside(t, func() {
					if info, err := read(c); err != nil || info.Size != 65536 {
						t.Errorf("%+v, %v", info, err)
					}
				})
				ecu.hear("7E0#30FF00CCCCCCCCCC")
				for sent, sn := 2, 1; sent < 65536; sent, sn = sent+7, sn+1 {
					ecu.send(fmt.Sprintf("7E8#%02X01020304050607", 0x20|sn&0xF))
					if sn%255 == 0 {
						ecu.hear("7E0#30FF00CCCCCCCCCC")
					}
				}
			})
		})
	}
}

func TestSingleFramesBehindALongMessageAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tester, ecu := newPair(t, newNetwork(t, virtual.Options{}), isotpnet.Config{}, isotpnet.Config{})
		reading(t, tester)
		wantWrite(t, ecu, payload(1<<20))
		for i := range 3 {
			wantWrite(t, ecu, string(rune('a'+i)))
		}
		wantFull(t, tester, payload(1<<20))
		for i := range 3 {
			wantRead(t, tester, string(rune('a'+i)))
		}
	})
}
