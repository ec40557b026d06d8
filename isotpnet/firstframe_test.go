package isotpnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// Of the message 01 ... 08, and of the message 11 ... 18.
const (
	ff1, cf1 = "7E8#1008010203040506", "7E8#210708"
	ff2, cf2 = "7E8#1008111213141516", "7E8#211718"
	message1 = "\x01\x02\x03\x04\x05\x06\x07\x08"
	message2 = "\x11\x12\x13\x14\x15\x16\x17\x18"
)

// firstFrame is a Conn with DeadlineAtFirstFrame, and its ECU, at the time 0.
type firstFrame struct {
	*isotpnet.Conn
	t     *testing.T
	ecu   *node
	start time.Time
}

// testFirstFrame plays in a bubble.
func testFirstFrame(t *testing.T, play func(c firstFrame)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		c := dialOn(t, newTap(t, n), testerAddr, isotpnet.Config{DeadlineAtFirstFrame: true})
		play(firstFrame{c, t, newNode(t, n), time.Now()})
	})
}

// at has the ECU send frames at that time.
func (c firstFrame) at(d time.Duration, frames ...string) {
	time.AfterFunc(d-time.Since(c.start), func() { c.ecu.send(frames...) })
}

func (c firstFrame) deadline(d time.Duration) { c.SetReadDeadline(c.start.Add(d)) }

func (c firstFrame) sleepUntil(d time.Duration) {
	time.Sleep(d - time.Since(c.start))
	synctest.Wait()
}

// wantTimeout reads, which must time out at d.
func (c firstFrame) wantTimeout(d time.Duration) {
	c.t.Helper()
	n, err := c.Read(make([]byte, 100))
	if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("Read: %d, %v", n, err)
	}
	wantSince(c.t, c.start, d)
}

func (c firstFrame) wantRead(want string, d time.Duration) {
	c.t.Helper()
	wantRead(c.t, c.Conn, want)
	wantSince(c.t, c.start, d)
}

// What waits for a message to begin or to come, called by its name.
var readCalls = map[string]func(c *isotpnet.Conn) error{
	"Read":         func(c *isotpnet.Conn) error { _, err := c.Read(make([]byte, 8)); return err },
	"ReadMessage":  func(c *isotpnet.Conn) error { _, _, err := c.ReadMessage(make([]byte, 8)); return err },
	"AwaitMessage": func(c *isotpnet.Conn) error { _, err := c.AwaitMessage(); return err },
	"NextReader":   func(c *isotpnet.Conn) error { _, _, err := c.NextReader(); return err },
	"WriteTo":      func(c *isotpnet.Conn) error { _, err := c.WriteTo(io.Discard); return err },
}

// An ECU that repeats its First Frame: the message begun in time ends with the second.
func TestFirstFramesRepeatedDoNotExtendForEver(t *testing.T) {
	testFirstFrame(t, func(c firstFrame) {
		for d := 50 * ms; d < 20*time.Second; d += 500 * ms {
			c.at(d, ff1)
		}
		c.deadline(100 * ms)
		c.wantTimeout(550 * ms)
	})
}

func TestAFirstFrameBeforeTheDeadlineIsSetExtendsIt(t *testing.T) {
	testFirstFrame(t, func(c firstFrame) {
		c.at(0, ff1)
		c.at(300*ms, cf1)
		c.sleepUntil(10 * ms)
		c.deadline(100 * ms)
		c.wantRead(message1, 300*ms)
	})
}

func TestReadsBehindADeadlineBeforeTheFirstFrameTimeOutAtOnce(t *testing.T) {
	for name, read := range readCalls {
		t.Run(name, func(t *testing.T) {
			testFirstFrame(t, func(c firstFrame) {
				c.at(200*ms, ff1)
				c.deadline(100 * ms)
				c.sleepUntil(210 * ms)
				if err := read(c.Conn); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				wantSince(t, c.start, 210*ms)
			})
		})
	}
}

// As package net has it: with a deadline that is past nothing is read, whatever is there.
func TestReadsBehindAPastDeadlineTimeOutWithAMessageThere(t *testing.T) {
	for _, config := range []isotpnet.Config{{}, {DeadlineAtFirstFrame: true}} {
		for _, frames := range [][]string{{"7E8#0150"}, {ff1, cf1}, {ff1}} {
			for name, read := range readCalls {
				t.Run(fmt.Sprint(name, config.DeadlineAtFirstFrame, len(frames)), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						n := newNetwork(t, virtual.Options{})
						c := dialOn(t, newTap(t, n), testerAddr, config)
						newNode(t, n).send(frames...)
						synctest.Wait()
						start := time.Now()
						c.SetReadDeadline(start.Add(-time.Second))
						for range 2 {
							if err := read(c); !errors.Is(err, os.ErrDeadlineExceeded) {
								t.Error(err)
							}
						}
						wantSince(t, start, 0)
					})
				})
			}
		}
	}
}

func TestAMessageCompleteBeforeTheDeadlineDoesNotExtendIt(t *testing.T) {
	testFirstFrame(t, func(c firstFrame) {
		c.at(50*ms, ff1, cf1)
		c.deadline(100 * ms)
		c.sleepUntil(200 * ms)
		c.wantTimeout(200 * ms)
		c.SetReadDeadline(time.Time{})
		c.wantRead(message1, 200*ms) // it was not lost
	})
}

// AwaitMessage has told of it in time; then it is read at leisure.
func TestAMessageThatOutlastedTheDeadlineIsRead(t *testing.T) {
	testFirstFrame(t, func(c firstFrame) {
		c.at(50*ms, ff1)
		c.at(300*ms, cf1)
		c.at(310*ms, "7E8#0150")
		c.deadline(100 * ms)
		if _, err := c.AwaitMessage(); err != nil {
			t.Error(err)
		}
		c.sleepUntil(400 * ms)
		c.wantRead(message1, 400*ms)
	})
}

func TestTheRestOfAMessageThatOutlastedTheDeadlineIsRead(t *testing.T) {
	testFirstFrame(t, func(c firstFrame) {
		c.at(50*ms, ff1)
		c.at(300*ms, cf1)
		c.at(310*ms, "7E8#0150")
		c.deadline(100 * ms)
		p := make([]byte, 3)
		var got string
		for range 3 {
			n, err := c.Read(p)
			if err != nil {
				t.Fatal(err)
			}
			got += string(p[:n])
			time.Sleep(50 * ms)
		}
		if got != message1 {
			t.Errorf("read % X", got)
		}
		c.wantTimeout(450 * ms) // the next one came too late
	})
}

func TestNextReaderReadsAMessageBegunInTimeToItsEnd(t *testing.T) {
	testFirstFrame(t, func(c firstFrame) {
		c.at(50*ms, ff1)
		c.at(300*ms, cf1)
		c.at(310*ms, ff2, cf2)
		c.deadline(100 * ms)
		r, _, err := c.NextReader()
		if err != nil {
			t.Fatal(err)
		}
		c.sleepUntil(500 * ms)
		if p, err := io.ReadAll(r); string(p) != message1 || err != nil {
			t.Errorf("read % X, %v", p, err)
		}
		if _, _, err = c.NextReader(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestTheReaderOfAMessageGivenUpEnds(t *testing.T) {
	testFirstFrame(t, func(c firstFrame) {
		c.at(50*ms, ff1)
		c.at(300*ms, "7E8#220708")
		c.deadline(100 * ms)
		r, _, err := c.NextReader()
		if err != nil {
			t.Fatal(err)
		}
		p, err := io.ReadAll(r)
		if e, ok := errors.AsType[*isotpnet.ProtocolError](err); !ok || e.Code != isotpnet.CodeWrongSN || len(p) != 6 {
			t.Errorf("read % X, %v", p, err)
		}
		wantSince(t, c.start, 300*ms)
		c.wantTimeout(300 * ms)
	})
}

func TestALateMessageThatInterruptsOneBegunInTimeIsLeftForLater(t *testing.T) {
	testFirstFrame(t, func(c firstFrame) {
		c.at(50*ms, ff1)
		c.at(200*ms, "7E8#0150")
		c.deadline(100 * ms)
		c.wantTimeout(200 * ms)
		c.SetReadDeadline(time.Time{})
		c.wantRead("\x50", 200*ms)
	})
}

func TestDrainEndsAReadBeyondItsDeadline(t *testing.T) {
	testFirstFrame(t, func(c firstFrame) {
		c.at(50*ms, ff1)
		c.deadline(100 * ms)
		time.AfterFunc(200*ms, func() { c.Drain() })
		c.wantTimeout(200 * ms)
	})
}

func TestADeadlineSetInThePastEndsAReadInMidMessage(t *testing.T) {
	testFirstFrame(t, func(c firstFrame) {
		c.at(50*ms, ff1)
		c.at(300*ms, cf1)
		c.deadline(100 * ms)
		ctx, cancel := context.WithTimeout(context.Background(), 200*ms)
		defer cancel()
		context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Now().Add(-1)) })
		c.wantTimeout(200 * ms)
		c.wantTimeout(200 * ms) // it stays in force
		c.sleepUntil(400 * ms)
		c.wantTimeout(400 * ms)
		c.SetDeadline(time.Time{})
		c.wantRead(message1, 400*ms)
	})
}

func TestADeadlineSetInThePastEndsAReadBeforeItsDeadline(t *testing.T) {
	testFirstFrame(t, func(c firstFrame) {
		c.at(50*ms, ff1)
		c.deadline(time.Hour)
		time.AfterFunc(60*ms, func() { c.SetDeadline(time.Unix(1, 0)) })
		c.wantTimeout(60 * ms)
	})
}

// A new deadline takes the place of the old one, for a Read beyond that, too.
func TestADeadlineSetAnewHoldsForAReadBeyondTheOldOne(t *testing.T) {
	testFirstFrame(t, func(c firstFrame) {
		c.at(50*ms, ff1)
		c.at(300*ms, "7E8#220708") // given up
		c.at(400*ms, ff2)
		c.at(600*ms, cf2)
		c.deadline(100 * ms)
		time.AfterFunc(200*ms, func() { c.deadline(500 * ms) })
		c.wantRead(message2, 600*ms)
	})
}

func TestADeadlineSetInMidMessageIsExtendedToo(t *testing.T) {
	testFirstFrame(t, func(c firstFrame) {
		c.at(50*ms, ff1)
		c.at(600*ms, cf1)
		c.deadline(100 * ms)
		time.AfterFunc(200*ms, func() { c.deadline(300 * ms) })
		c.wantRead(message1, 600*ms)
		c.wantTimeout(600 * ms)
	})
}

func TestAnAcceptedConnHasDeadlinesAtFirstFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		ln := listenOn(t, newTap(t, n), "/7E0:7E8", isotpnet.Config{DeadlineAtFirstFrame: true})
		ecu, start := newNode(t, n), time.Now()
		ecu.send(ff1)
		accepted, err := ln.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		c := firstFrame{accepted, t, ecu, start}
		c.at(200*ms, ff2)
		c.deadline(100 * ms)
		c.wantTimeout(200 * ms)
		c.Close()
	})
}

// sendEvery has an ECU send a frame again and again, until what it returns is called.
func sendEvery(d time.Duration, ecu *node, frame string) (stop func()) {
	ticker, done := time.NewTicker(d), make(chan bool)
	go func() {
		for {
			select {
			case <-ticker.C:
				ecu.send(frame)
			case <-done:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		done <- true
	}
}

// A bus where an ECU always has something to say: what gathers answers ends.
func TestGatheringEndsThoughAnECUKeepsSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/7E0:7E8,7E1:7E9", isotpnet.Config{DeadlineAtFirstFrame: true})
		ecus := newNode(t, n)
		defer sendEvery(10*ms, ecus, "7E9#0150")()
		start := time.Now()
		time.AfterFunc(95*ms, func() { ecus.send(ff1) })
		time.AfterFunc(305*ms, func() { ecus.send(cf1) })
		pc.SetReadDeadline(start.Add(104 * ms))
		count, whole := 0, 0
		p := make([]byte, 100)
		for {
			k, _, err := pc.ReadFrom(p)
			if err != nil {
				wantPacketErr(t, err, "read", os.ErrDeadlineExceeded)
				break
			}
			count++
			if string(p[:k]) == message1 {
				whole++
			}
		}
		if whole != 1 || count > 31 {
			t.Errorf("%d messages, of them %d begun in time and late", count, whole)
		}
		wantSince(t, start, 305*ms)
		pc.SetReadDeadline(start.Add(404 * ms))
		for {
			if _, _, err := pc.ReadFrom(p); err != nil {
				break
			}
		}
		wantSince(t, start, 404*ms)
	})
}

// A reader that needs longer for a message than the ECU does for the next one finds one at
// each call. It gets those that had come by the deadline.
func TestGatheringEndsThoughItsReaderIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketOn(t, newTap(t, n), "/7E0:7E8,7E1:7E9", isotpnet.Config{DeadlineAtFirstFrame: true})
		ecus, start := newNode(t, n), time.Now()
		defer sendEvery(10*ms, ecus, "7E9#0150")()
		pc.SetReadDeadline(start.Add(104 * ms))
		for time.Since(start) < time.Second {
			if _, _, err := pc.ReadFrom(make([]byte, 100)); err != nil {
				wantPacketErr(t, err, "read", os.ErrDeadlineExceeded)
				break
			}
			time.Sleep(15 * ms)
		}
		wantSince(t, start, 160*ms) // 10 of them, from 10 ms on
	})
}

// packetsBeyond has readers that read beyond their deadline, at 100 ms of the time that
// it returns, for the sake of a message begun at 50 ms.
func packetsBeyond(t *testing.T, n *virtual.Network, readers int) (*isotpnet.PacketConn, *node, time.Time, <-chan error) {
	pc := listenPacketOn(t, newTap(t, n), "/7E0:7E8,7E1:7E9", isotpnet.Config{DeadlineAtFirstFrame: true})
	ecus, start := newNode(t, n), time.Now()
	time.AfterFunc(50*ms, func() { ecus.send(ff1) })
	pc.SetReadDeadline(start.Add(100 * ms))
	done := make(chan error, readers)
	for range readers {
		go func() {
			_, _, err := pc.ReadFrom(make([]byte, 100))
			done <- err
		}()
	}
	time.Sleep(150 * ms)
	synctest.Wait()
	if len(done) > 0 {
		t.Errorf("a ReadFrom has ended: %v", <-done)
	}
	return pc, ecus, start, done
}

func TestPacketReadsBeyondTheirDeadlineEnd(t *testing.T) {
	for name, end := range map[string]func(pc *isotpnet.PacketConn, ecus *node){
		"Drain":               func(pc *isotpnet.PacketConn, _ *node) { pc.Drain() },
		"a past deadline":     func(pc *isotpnet.PacketConn, _ *node) { pc.SetReadDeadline(time.Now().Add(-1)) },
		"both deadlines past": func(pc *isotpnet.PacketConn, _ *node) { pc.SetDeadline(time.Now().Add(-1)) },
		"a deadline before the First Frame": func(pc *isotpnet.PacketConn, ecus *node) {
			pc.SetReadDeadline(time.Now().Add(-150 * ms))
		},
		"a wrong sequence number": func(_ *isotpnet.PacketConn, ecus *node) { ecus.send("7E8#220708") },
		"a late First Frame":      func(_ *isotpnet.PacketConn, ecus *node) { ecus.send(ff2) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pc, ecus, start, done := packetsBeyond(t, newNetwork(t, virtual.Options{}), 3)
				end(pc, ecus)
				for range 3 {
					wantPacketErr(t, <-done, "read", os.ErrDeadlineExceeded)
				}
				wantSince(t, start, 150*ms)
			})
		})
	}
}

func TestPacketReadsBeyondTheirDeadlineEndWhenOneHasReadIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ecus, start, done := packetsBeyond(t, newNetwork(t, virtual.Options{}), 3)
		ecus.send(cf1)
		read := 0
		for range 3 {
			if err := <-done; err == nil {
				read++
			} else {
				wantPacketErr(t, err, "read", os.ErrDeadlineExceeded)
			}
		}
		if read != 1 {
			t.Errorf("%d have read the message", read)
		}
		wantSince(t, start, 150*ms)
	})
}

func TestPacketReadsBeyondTheirDeadlineHeedANewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pc, ecus, start, done := packetsBeyond(t, newNetwork(t, virtual.Options{}), 3)
		pc.SetReadDeadline(start.Add(200 * ms))
		ecus.send("7E8#220708") // given up
		for range 3 {
			wantPacketErr(t, <-done, "read", os.ErrDeadlineExceeded)
		}
		wantSince(t, start, 200*ms)
	})
}

func TestPacketReadsBeyondTheirDeadlineEndAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pc, _, _, done := packetsBeyond(t, newNetwork(t, virtual.Options{}), 3)
		pc.Close()
		for range 3 {
			wantPacketErr(t, <-done, "read", net.ErrClosed)
		}
	})
}

// A peer from which only a First Frame has come loses its place to another peer.
func TestPacketReadsBeyondTheirDeadlineEndWhenThePeerIsEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{})
		pc := listenPacketWith(t, isotpnet.ListenConfig{
			Bus: newTap(t, n), MaxPeers: 1, Config: isotpnet.Config{DeadlineAtFirstFrame: true},
		}, "/7E0:7E8,7E1:7E9")
		ecus, start := newNode(t, n), time.Now()
		ecus.send(ff1)
		synctest.Wait()
		pc.SetReadDeadline(start.Add(100 * ms))
		time.AfterFunc(200*ms, func() { ecus.send("7E9#1008010203040506") })
		_, _, err := pc.ReadFrom(make([]byte, 100))
		wantPacketErr(t, err, "read", os.ErrDeadlineExceeded)
		wantSince(t, start, 200*ms)
	})
}
