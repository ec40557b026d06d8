package wire

import (
	"encoding/binary"

	"example.com/isotp/canbus"
)

// A Format is how frames are written in one direction: to which address, how
// long, and how filled.
type Format struct {
	Address Address
	// FrameSize is TX_DL, the length of a full frame: 8, 12, 16, 20, 24, 32, 48
	// or 64.
	FrameSize int
	// MinFrameSize is the length that shorter frames are filled up to; 0: none.
	// Frames longer than 8 bytes are always filled up to the next length that
	// a DLC can say.
	MinFrameSize int
	// Fill is the value of the bytes filled up with.
	Fill byte
	// FD makes CAN FD frames, BRS such that switch to the higher bit rate.
	FD, BRS bool
}

// MaxSingle is the longest message that fits in a Single Frame.
func (t *Format) MaxSingle() int { return MaxSingle(t.FrameSize, t.Address.Overhead()) }

// ConsecutiveData is how many bytes of a message a full Consecutive Frame carries.
func (t *Format) ConsecutiveData() int { return t.FrameSize - 1 - t.Address.Overhead() }

// ClassicData is ConsecutiveData in classic CAN, without an address byte.
const ClassicData = canbus.MaxClassicLen - 1

// FirstData is how many bytes of a message of that length its First Frame carries.
func (t *Format) FirstData(length uint32) int {
	if length > MaxShortLength {
		return t.FrameSize - 6 - t.Address.Overhead()
	}
	return t.FrameSize - 2 - t.Address.Overhead()
}

// SingleFrame writes the N_PCI of a Single Frame for a message of n bytes, 1 to
// MaxSingle, fills the frame up, and returns where the message goes. A frame that
// gets longer than 8 bytes, by its data or by MinFrameSize, has the escaped SF_DL.
func (t *Format) SingleFrame(f *canbus.Frame, n int) []byte {
	at := t.begin(f)
	if at+1+n > canbus.MaxClassicLen || t.MinFrameSize > canbus.MaxClassicLen {
		f.Data[at] = byte(SingleFrame) << 4
		f.Data[at+1] = byte(n)
		at += 2
	} else {
		f.Data[at] = byte(SingleFrame)<<4 | byte(n)
		at++
	}
	t.end(f, at+n)
	return f.Data[at : at+n]
}

// FirstFrame writes the N_PCI of a First Frame for a message of that length and
// returns where the first FirstData bytes of the message go.
func (t *Format) FirstFrame(f *canbus.Frame, length uint32) []byte {
	n := t.begin(f)
	if length <= MaxShortLength {
		binary.BigEndian.PutUint16(f.Data[n:], uint16(FirstFrame)<<12|uint16(length))
		n += 2
	} else {
		binary.BigEndian.PutUint16(f.Data[n:], uint16(FirstFrame)<<12)
		binary.BigEndian.PutUint32(f.Data[n+2:], length)
		n += 6
	}
	f.Len = uint8(t.FrameSize)
	return f.Data[n:f.Len]
}

// ConsecutiveFrame writes the N_PCI of a Consecutive Frame for n bytes of the
// message, 1 to ConsecutiveData, fills it up, and returns where those bytes go.
func (t *Format) ConsecutiveFrame(f *canbus.Frame, sn uint8, n int) []byte {
	at := t.begin(f)
	f.Data[at] = byte(ConsecutiveFrame)<<4 | sn&0xF
	at++
	t.end(f, at+n)
	return f.Data[at : at+n]
}

// ConsecutiveFrames writes full Consecutive Frames with the next bytes of the message, the
// first of them with the sequence number sn. p has at least ConsecutiveData bytes for each.
func (t *Format) ConsecutiveFrames(frames []canbus.Frame, sn uint8, p []byte) {
	n := t.ConsecutiveData()
	for i := range frames {
		f := &frames[i]
		at := t.begin(f)
		f.Len = uint8(t.FrameSize)
		f.Data[at] = byte(ConsecutiveFrame)<<4 | sn&0xF
		if n == ClassicData { // a copy of fixed size is faster
			*(*[ClassicData]byte)(f.Data[1:]) = [ClassicData]byte(p)
		} else {
			copy(f.Data[at+1:t.FrameSize], p)
		}
		p = p[n:]
		sn++
	}
}

// FlowControl writes a flow control; stmin is coded (see EncodeSTmin).
func (t *Format) FlowControl(f *canbus.Frame, status FlowStatus, blockSize, stmin uint8) {
	n := t.begin(f)
	f.Data[n] = byte(FlowControl)<<4 | byte(status)
	f.Data[n+1] = blockSize
	f.Data[n+2] = stmin
	t.end(f, n+3)
}

// begin writes everything before the N_PCI and returns where that goes.
func (t *Format) begin(f *canbus.Frame) int {
	f.ID = t.Address.ID
	f.Flags = 0
	if t.Address.Extended {
		f.Flags |= canbus.Extended
	}
	if t.FD {
		f.Flags |= canbus.FD
		if t.BRS {
			f.Flags |= canbus.BRS
		}
	}
	f.Timestamp, f.Channel = 0, 0
	if t.Address.HasByte {
		f.Data[0] = t.Address.Byte
		return 1
	}
	return 0
}

// end sets the length of a frame with n bytes used and fills up the others.
func (t *Format) end(f *canbus.Frame, n int) {
	size := canbus.PadLen(max(n, t.MinFrameSize))
	f.Len = uint8(size)
	for i := n; i < size; i++ {
		f.Data[i] = t.Fill
	}
}
