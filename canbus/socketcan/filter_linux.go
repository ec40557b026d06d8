package socketcan

import (
	"net"
	"sync"
	"sync/atomic"

	"example.com/isotp/canbus"
	"golang.org/x/sys/unix"
)

// maxFilters is how many the kernel takes on one socket: CAN_RAW_FILTER_MAX.
const maxFilters = 512

// filters are the filters of a socket.
//
// The kernel finds exact filters in a table, so that frames that are not wanted cost
// nothing. But it applies filters to echoes too. So there is one more filter for each
// identifier that was ever sent, and the reader itself leaves out the frames that other
// nodes send with these identifiers.
type filters struct {
	wanted atomic.Pointer[filterSet] // nil: everything

	mu   sync.Mutex          // guards sent, and is held while the kernel's filters are set
	sent map[uint32]struct{} // as in struct can_frame, without RTR; nil while everything is wanted
}

// A filterSet finds exact filters in the same time for one as for ten thousand.
type filterSet struct {
	exact  map[uint32]struct{} // identifiers as in struct can_frame
	masked []canbus.Filter
	kernel []unix.CanFilter
}

func newFilterSet(list []canbus.Filter) *filterSet {
	s := &filterSet{
		exact:  make(map[uint32]struct{}),
		kernel: make([]unix.CanFilter, 0, len(list)),
	}
	for _, f := range list {
		flag, all := uint32(0), uint32(canbus.MaxStandardID)
		if f.Extended {
			flag, all = unix.CAN_EFF_FLAG, canbus.MaxExtendedID
		}
		if f.Mask&f.ID&^all != 0 {
			continue // wants a bit that no identifier has
		}
		if f.Mask&all == all {
			s.exact[f.ID&all|flag] = struct{}{}
		} else {
			s.masked = append(s.masked, f)
		}
		s.kernel = append(s.kernel, unix.CanFilter{Id: f.ID&all | flag, Mask: f.Mask&all | kindMask})
	}
	return s
}

// remoteFrames lets all remote frames pass. The kernel's table is for data frames,
// and remote frames are rare.
var remoteFrames = unix.CanFilter{Id: unix.CAN_RTR_FLAG, Mask: unix.CAN_RTR_FLAG}

// kindMask makes a filter tell 11-bit from 29-bit identifiers, and leave remote
// frames out. Only with both bits is it found in the table.
const kindMask = unix.CAN_EFF_FLAG | unix.CAN_RTR_FLAG

func (s *filterSet) match(f *canbus.Frame) bool {
	if _, ok := s.exact[rawID(f)]; ok {
		return true
	}
	for _, m := range s.masked {
		if m.Match(f) {
			return true
		}
	}
	return false
}

// rawID is a frame's identifier as in struct can_frame, without RTR.
func rawID(f *canbus.Frame) uint32 {
	if f.Has(canbus.Extended) {
		return f.ID | unix.CAN_EFF_FLAG
	}
	return f.ID
}

// SetFilters implements [canbus.FilterSetter]. Frames that were received before
// stay. Linux takes 512 filters; with more, the Bus sorts the frames out itself.
func (b *Bus) SetFilters(list []canbus.Filter) error {
	fs := &b.filters
	fs.mu.Lock()
	defer fs.mu.Unlock()
	set := newFilterSet(list)
	if fs.sent == nil {
		fs.sent = make(map[uint32]struct{})
	}
	// Whichever is narrower, the kernel's or ours, holds in the meantime.
	if err := b.setKernelFilters(set); err != nil {
		return err
	}
	fs.wanted.Store(set)
	return nil
}

// hearEchoes makes sure that the echoes of these frames pass the filters.
func (b *Bus) hearEchoes(frames []canbus.Frame) error {
	fs := &b.filters
	if fs.wanted.Load() == nil {
		return nil
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	set := fs.wanted.Load()
	news := false
	for i := range frames {
		id := rawID(&frames[i])
		if _, ok := fs.sent[id]; !ok {
			fs.sent[id] = struct{}{}
			news = true
		}
	}
	if !news {
		return nil
	}
	return b.setKernelFilters(set)
}

// setKernelFilters is called with filters.mu held.
func (b *Bus) setKernelFilters(set *filterSet) error {
	list := set.kernel[:len(set.kernel):len(set.kernel)]
	for id := range b.filters.sent {
		if _, ok := set.exact[id]; !ok {
			list = append(list, unix.CanFilter{Id: id, Mask: exactMask(id)})
		}
	}
	if len(list) > 0 {
		list = append(list, remoteFrames)
	}
	if len(list) > maxFilters {
		list = []unix.CanFilter{{}} // everything
	}
	var errno error
	err := b.raw.Control(func(fd uintptr) {
		errno = unix.SetsockoptCanRawFilter(int(fd), unix.SOL_CAN_RAW, unix.CAN_RAW_FILTER, list)
	})
	switch {
	case err != nil:
		return net.ErrClosed
	case errno != nil:
		return b.error("filter", errnoOf(errno))
	}
	return nil
}

func exactMask(id uint32) uint32 {
	if id&unix.CAN_EFF_FLAG != 0 {
		return canbus.MaxExtendedID | kindMask
	}
	return canbus.MaxStandardID | kindMask
}
