package isotpnet

import (
	"slices"
	"strings"
	"sync"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/mux"
	"example.com/isotp/internal/wire"
)

// claims are the pairs and nodes that are open on network interfaces in this
// process, whatever their backend: two that answer the same messages cannot both be
// right. What is open on other buses only the mux needs to know.
var claims = struct {
	sync.Mutex
	heard map[claimKey][]*claim
}{heard: make(map[claimKey][]*claim)}

// A claimKey is what claims that may overlap have in common: without the bits that
// some leave open, the priority and the peer.
type claimKey struct {
	bus      string // its identity, see canbus.Identity
	id       uint32
	extended bool
}

const (
	priorityBits = 0x1C000000
	peerBits     = 0xFF // of a node
)

type claim struct {
	key     claimKey
	rx      wire.Address
	anyPeer bool
	name    string
}

// claimAddrs makes the addresses ours, all of them or none, until release is
// called, or says whose one of them is.
func claimAddrs(addrs []Addr, listenOnly bool) (release func(), err error) {
	bus := addrs[0].Bus()
	if listenOnly || strings.Contains(bus, ":") || bus == "" {
		return func() {}, nil
	}
	id := canbus.Identity(bus)
	var mine []*claim
	for _, a := range addrs {
		if a.IsPair() || a.kind == kindNode {
			mine = append(mine, newClaim(id, a))
		}
	}
	claims.Lock()
	defer claims.Unlock()
	for i, c := range mine {
		for _, other := range claims.heard[c.key] {
			if c.overlaps(other) {
				unclaim(mine[:i])
				return nil, &mux.InUseError{Name: c.name, Other: other.name}
			}
		}
		claims.heard[c.key] = append(claims.heard[c.key], c)
	}
	return sync.OnceFunc(func() {
		claims.Lock()
		defer claims.Unlock()
		unclaim(mine)
	}), nil
}

func newClaim(bus string, a Addr) *claim {
	key := claimKey{bus, a.rx.ID, a.rx.Extended}
	if key.extended {
		key.id &^= priorityBits | peerBits
	}
	return &claim{key, a.rx, a.kind == kindNode, a.String()}
}

// overlaps reports whether there are frames that both hear. They have the same
// key.
func (c *claim) overlaps(d *claim) bool {
	if c.rx.HasByte && d.rx.HasByte && c.rx.Byte != d.rx.Byte {
		return false
	}
	diff := c.rx.ID ^ d.rx.ID
	if c.rx.AnyPriority || d.rx.AnyPriority {
		diff &^= priorityBits
	}
	if c.anyPeer || d.anyPeer {
		diff &^= peerBits
	}
	return diff == 0
}

// unclaim is called under the lock.
func unclaim(cs []*claim) {
	for _, c := range cs {
		rest := slices.DeleteFunc(claims.heard[c.key], func(other *claim) bool { return other == c })
		if claims.heard[c.key] = rest; len(rest) == 0 {
			delete(claims.heard, c.key)
		}
	}
}
