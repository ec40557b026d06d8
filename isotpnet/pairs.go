package isotpnet

import (
	"slices"
	"strings"
	"sync"

	"example.com/isotp/internal/mux"
	"example.com/isotp/internal/wire"
)

// claims are the pairs that are open on network interfaces in this process,
// whatever their backend: two that answer the same messages cannot both be right.
// What is open on other buses only the mux needs to know.
var claims = struct {
	sync.Mutex
	heard map[claimKey][]*claim
}{heard: make(map[claimKey][]*claim)}

// A claimKey is what claims that may overlap have in common: without the priority
// bits, which some leave open.
type claimKey struct {
	bus      string
	id       uint32
	extended bool
}

const priorityBits = 0x1C000000

type claim struct {
	rx   wire.Address
	name string
}

// claimPair makes the pair ours until release is called, or says whose it is.
func claimPair(addr Addr, listenOnly bool) (release func(), err error) {
	if !addr.IsPair() || listenOnly || strings.Contains(addr.Bus(), ":") || addr.Bus() == "" {
		return func() {}, nil
	}
	key := claimKey{addr.Bus(), addr.rx.ID, addr.rx.Extended}
	if key.extended {
		key.id &^= priorityBits
	}
	mine := &claim{addr.rx, addr.String()}
	claims.Lock()
	defer claims.Unlock()
	for _, c := range claims.heard[key] {
		if c.overlaps(mine) {
			return nil, &mux.InUseError{Name: mine.name, Other: c.name}
		}
	}
	claims.heard[key] = append(claims.heard[key], mine)
	return sync.OnceFunc(func() { unclaim(key, mine) }), nil
}

// overlaps reports whether there are frames that both hear. They have the same
// key.
func (c *claim) overlaps(d *claim) bool {
	if c.rx.HasByte && d.rx.HasByte && c.rx.Byte != d.rx.Byte {
		return false
	}
	return c.rx.ID == d.rx.ID || c.rx.AnyPriority || d.rx.AnyPriority
}

func unclaim(key claimKey, c *claim) {
	claims.Lock()
	defer claims.Unlock()
	rest := slices.DeleteFunc(claims.heard[key], func(other *claim) bool { return other == c })
	if claims.heard[key] = rest; len(rest) == 0 {
		delete(claims.heard, key)
	}
}
