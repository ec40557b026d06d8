package wire

// In normal fixed addressing, and in mixed addressing on 29 bits, the two lowest bytes
// of an identifier are N_TA, the target, and N_SA, the source.

// The upper 16 of the 29 bits of these identifiers, as ISO 15765-2 has them: with priority 6.
const (
	UpperFixed           = 0x18DA
	UpperFixedFunctional = 0x18DB
	UpperMixed           = 0x18CE
	UpperMixedFunctional = 0x18CD
)

// Upper returns the upper 16 bits of an identifier, of any priority, with priority 6.
func Upper(id uint32) uint32 { return (id&^priorityBits | 6<<26) >> 16 }

// Target returns N_TA of an identifier.
func Target(id uint32) byte { return byte(id >> 8) }

// Source returns N_SA of an identifier.
func Source(id uint32) byte { return byte(id) }

// To returns the address of what is sent to a peer, where a is that of what is sent to
// any other one.
func (a Address) To(peer byte) Address {
	a.ID = a.ID&^(peerBits<<8) | uint32(peer)<<8
	return a
}

// From returns the address of what one peer sends to us, where a is that of what any
// peer does.
func (a Address) From(peer byte) Address {
	a.ID = a.ID&^peerBits | uint32(peer)
	a.Open = OpenPriority
	return a
}

// FromAny returns the address of what any peer sends to us, where a is that of what one
// does.
func (a Address) FromAny() Address {
	a.ID &^= peerBits
	a.Open = OpenPeer
	return a
}
