package canbus

import (
	"fmt"
	"time"
)

// Flags say what kind of frame a [Frame] is and how it came here.
type Flags uint16

const (
	Extended   Flags = 1 << iota // the identifier has 29 bits, not 11
	FD                           // a CAN FD frame: up to 64 data bytes, never remote
	BRS                          // FD only: the data phase runs at the higher bit rate
	ESI                          // FD only: the sender is error passive
	Remote                       // a remote transmission request: Len, but no data
	ErrorFrame                   // not from the wire: the controller reports an error (SocketCAN's error frames)
	Echo                         // one of our own frames, come back because it is on the wire (see Properties.Echo)

	// Refused, together with Echo: one of our own frames, come back because it will
	// never be on the wire: the bus had taken it, and could not send it. Such frames
	// come in order with the echoes.
	Refused

	// Timed: the frame's time is known, and is its Timestamp. ReadFrames sets it, where
	// the bus has a time; writing ignores it.
	Timed
)

// told are the flags that only ReadFrames sets.
const told = Echo | Refused | Timed

const (
	// MaxLen is the number of data bytes of the longest CAN FD frame.
	MaxLen = 64
	// MaxClassicLen is the number of data bytes of the longest classic CAN frame.
	MaxClassicLen = 8
	// MaxStandardID is the highest 11-bit identifier.
	MaxStandardID = 0x7FF
	// MaxExtendedID is the highest 29-bit identifier.
	MaxExtendedID = 0x1FFFFFFF
)

// A Frame is one CAN or CAN FD frame. It is a plain comparable value: copying
// it copies the data.
type Frame struct {
	// ID is the identifier, without any flag bits.
	ID uint32
	// Flags tell an 11-bit from a 29-bit identifier, CAN FD from classic CAN,
	// and so on.
	Flags Flags
	// Len is the number of data bytes, 0 to 8, and for FD also 12, 16, 20, 24,
	// 32, 48 and 64. In a remote frame it is the length asked for.
	Len uint8
	// Channel is which of several buses the frame is of, from 1, where what is read
	// has several, as logs in the formats ASC, BLF and pcapng, and numbers them; 0
	// where it does not say. The drivers of this module never say: the interfaces in
	// a log of candump's have names, not numbers. Buses that wrap another leave it as
	// it is. Writing ignores it.
	Channel uint8
	// Timestamp is when the frame was received, in nanoseconds since the Unix epoch.
	// 0 is a time, with which many logs begin; without the flag Timed the time is not
	// known, and Timestamp has no meaning. See Stamp and Time. Writing ignores it.
	Timestamp int64
	// Data holds the data in its first Len bytes. What follows has no meaning.
	Data [MaxLen]byte
}

// Payload returns the frame's data bytes. They are the frame's own, not a copy.
// A Len above the frame's room is taken as full.
func (f *Frame) Payload() []byte { return f.Data[:min(int(f.Len), MaxLen)] }

// Has reports whether all the given flags are set.
func (f *Frame) Has(flags Flags) bool { return f.Flags&flags == flags }

// Time returns Timestamp as a time.Time; the zero Time without the flag Timed.
func (f *Frame) Time() time.Time {
	if !f.Has(Timed) {
		return time.Time{}
	}
	return time.Unix(0, f.Timestamp)
}

// Stamp sets Timestamp, and with it the flag Timed.
func (f *Frame) Stamp(timestamp int64) {
	f.Timestamp = timestamp
	f.Flags |= Timed
}

// Strip takes off what ReadFrames tells of a frame's way here, and writing ignores: the
// flags Echo, Refused and Timed, Timestamp and Channel. Drivers that keep frames they were
// given to write, as to return them with their echoes, and drivers that hand them to
// another reader in this process, strip these first.
func (f *Frame) Strip() {
	f.Flags &^= told
	f.Timestamp, f.Channel = 0, 0
}

// Validate returns what is wrong with a frame that is to be sent, nil if nothing
// is. It looks at ID, Flags and Len; what Strip takes off and the data do not matter.
func (f *Frame) Validate() error {
	// Nearly all frames leave here.
	if f.Flags&^told == 0 && f.ID <= MaxStandardID && f.Len <= MaxClassicLen {
		return nil
	}
	return f.validate()
}

func (f *Frame) validate() error {
	fd := f.Has(FD)
	switch {
	case f.Has(ErrorFrame):
		return fmt.Errorf("canbus: frame %X is an error report, which cannot be sent", f.ID)
	case !f.Has(Extended) && f.ID > MaxStandardID:
		return fmt.Errorf("canbus: identifier 0x%X has more than 11 bits (at most 0x%X, or set Extended)", f.ID, MaxStandardID)
	case f.ID > MaxExtendedID:
		return fmt.Errorf("canbus: identifier 0x%X has more than 29 bits (at most 0x%X)", f.ID, MaxExtendedID)
	case fd && f.Has(Remote):
		return fmt.Errorf("canbus: frame %X has the flags FD and Remote (CAN FD has no remote frames)", f.ID)
	case !fd && f.Flags&(BRS|ESI) != 0:
		return fmt.Errorf("canbus: frame %X has the flag BRS or ESI but not FD (classic CAN has neither)", f.ID)
	case !fd && f.Len > MaxClassicLen:
		return fmt.Errorf("canbus: %d bytes in classic CAN frame %X (0 to %d, or set FD)", f.Len, f.ID, MaxClassicLen)
	case !ValidLen(int(f.Len), fd):
		return fmt.Errorf("canbus: %d bytes in CAN FD frame %X (0 to 8, 12, 16, 20, 24, 32, 48 or 64)", f.Len, f.ID)
	}
	return nil
}

// CheckFrames is for drivers: it returns how many of the frames, from the first, may be
// written, and what is wrong with the one behind them: see [Frame.Validate]. refuse, if it
// is not nil, is asked about each valid frame, and returns why its bus cannot send it; nil
// if it can.
func CheckFrames(frames []Frame, refuse func(*Frame) error) (n int, err error) {
	for i := range frames {
		f := &frames[i]
		if i == 0 || !f.resembles(&frames[i-1]) {
			err = f.Validate()
		}
		if err == nil && refuse != nil {
			err = refuse(f)
		}
		if err != nil {
			return i, err
		}
	}
	return len(frames), nil
}

// resembles reports whether two frames are the same to Validate.
func (f *Frame) resembles(g *Frame) bool { return f.ID == g.ID && f.Flags == g.Flags && f.Len == g.Len }

// lengths are the data lengths that the DLCs of CAN FD say.
var lengths = [16]uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64}

// dlcs are the least DLCs that say at least so many bytes.
var dlcs = func() (t [MaxLen + 1]uint8) {
	n := 0
	for dlc, length := range lengths {
		for ; n <= int(length); n++ {
			t[n] = uint8(dlc)
		}
	}
	return t
}()

// DLC returns the data length code that says the frame's length, 0 to 15; of a length that none
// says, the next one that does.
func (f *Frame) DLC() uint8 { return dlcs[min(f.Len, MaxLen)] }

// DLCLen returns the data length that a DLC says: up to 64 in CAN FD, and in classic CAN 8 for
// all DLCs from 8 on. A DLC above 15 is taken as 15.
func DLCLen(dlc uint8, fd bool) uint8 {
	length := lengths[min(int(dlc), len(lengths)-1)]
	if !fd {
		return min(length, MaxClassicLen)
	}
	return length
}

// PadLen returns the shortest length of at least n that a DLC can say: n itself
// up to 8, then 12, 16, 20, 24, 32, 48 and 64. Above 64 it returns 64.
func PadLen(n int) int { return int(lengths[dlcs[min(max(n, 0), MaxLen)]]) }

// ValidLen reports whether a frame can have n data bytes: at most 8 in classic
// CAN, and in CAN FD only the lengths that a DLC can say.
func ValidLen(n int, fd bool) bool {
	return 0 <= n && n <= MaxLen && (fd || n <= MaxClassicLen) && PadLen(n) == n
}
