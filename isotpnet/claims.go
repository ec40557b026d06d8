package isotpnet

import (
	"fmt"
	"slices"
	"sync"
	"syscall"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/mux"
	"example.com/isotp/internal/wire"
)

// claims are the pairs and nodes that are open in this process, whatever their
// backend: of two that answer the same messages one would be wrong. They are found by
// their bus and by what addresses that overlap have in common.
var claims = struct {
	sync.Mutex // guards open
	open       map[claimKey][]*claim
}{open: make(map[claimKey][]*claim)}

type claimKey struct {
	// bus is the identity of a network interface (see canbus.Identity), which both
	// backends share, or the Mux of any other bus.
	bus  any
	addr wire.Address // see wire.Address.Bucket
}

type claim struct {
	key  claimKey
	rx   wire.Address
	name string
}

// claimAddrs makes the addresses ours, all of them or none, until release is called; a
// second call of that does nothing. The error is an *inUseError. m is the Mux of their bus;
// it may be nil if that is a network interface.
func claimAddrs(addrs []Addr, m *mux.Mux) (release func(), err error) {
	bus := busKey(addrs[0].Bus(), m)
	var mine []*claim
	for _, a := range addrs {
		if a.kind == KindPair || a.kind == KindNode {
			mine = append(mine, &claim{claimKey{bus, a.rx.Bucket()}, a.rx, a.String()})
		}
	}
	claims.Lock()
	defer claims.Unlock()
	for i, c := range mine {
		if other := c.inTheWay(); other != nil {
			unclaim(mine[:i])
			return nil, &inUseError{c.name, other.name}
		}
		claims.open[c.key] = append(claims.open[c.key], c)
	}
	return func() {
		claims.Lock()
		defer claims.Unlock()
		unclaim(mine)
	}, nil
}

func busKey(name string, m *mux.Mux) any {
	if scheme, _ := canbus.SplitName(name); scheme != "" || name == "" {
		return m
	}
	return canbus.Identity(name)
}

// inTheWay returns a claim that hears frames that c hears, too; nil if there is none.
// claims is locked.
func (c *claim) inTheWay() *claim {
	for _, other := range claims.open[c.key] {
		if other.rx.Overlaps(c.rx) {
			return other
		}
	}
	return nil
}

// unclaim gives addresses back. claims is locked.
func unclaim(cs []*claim) {
	for _, c := range cs {
		rest := slices.DeleteFunc(claims.open[c.key], func(other *claim) bool { return other == c })
		if claims.open[c.key] = rest; len(rest) == 0 {
			delete(claims.open, c.key)
		}
	}
}

// An inUseError says that one address cannot be open beside another one.
type inUseError struct{ name, other string }

func (e *inUseError) Error() string {
	if e.name == e.other {
		return fmt.Sprintf("%s is already open in this process: both would answer its messages", e.name)
	}
	return fmt.Sprintf("%s cannot be open beside %s in one process: both would answer the same messages", e.name, e.other)
}

// Is makes it the error of an address in use.
func (e *inUseError) Is(target error) bool { return target == syscall.EADDRINUSE }
