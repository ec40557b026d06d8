package isotpnet_test

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/scale"
)

// exchangeTime is how long a bus is attacked.
func exchangeTime() time.Duration { return scale.Down(20*time.Second, 4*time.Second) }

// inExchanges is how much there is in that time of what there is n times in 20 s.
func inExchanges(n uint64) uint64 { return n * uint64(exchangeTime()) / uint64(20*time.Second) }

// An attack is what other nodes of the bus do until stop is closed. It returns when
// they have ended.
type attack func(t *testing.T, n *virtual.Network, tester *isotpnet.PacketConn, stop <-chan struct{})

// exchanges has a tester ask an honest ECU again and again for exchangeTime, on a bus of
// 500 kbit/s on which others do what they like. It returns the longest time that an
// exchange took, and what was counted.
func exchanges(t *testing.T, lc isotpnet.ListenConfig, others attack) (longest time.Duration, stats isotpnet.PacketStats) {
	t.Helper()
	const honest = "/fixed:10:F1"
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, virtual.Options{Bitrate: 500000})
		lc.Bus = newTap(t, n)
		tester := listenPacketWith(t, lc, "/fixed::F1")
		ecu := dialOn(t, newTap(t, n), "/fixed:F1:10", isotpnet.Config{})
		var ends sync.WaitGroup
		ends.Go(func() {
			buf := make([]byte, 8)
			for {
				if _, err := ecu.Read(buf); err != nil {
					return
				}
				ecu.Write([]byte(payload(200)))
			}
		})
		answers := make(chan string, 1)
		ends.Go(func() {
			var buf []byte
			for {
				message, _, from, err := tester.ReadMessageFrom(buf)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil && from.String() == honest {
					answers <- string(message)
				}
			}
		})
		stop := make(chan struct{})
		if others != nil {
			ends.Go(func() { others(t, n, tester, stop) })
		}
		time.Sleep(time.Second) // for the attack to be under way

		heap := heapInUse()
		for begin := time.Now(); time.Since(begin) < exchangeTime(); time.Sleep(50 * time.Millisecond) {
			start := time.Now()
			wantWriteTo(t, tester, "\x22\xF1\x90", honest)
			if got := <-answers; got != payload(200) {
				t.Fatalf("the honest ECU's answer came as % X", got)
			}
			longest = max(longest, time.Since(start))
		}
		if grown := heapInUse() - heap; grown > 2<<20 {
			t.Errorf("%d bytes more in the heap than after one second", grown)
		}
		close(stop)
		tester.Close()
		ecu.Close()
		ends.Wait()
		stats = tester.Stats()
	})
	return longest, stats
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestHostilePeersDoNotHoldUpHonestOnes(t *testing.T) {
	alone, _ := exchanges(t, isotpnet.ListenConfig{}, nil)
	for _, tc := range []struct {
		name   string
		lc     isotpnet.ListenConfig
		attack attack
		check  func(isotpnet.PacketStats) error
	}{
		{"First Frames from 254 sources", isotpnet.ListenConfig{}, forgeFirstFrames, func(s isotpnet.PacketStats) error {
			if got := s.Errors[isotpnet.CodeTimeoutCr] + s.Errors[isotpnet.CodeInterruptedByFirstFrame]; got < inExchanges(8000) || s.PeersRefused > 0 {
				return fmt.Errorf("%d messages given up, %d peers refused", got, s.PeersRefused)
			}
			return nil
		}},
		{"First Frames from 254 sources, and 16 places", isotpnet.ListenConfig{MaxPeers: 16}, forgeFirstFrames, func(s isotpnet.PacketStats) error {
			if got := s.Errors[isotpnet.CodeAborted]; got < inExchanges(8000) || s.PeersEvicted != got || s.PeersReaped < got {
				return fmt.Errorf("%d messages given up for others, %d peers evicted, %d reaped", got, s.PeersEvicted, s.PeersReaped)
			}
			return nil
		}},
		{"Single Frames from 254 sources", isotpnet.ListenConfig{}, forgeSingleFrames, func(s isotpnet.PacketStats) error {
			if s.MessagesReceived < inExchanges(8000) {
				return fmt.Errorf("%d messages", s.MessagesReceived)
			}
			return nil
		}},
		{"a peer that never answers", isotpnet.ListenConfig{}, neverAnswer, func(s isotpnet.PacketStats) error {
			if got := s.Errors[isotpnet.CodeTimeoutBs]; got != s.SendsAborted-s.Errors[isotpnet.CodeAborted] || got < 8*(inExchanges(20)-1) {
				return fmt.Errorf("%d of %d aborted for lack of flow control", got, s.SendsAborted)
			}
			return nil
		}},
		{"a peer that answers everything", isotpnet.ListenConfig{}, answerEverything, func(s isotpnet.PacketStats) error {
			for _, code := range []isotpnet.Code{isotpnet.CodeUnexpectedFlowControl, isotpnet.CodeUnexpectedConsecutiveFrame,
				isotpnet.CodeInvalidFrame, isotpnet.CodeInterruptedBySingleFrame, isotpnet.CodeInvalidFirstFrameLength} {
				if s.Errors[code] < inExchanges(400) {
					return fmt.Errorf("%d times %v", s.Errors[code], code)
				}
			}
			return nil
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			longest, s := exchanges(t, tc.lc, tc.attack)
			t.Logf("the longest exchange took %v, alone %v; %+v", longest, alone, s)
			if longest > 2*alone {
				t.Errorf("an exchange took %v, alone it takes %v", longest, alone)
			}
			if limit := uint64(256); s.PeersMade-s.PeersReaped > limit || tc.lc.MaxPeers > 0 && s.PeersMade-s.PeersReaped > uint64(tc.lc.MaxPeers) {
				t.Errorf("%d peers made, %d reaped", s.PeersMade, s.PeersReaped)
			}
			if err := tc.check(s); err != nil {
				t.Errorf("the counts are %+v: %v", s, err)
			}
		})
	}
}

// An ECU that accepts a connection from every tester answers the honest tester as fast as
// ever while messages begin from 254 forged sources.
func TestHostilePeersDoNotHoldUpAListener(t *testing.T) {
	exchanges := func(attacked bool) (longest time.Duration, stats isotpnet.ListenerStats) {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, virtual.Options{Bitrate: 500000})
			ln := listenOn(t, newTap(t, n), "/fixed::F1", isotpnet.Config{})
			tester := dialOn(t, newTap(t, n), "/fixed:F1:10", isotpnet.Config{})
			var ends sync.WaitGroup
			ends.Go(func() {
				for {
					c, err := ln.AcceptConn()
					if err != nil {
						return
					}
					ends.Go(func() {
						defer c.Close()
						buf := make([]byte, 8)
						for {
							c.SetDeadline(time.Now().Add(2 * time.Second))
							if _, err := c.Read(buf); err != nil {
								return
							}
							if _, err := c.Write([]byte(payload(200))); err != nil {
								return
							}
						}
					})
				}
			})
			stop := make(chan struct{})
			if attacked {
				ends.Go(func() { forgeFirstFrames(t, n, nil, stop) })
			}
			for begin := time.Now(); time.Since(begin) < exchangeTime(); time.Sleep(50 * time.Millisecond) {
				start := time.Now()
				wantWrite(t, tester, "\x22\xF1\x90")
				wantRead(t, tester, payload(200))
				longest = max(longest, time.Since(start))
			}
			close(stop)
			ln.Close()
			stats = ln.Stats()
			ends.Wait()
		})
		return longest, stats
	}
	alone, _ := exchanges(false)
	longest, s := exchanges(true)
	t.Logf("the longest exchange took %v, alone %v; %+v", longest, alone, s)
	if longest > 2*alone {
		t.Errorf("an exchange took %v, alone it takes %v", longest, alone)
	}
	if s.Made < 255 || s.Refused > 0 {
		t.Errorf("%+v", s)
	}
}

// forge sends frames of a forged source address each, for a third of the bus's time.
func forge(n *virtual.Network, stop <-chan struct{}, data string) {
	tap, err := n.Tap()
	if err != nil {
		panic(err)
	}
	var reader sync.WaitGroup
	defer reader.Wait()
	defer tap.Close()
	reader.Go(func() { // or the bus would wait for it
		frames := make([]canbus.Frame, 64)
		for {
			if _, err := tap.ReadFrames(frames); err != nil {
				return
			}
		}
	})
	tick := time.NewTicker(1700 * time.Microsecond)
	defer tick.Stop()
	for sa := 0; ; sa = (sa + 1) % 256 {
		if sa == 0x10 || sa == 0xF1 {
			continue
		}
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		writeFrames(tap, mustParseFrames("18DAF1"+hex2(sa)+"#"+data)...)
	}
}

func forgeFirstFrames(_ *testing.T, n *virtual.Network, _ *isotpnet.PacketConn, stop <-chan struct{}) {
	forge(n, stop, "1FFF010203040506")
}

func forgeSingleFrames(_ *testing.T, n *virtual.Network, _ *isotpnet.PacketConn, stop <-chan struct{}) {
	forge(n, stop, "0701020304050607")
}

// neverAnswer has eight callers write to peers that are not there.
func neverAnswer(t *testing.T, _ *virtual.Network, tester *isotpnet.PacketConn, stop <-chan struct{}) {
	var callers sync.WaitGroup
	for i := range 8 {
		to := isotpnet.MustParseAddr(fmt.Sprintf("/fixed:%02X:F1", 0x40+i))
		callers.Go(func() {
			for {
				_, err := tester.WriteTo(make([]byte, 100), to)
				select {
				case <-stop:
					return
				default:
				}
				if err == nil {
					t.Error("a peer that is not there has answered")
				}
			}
		})
	}
	callers.Wait()
}

// answerEverything answers each frame of the tester's with frames of every kind.
func answerEverything(_ *testing.T, n *virtual.Network, _ *isotpnet.PacketConn, stop <-chan struct{}) {
	tap, err := n.Tap()
	if err != nil {
		panic(err)
	}
	answers := mustParseFrames("18DAF130#300000", "18DAF130#0101", "18DAF130#2101020304050607", "18DAF130#40",
		"18DAF130#1005", "18DAF130#1FFF010203040506", "18DAF130#310000", "18DAF130#3F0000")
	done := make(chan struct{})
	go func() {
		<-stop
		tap.Close()
		close(done)
	}()
	defer func() { <-done }()
	frames := make([]canbus.Frame, 64)
	for {
		k, err := tap.ReadFrames(frames)
		if err != nil {
			return
		}
		for _, f := range frames[:k] {
			if f.ID&0xFF != 0xF1 || f.Has(canbus.Echo) {
				continue
			}
			if _, err := tap.WriteFrames(answers); err != nil {
				return
			}
		}
	}
}
