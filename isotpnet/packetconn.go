package isotpnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/mux"
	"example.com/isotp/internal/wire"
)

// ListenPacket opens addresses of ours for messages from and to any number of peers:
//
//	can0/fixed::F1             the node F1 and any peer; mixed::F1#99 likewise
//	can0/7E0:7E8,7E1:7E9       these two ECUs
//	can0/obd, can0/obd29       an OBD-II tester and all ECUs (ISO 15765-4)
//	can0/fixed::10,func:33     an ECU, which hears its group too
//
// See [PacketConn], which the net.PacketConn is.
func ListenPacket(network, address string) (net.PacketConn, error) {
	return new(ListenConfig).ListenPacket(context.Background(), network, address)
}

// A PacketConn receives and sends messages of many peers over addresses of ours. It
// receives from all peers at the same time, and returns messages whole, those of one peer
// in their order. Peers whose messages wait to be read have turns, however much one of them
// sends. It is safe for concurrent use: WriteTo to different peers do not wait for each
// other.
//
// For each peer it keeps as much state as an open Conn has. It makes this state when it is
// needed, and drops it when it was not used for 10 s or when another peer needs the place;
// only Stats show that. ListenConfig.MaxPeers bounds the number of peers, and
// Config.ReadBuffer how many bytes of each may wait to be read.
//
// On can0/obd and can0/obd29 the Config is what ISO 15765-4 asks of a tester. If they are
// zero, FlowControlTimeout is 75 ms and ConsecutiveFrameTimeout 150 ms. BlockSize, STmin
// and FlowControlHold must be zero, because a tester sends CTS at once and for the whole
// message. Frames have 8 bytes.
//
// Errors are *net.OpError.
type PacketConn struct {
	network string
	addrs   *listenAddrs
	config  Config
	engine  *engine.Config // the same, for the engines
	peers   *mux.Peers
	release func() error
	ends    ends
}

var _ net.PacketConn = (*PacketConn)(nil)

// PacketStats count what a [PacketConn] has done.
type PacketStats struct {
	// Stats are the sums of all peers, also of those whose state was dropped.
	Stats
	// Peers is for how many peers it keeps something now, functional addresses
	// written to among them.
	Peers int
	// PeersMade and PeersReaped say how often it began and ended to. For
	// PeersEvicted of the latter the reason was that a place was needed, though
	// the First Frame of a message had come.
	PeersMade, PeersReaped, PeersEvicted uint64
	// PeersRefused are the frames that began a message and were not heard because
	// ListenConfig.MaxPeers were busy.
	PeersRefused uint64
	// Stray are frames that began no message, of peers it keeps nothing for.
	Stray uint64
}

// defaultMaxPeers has room for all peers of a node.
const defaultMaxPeers = 256

// ListenPacket opens addresses: see the function of that name. The context bounds
// the opening of the bus. The net.PacketConn is a [*PacketConn].
func (lc *ListenConfig) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	addrs, err := parse(network, address, ParseAddrs)
	if err != nil {
		return nil, opError(opListen, network, nil, nil, err)
	}
	c, err := lc.ListenPacketAddr(ctx, network, addrs...)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ListenPacketAddr does what ListenPacket does, for addresses that [ParseAddrs] has parsed.
func (lc *ListenConfig) ListenPacketAddr(ctx context.Context, network string, addrs ...Addr) (*PacketConn, error) {
	addrs = plainAddrs(addrs)
	c, err := lc.listenPacket(ctx, network, addrs)
	if err != nil {
		return nil, opError(opListen, network, nil, textOf(addrs), err)
	}
	return c, nil
}

var errPacketsNotKernels = errors.New("a socket of the kernel has one peer, and a PacketConn any number")

func (lc *ListenConfig) listenPacket(ctx context.Context, network string, addrs []Addr) (*PacketConn, error) {
	if err := checkPackets(network); err != nil {
		return nil, err
	}
	ls, err := lc.check(addrs, true)
	if err != nil {
		return nil, err
	}
	if lc.Config.SplitWrites {
		return nil, &ConfigError{Field: "SplitWrites", Value: true, Want: "it is for connections; WriteTo of a PacketConn is one message"}
	}
	config := lc.Config
	config.MaxMessageSize = orDefault(config.MaxMessageSize, defaultManyPeersSize)
	if config.ListenOnly {
		ls.hearGroupsOnce()
	}
	if ls.obd.IsValid() {
		if err := config.forOBD(); err != nil {
			return nil, err
		}
	}
	never := func() (*PacketConn, error) { return nil, errPacketsNotKernels }
	c, why, err := open(ctx, network, errPacketsNotKernels, userRefuses(&config, lc.Control), never,
		func() (*PacketConn, error) { return lc.listenPacketUser(ctx, network, ls, config) })
	if err != nil {
		return nil, err
	}
	config.logBackend(c.Backend(), ls.text, why)
	return c, nil
}

func (lc *ListenConfig) listenPacketUser(ctx context.Context, network string, ls *listenAddrs, config Config) (*PacketConn, error) {
	m, release, err := openAddrs(ctx, ls.addrs(), lc.Bus, &config)
	if err != nil {
		return nil, err
	}
	c := &PacketConn{network: network, addrs: ls, config: config, release: release}
	specs, err := ls.specs(m, &config)
	if err == nil {
		c.engine = specs[0].Config
		limit := max(lc.MaxPeers, 0)
		if limit == 0 {
			limit = max(defaultMaxPeers, len(specs))
		}
		c.peers, err = m.Peers(specs, limit, c.made)
	}
	if err != nil {
		release()
		return nil, err
	}
	return c, nil
}

// A peer is the User of an endpoint of a PacketConn.
type peer struct{ addr net.Addr }

// made is told of each endpoint.
func (c *PacketConn) made(ep *mux.Endpoint) {
	var addr Addr
	if tx, rx, ok := ep.Pair(); ok {
		addr = Addr{bus: c.addrs.bus, kind: KindPair, tx: tx, rx: rx}
	} else {
		addr = Addr{bus: c.addrs.bus, kind: KindFunctional, tx: ep.Format().Address}
	}
	ep.User = &peer{addr}
	if o := newObserver(&c.config); o != nil {
		o.packetConn, o.peer, o.time = c, addr, ep.Time
		ep.Observer = o
	}
}

// A ShortBufferError is the error of ReadFrom with a buffer too short for the
// message. What did not fit is lost. It is io.ErrShortBuffer.
type ShortBufferError struct {
	Size int64 // of the message, in bytes
}

func (e *ShortBufferError) Error() string {
	return fmt.Sprintf("short buffer: the message has %d bytes, and what did not fit is lost", e.Size)
}

// Is makes it io.ErrShortBuffer to errors.Is.
func (e *ShortBufferError) Is(target error) bool { return target == io.ErrShortBuffer }

// ReadFrom reads one message of any peer. The net.Addr is the peer's [Addr]: what
// WriteTo takes, and Dial once the PacketConn is closed. If p is too short, it is
// filled, n is len(p), and the error a *ShortBufferError.
//
// Other errors are os.ErrDeadlineExceeded, net.ErrClosed, what the bus failed with, and an
// *OverrunError for frames that the bus has dropped. Two errors come with the address of
// the peer that they are about: an *OverrunError for messages that were lost, and with
// Config.ReportAborted a *ProtocolError. [Final] tells after which errors reading can go on.
func (c *PacketConn) ReadFrom(p []byte) (n int, addr net.Addr, err error) {
	r, err := c.peers.Receive(p, false)
	if r.From != nil {
		addr = r.From.User.(*peer).addr
	}
	if err == nil && r.Info.Rest > 0 {
		err = &ShortBufferError{Size: int64(r.Info.Size)}
	}
	if err != nil {
		err = c.error(opRead, addr, protocolError(err))
	}
	return len(r.Data), addr, err
}

// ReadMessageFrom does what ReadFrom does, describes the message too, and never cuts it:
// it returns the message in p if it fits, and otherwise in a new slice.
func (c *PacketConn) ReadMessageFrom(p []byte) (message []byte, info MessageInfo, from Addr, err error) {
	r, err := c.peers.Receive(p, true)
	var addr net.Addr
	if r.From != nil {
		addr = r.From.User.(*peer).addr
		from = addr.(Addr)
	}
	if err != nil {
		return nil, MessageInfo{}, from, c.error(opRead, addr, protocolError(err))
	}
	return r.Data, newMessageInfo(r.From, &r.Info), from, nil
}

// WriteTo sends p as one message to a peer, or as one Single Frame to a functional
// address; each node that hears it may answer, and its answer comes to ReadFrom. On
// can0/obd and can0/obd29 the tester's own address, LocalAddr, stands for the
// functional one.
//
// addr is an [Addr] with the same bus or none. WriteTo returns when the message is sent.
// Its errors are those of [Conn.Write], and EINVAL for an address that is not for this
// PacketConn.
func (c *PacketConn) WriteTo(p []byte, addr net.Addr) (int, error) {
	to, err := c.target(addr)
	switch {
	case err != nil:
	case len(p) == 0:
		return 0, nil
	case c.config.ListenOnly:
		err = ErrListenOnly
	case int64(len(p)) > c.config.maxSendSize():
		err = &MessageTooLongError{int64(len(p)), c.config.maxSendSize(), limitMaxSendSize}
	case to.kind == KindPair:
		err = c.peers.Send(to.tx, to.rx, p)
	default:
		err = c.writeGroup(p, to.tx)
	}
	if err != nil {
		return 0, c.error(opWrite, addr, refused(c.sendError(err, addr), int64(len(p))))
	}
	return len(p), nil
}

// target is the address that a message is to be sent to.
func (c *PacketConn) target(addr net.Addr) (Addr, error) {
	a, ok := addr.(Addr)
	a = a.plain()
	switch {
	case !ok:
		return Addr{}, &targetError{"is no isotpnet.Addr", addr}
	case a.bus != "" && a.bus != c.addrs.bus:
		return Addr{}, &targetError{"is on another bus than " + c.addrs.text.String(), addr}
	case a.kind == KindPair, a.kind == KindFunctional, a.IsValid() && a.WithBus(c.addrs.bus) == c.addrs.obd:
		return a, nil
	}
	return Addr{}, &targetError{"is no address to send to: want a peer's, or a functional one as can0/7DF:", addr}
}

func (c *PacketConn) writeGroup(p []byte, to wire.Address) error {
	format := c.engine.Format(to)
	if len(p) > format.MaxSingle() {
		return &MessageTooLongError{int64(len(p)), int64(format.MaxSingle()), limitSingle}
	}
	return c.peers.SendGroup(to, p)
}

// sendError turns the errors of the mux into those that users know.
func (c *PacketConn) sendError(err error, addr net.Addr) error {
	switch err {
	case mux.ErrNoHost:
		return &targetError{"is no peer of " + c.addrs.text.String(), addr}
	case mux.ErrTooManyPeers:
		return ErrTooManyPeers
	}
	return protocolError(err)
}

// Drain throws away the messages of all peers that were not read: see [Conn.Drain].
func (c *PacketConn) Drain() (messages int, err error) {
	messages, err = c.peers.Drain()
	return messages, c.error(opRead, nil, err)
}

// Close ends the PacketConn: calls that wait return net.ErrClosed. See [Conn.Close].
func (c *PacketConn) Close() error {
	if !c.peers.Close() {
		return nil
	}
	return c.error(opClose, nil, c.release())
}

// LocalAddr returns our address. For one pair of addresses, with groups or without, it is
// the mirror of the pair, which the peer dials, or gives to its WriteTo. For a node, several
// pairs or an OBD-II tester it is the address as it was given. It is an [Addr] unless it
// is a list.
func (c *PacketConn) LocalAddr() net.Addr { return c.addrs.addr }

// Backend returns "user": see [Conn.Backend].
func (c *PacketConn) Backend() string { return backendUser }

// SetDeadline sets the deadlines of reading and of writing; see [net.PacketConn] and
// [Conn.Write].
func (c *PacketConn) SetDeadline(t time.Time) error {
	err := c.peers.SetReadDeadline(t)
	if err == nil {
		err = c.peers.SetWriteDeadline(t)
	}
	return c.error(opSet, nil, err)
}

// SetReadDeadline sets the deadline of reading.
func (c *PacketConn) SetReadDeadline(t time.Time) error {
	return c.error(opSet, nil, c.peers.SetReadDeadline(t))
}

// SetWriteDeadline sets the deadline of writing, to any peer.
func (c *PacketConn) SetWriteDeadline(t time.Time) error {
	return c.error(opSet, nil, c.peers.SetWriteDeadline(t))
}

// Stats returns what has been counted so far.
func (c *PacketConn) Stats() PacketStats {
	s := c.peers.Stats()
	stats := newStats(s.Engines)
	stats.BusDropped = s.Dropped
	return PacketStats{
		Stats:        stats,
		Peers:        s.Open,
		PeersMade:    s.Made,
		PeersReaped:  s.Reaped,
		PeersEvicted: s.Evicted,
		PeersRefused: s.Refused,
		Stray:        s.Stray,
	}
}

func (c *PacketConn) error(op string, remote net.Addr, err error) error {
	if err == nil {
		return nil
	}
	return opError(op, c.network, c.addrs.addr, remote, c.ends.error(op, err))
}
