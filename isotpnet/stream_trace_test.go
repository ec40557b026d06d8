package isotpnet_test

import (
	"net"
	"slices"
	"sync"
	"testing"

	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
)

// A tracedPeers are the addresses that hooks were told of, and whether they got a Conn.
type tracedPeers struct {
	mu    sync.Mutex
	peers []string
	conns int
}

func (p *tracedPeers) trace() *isotpnet.Trace {
	hook := func(ev isotpnet.TraceEvent) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if ev.Conn != nil || ev.PacketConn != nil {
			p.conns++
		}
		if text := ev.Peer.String(); !slices.Contains(p.peers, text) {
			p.peers = append(p.peers, text)
		}
	}
	return &isotpnet.Trace{MessageSent: hook, MessageReceived: hook} // all that the kernel can tell
}

func (p *tracedPeers) want(t *testing.T, peer string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns > 0 {
		t.Errorf("%d hooks of a stream were given the connection below it", p.conns)
	}
	if !slices.Equal(p.peers, []string{peer}) {
		t.Errorf("hooks were told of %q, want %q", p.peers, peer)
	}
}

// The Conn of a pair of streams is for them alone: a hook that could write to it, or close
// it, would break them on both ends.
func TestHooksOfStreamsHaveNoConn(t *testing.T) {
	onBackends(t, func(t *testing.T, tester, ecu streamEnd) {
		var atTester, atECU tracedPeers
		tester.dialer.Config.Trace, ecu.dialer.Config.Trace = atTester.trace(), atECU.trace()
		dialled, accepted := newStream(t, tester, ecu)
		thereAndBack(t, dialled, accepted)
		atTester.want(t, tester.address)
		atECU.want(t, ecu.address)
	})
}

func TestHooksOfStreamsOfAnyPeerHaveNoConn(t *testing.T) {
	n := newNetwork(t, virtual.Options{})
	var atECU tracedPeers
	trace := atECU.trace()
	trace.FrameSent, trace.FrameReceived = trace.MessageSent, trace.MessageSent
	lc := isotpnet.ListenConfig{Bus: newTap(t, n), Config: isotpnet.Config{Trace: trace}}
	ln, err := lc.Listen(t.Context(), "isotp-stream", "/fixed::10")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialled := mustDialStreamOf(t, newTap(t, n), "/fixed:10:F1")
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	thereAndBack(t, dialled, accepted)
	atECU.want(t, "/fixed:F1:10")
}

func thereAndBack(t *testing.T, dialled, accepted net.Conn) {
	t.Helper()
	wantWrite(t, dialled, "there")
	wantRead(t, accepted, "there")
	wantWrite(t, accepted, "back")
	wantRead(t, dialled, "back")
}
