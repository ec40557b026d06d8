package virtual

import (
	"encoding/binary"
	"sync/atomic"

	"example.com/isotp/canbus"
)

// A ring holds the frames that a tap has received and not yet read. The goroutine
// that holds the network's lock puts frames in, and the tap's reader takes them out:
// so the ring needs no lock of its own.
//
// What costs time here is to carry cache lines from one core to the other. So a
// frame of up to 8 bytes takes 16 bytes, not the 80 of a canbus.Frame.
type ring struct {
	slots []slot
	// more are the data bytes from the ninth on, nil until there is a frame
	// that has them.
	more []moreData
	// stamps are the frames' timestamps, nil on a bus that has none.
	stamps []int64

	// The two ends, each on a cache line of its own, count all frames that
	// were ever put in and taken out.
	_   [128]byte
	in  atomic.Uint64
	_   [128 - 8]byte
	out atomic.Uint64
	_   [128 - 8]byte

	// asleep is set by a reader that waits on wake for a frame.
	asleep atomic.Bool
	wake   chan struct{}
	// awaited is set by a writer that waits for room.
	awaited atomic.Bool
}

// moreData are a frame's data bytes from the ninth on.
type moreData [canbus.MaxLen - canbus.MaxClassicLen]byte

// A slot is a frame's header and its first 8 data bytes.
type slot struct {
	id    uint32
	flags canbus.Flags
	len   uint8
	data  uint64
}

// init makes room for n frames, a power of two.
func (r *ring) init(n int, timestamps bool) {
	r.slots = make([]slot, n)
	if timestamps {
		r.stamps = make([]int64, n)
	}
	r.wake = make(chan struct{}, 1)
}

// room is how many frames fit in now. Only the putting side may rely on it.
func (r *ring) room() int {
	return len(r.slots) - int(r.in.Load()-r.out.Load())
}

// put appends frames, for which there must be room, without waking the reader.
// It leaves the flags Echo and Refused out, and Timed, unless there are timestamps:
// then all frames have one.
func (r *ring) put(b []canbus.Frame, add canbus.Flags) {
	const told = canbus.Echo | canbus.Refused | canbus.Timed
	if r.stamps != nil {
		add |= canbus.Timed
	}
	in := r.in.Load()
	mask := uint64(len(r.slots) - 1)
	slots := r.slots
	for i := range b {
		f := &b[i]
		s := &slots[in&mask]
		s.id, s.flags, s.len = f.ID, f.Flags&^told|add, f.Len
		s.data = binary.NativeEndian.Uint64(f.Data[:8])
		if f.Len > canbus.MaxClassicLen {
			r.putMore(in&mask, f)
		}
		if r.stamps != nil {
			r.stamps[in&mask] = f.Timestamp
		}
		in++
	}
	r.in.Store(in)
}

func (r *ring) putMore(i uint64, f *canbus.Frame) {
	if r.more == nil {
		r.more = make([]moreData, len(r.slots))
	}
	r.more[i] = moreData(f.Data[canbus.MaxClassicLen:]) // all of it: a copy of fixed size is faster
}

// take moves what is there into b, as far as it fits, and returns how many.
func (r *ring) take(b []canbus.Frame) int {
	out := r.out.Load()
	n := min(len(b), int(r.in.Load()-out))
	if n == 0 {
		return 0
	}
	mask := uint64(len(r.slots) - 1)
	slots := r.slots
	for i := range b[:n] {
		f := &b[i]
		s := &slots[out&mask]
		f.ID, f.Flags, f.Len = s.id, s.flags, s.len
		binary.NativeEndian.PutUint64(f.Data[:8], s.data)
		if s.len > canbus.MaxClassicLen {
			*(*moreData)(f.Data[canbus.MaxClassicLen:]) = r.more[out&mask]
		}
		f.Timestamp, f.Channel = 0, 0
		if r.stamps != nil {
			f.Timestamp = r.stamps[out&mask]
		}
		out++
	}
	r.out.Store(out)
	return n
}

// rouse wakes the reader if it sleeps.
func (r *ring) rouse() {
	if r.asleep.Load() && r.asleep.CompareAndSwap(true, false) {
		r.wake <- struct{}{}
	}
}

// sleep waits for rouse, unless there is a frame already or done reports true.
// A goroutine that changes what done reports calls rouse afterwards.
func (r *ring) sleep(done func() bool) {
	r.asleep.Store(true)
	if (r.in.Load() != r.out.Load() || done()) && r.asleep.CompareAndSwap(true, false) {
		return
	}
	<-r.wake
}
