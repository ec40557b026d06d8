package isotpnet

import (
	"net"
	"slices"
	"strings"

	"example.com/isotp/internal/mux"
	"example.com/isotp/internal/wire"
)

// listenAddrs are the addresses of ours that a listener or PacketConn opens.
type listenAddrs struct {
	text   net.Addr // as asked for: an Addr, or a list of them
	addr   net.Addr // what the peer dials, if there is one; else text
	bus    string
	hosts  []listenHost
	groups []Addr // all functional addresses that are heard
	obd    Addr   // the tester's address, if it is one of OBD-II
}

// A listenHost answers messages: a pair with its one peer, or a node with any peer.
type listenHost struct {
	addr   Addr
	groups []wire.Address // the functional addresses that it hears
}

// An addrSet finds addresses that overlap, among any number of them.
type addrSet map[wire.Address][]wire.Address // by wire.Address.Bucket

func (s addrSet) overlaps(a wire.Address) bool {
	return slices.ContainsFunc(s[a.Bucket()], a.Overlaps)
}

func (s addrSet) add(a wire.Address) { s[a.Bucket()] = append(s[a.Bucket()], a) }

// An addrList is the text of a list, which ParseAddrs takes.
type addrList string

func (addrList) Network() string  { return messageNetwork }
func (l addrList) String() string { return string(l) }

// checkAddrs refuses a list that no text for ParseAddrs could name: callers of ListenAddr,
// ListenPacketAddr and ListenStream can make one of any Addrs.
func checkAddrs(addrs []Addr) error {
	if len(addrs) == 0 {
		return &net.AddrError{Err: "there is no address to listen on: name a pair or a node, as in can0/7E8:7E0 or can0/fixed::10"}
	}
	seen := make(map[Addr]bool, len(addrs))
	for _, a := range addrs {
		switch {
		case !a.IsValid():
			return &net.AddrError{Err: "the zero Addr cannot be listened on; ParseAddr makes one that can"}
		case a.Bus() != addrs[0].Bus():
			return &net.AddrError{Err: "is on another bus than " + addrs[0].String() + ": a listener has one bus", Addr: a.String()}
		case seen[a]:
			return &net.AddrError{Err: "is in the list twice; name each address once", Addr: a.String()}
		}
		seen[a] = true
	}
	return nil
}

// newListenAddrs sorts out a list of addresses, and ListenConfig.Functional. packets allows
// what only ListenPacket takes.
func newListenAddrs(addrs, functional []Addr, packets bool) (*listenAddrs, error) {
	l := &listenAddrs{text: textOf(addrs), bus: addrs[0].Bus()}
	for _, a := range addrs {
		if err := l.add(a, packets, len(addrs) == 1); err != nil {
			return nil, err
		}
	}
	if len(l.hosts) == 0 {
		return nil, notToListen(addrs[0])
	}
	l.addr = l.text
	if pair := l.hosts[0].addr; len(l.hosts) == 1 && pair.kind == KindPair {
		l.addr = pair.Mirror()
	}
	for _, g := range functional {
		if err := l.addFunctional(g); err != nil {
			return nil, err
		}
	}
	if err := l.join(); err != nil {
		return nil, err
	}
	return l, nil
}

// add adds an address of the list to the hosts or to the groups.
func (l *listenAddrs) add(a Addr, packets, alone bool) error {
	switch a.kind {
	case KindPair, KindNode:
		l.hosts = append(l.hosts, listenHost{addr: a})
	case KindListenOnly, KindGroup:
		l.groups = append(l.groups, a)
	case KindOBD:
		switch {
		case !packets:
			return &net.AddrError{Err: "a tester's address is for ListenPacket; to be an ECU listen on a pair and a group, as in can0/7E8:7E0,7DF", Addr: a.String()}
		case !alone:
			return &net.AddrError{Err: "a tester's address stands alone", Addr: l.text.String()}
		}
		l.obd, l.hosts = a, obdHosts(a)
	default:
		return notToListen(a)
	}
	return nil
}

// addFunctional adds a group of ListenConfig.Functional. What its testers dial, 7DF:, and
// what is heard, :7DF, both name it.
func (l *listenAddrs) addFunctional(g Addr) error {
	if g.kind == KindFunctional {
		g = g.Mirror()
	}
	if g.kind != KindListenOnly && g.kind != KindGroup {
		return &net.AddrError{Err: "ListenConfig.Functional must name functional addresses, as /7DF:", Addr: g.String()}
	}
	l.groups = append(l.groups, g.WithBus(l.bus))
	return nil
}

func notToListen(a Addr) error {
	return &net.AddrError{Err: "to listen name both sides: where to answer, and where the peer sends, as in can0/7E8:7E0 or for any peer can0/fixed::10", Addr: a.String()}
}

// plainAddrs returns the same addresses on "isotp", in a slice of its own.
func plainAddrs(addrs []Addr) []Addr {
	addrs = slices.Clone(addrs)
	for i, a := range addrs {
		addrs[i] = a.plain()
	}
	return addrs
}

// textOf is the address that a list of them makes, nil where there is none.
func textOf(addrs []Addr) net.Addr {
	switch len(addrs) {
	case 0:
		return nil
	case 1:
		return addrs[0]
	}
	return listOf(addrs)
}

// listOf is the canonical text of a list.
func listOf(addrs []Addr) addrList {
	endpoints := make([]string, len(addrs))
	for i, a := range addrs {
		endpoints[i] = a.WithBus("").String()[1:]
	}
	return addrList(addrs[0].Bus() + "/" + strings.Join(endpoints, ","))
}

// obdHosts are the identifiers on which ISO 15765-4's ECUs answer a tester: eight
// pairs, or with 29 bits any ECU.
func obdHosts(a Addr) []listenHost {
	if a.rx.Extended {
		node := Addr{bus: a.bus, kind: KindNode, tx: fixedAddress(wire.UpperFixed, 0, 0xF1), rx: a.rx}
		return []listenHost{{addr: node}}
	}
	var hosts []listenHost
	for i := range uint32(8) {
		pair := Addr{bus: a.bus, kind: KindPair, tx: wire.Address{ID: 0x7E0 + i}, rx: wire.Address{ID: a.rx.ID + i}}
		hosts = append(hosts, listenHost{addr: pair})
	}
	return hosts
}

// join makes the hosts that can hear a group its members. Each group needs one.
func (l *listenAddrs) join() error {
	joined, why := make([]bool, len(l.groups)), make([]error, len(l.groups))
	for i := range l.hosts {
		h, heard := &l.hosts[i], make(addrSet)
		for k, g := range l.groups {
			a, err := h.hears(g, heard)
			if err != nil {
				why[k] = err
				continue
			}
			joined[k] = true
			heard.add(a)
			h.groups = append(h.groups, a)
		}
	}
	if k := slices.Index(joined, false); k >= 0 {
		return &net.AddrError{Err: why[k].Error(), Addr: l.groups[k].String()}
	}
	return nil
}

// hearGroupsOnce leaves each group to the first host that hears it. An ECU answers a
// group's message from each of its addresses; a listener that sends nothing wants the
// message once.
func (l *listenAddrs) hearGroupsOnce() {
	heard := make(addrSet)
	for i := range l.hosts {
		h := &l.hosts[i]
		h.groups = slices.DeleteFunc(h.groups, heard.overlaps)
		for _, a := range h.groups {
			heard.add(a)
		}
	}
}

// A groupError is why a group cannot be heard.
type groupError string

func (e groupError) Error() string { return string(e) }

// hears returns where a host hears a group, beside the groups that it hears already.
func (h *listenHost) hears(g Addr, heard addrSet) (wire.Address, error) {
	a, text := g.rx, h.addr.String
	anyPeer := h.addr.kind == KindNode
	switch {
	case a.Overhead() != h.addr.rx.Overhead():
		return a, groupError("ListenConfig.Functional must have an address byte if, and only if, " + text() + " listens with one")
	case anyPeer && g.kind != KindGroup:
		return a, groupError(text() + " hears any peer: name the group without a sender, as func:33")
	case anyPeer && a.HasByte && a.Byte != h.addr.rx.Byte:
		return a, groupError("a group is heard with the address extension of the node, and that of " + text() + " is another")
	case g.kind == KindGroup && !anyPeer && h.addr.rx.Open == wire.OpenNothing:
		return a, groupError("a group of any sender needs a node, as fixed::10, and " + text() + " is none")
	case g.kind == KindGroup && !anyPeer:
		a = a.From(wire.Source(h.addr.rx.ID)) // the pair has one peer
	}
	switch {
	case a.Overlaps(h.addr.rx):
		return a, groupError("ListenConfig.Functional must not name what " + text() + " listens to anyway")
	case heard.overlaps(a):
		return a, groupError("ListenConfig.Functional must name each address once, or its messages would come twice")
	}
	return a, nil
}

// single returns the pair, if nothing but one is to be opened.
func (l *listenAddrs) single() (Addr, bool) {
	if len(l.hosts) != 1 || len(l.hosts[0].groups) > 0 || l.hosts[0].addr.kind != KindPair {
		return Addr{}, false
	}
	return l.hosts[0].addr, true
}

// addrs are the addresses that flow control is sent for.
func (l *listenAddrs) addrs() []Addr {
	addrs := make([]Addr, len(l.hosts))
	for i := range l.hosts {
		addrs[i] = l.hosts[i].addr
	}
	return addrs
}

// config returns the Config of connections to peers of these addresses.
func (l *listenAddrs) config(c Config) Config {
	if len(l.hosts) > 1 || l.hosts[0].addr.kind != KindPair {
		c.MaxMessageSize = orDefault(c.MaxMessageSize, defaultManyPeersSize)
	}
	return c
}

// specs returns what the addresses are to the bus.
func (l *listenAddrs) specs(m *mux.Mux, c *Config) ([]*mux.Spec, error) {
	specs := make([]*mux.Spec, 0, len(l.hosts))
	for i := range l.hosts {
		h := &l.hosts[i]
		s, err := c.spec(m, h.addr)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			s.Config = specs[0].Config // one for all
		}
		s.Send, s.Listen = &h.addr.tx, &h.addr.rx
		s.Functional = h.groups
		specs = append(specs, s)
	}
	return specs, nil
}

// peerAddr is the address of a peer that was made for a host: what one would dial.
func (l *listenAddrs) peerAddr(ep *mux.Endpoint) Addr {
	tx, rx, _ := ep.Pair()
	return Addr{bus: l.bus, kind: KindPair, tx: tx, rx: rx}
}
