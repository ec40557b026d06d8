package virtual

import "example.com/isotp/canbus"

// A filterSet is a list of filters in a form that takes the same time for one
// filter as for ten thousand.
type filterSet struct {
	// standard has a bit for each 11-bit identifier.
	standard [(canbus.MaxStandardID + 1) / 64]uint64
	// extended are the 29-bit identifiers that a filter names whole.
	extended map[uint32]struct{}
	// masked are the other filters for 29-bit identifiers.
	masked []canbus.Filter
}

func newFilterSet(filters []canbus.Filter) *filterSet {
	s := &filterSet{extended: make(map[uint32]struct{})}
	for _, f := range filters {
		switch {
		case !f.Extended && f.Mask&canbus.MaxStandardID == canbus.MaxStandardID:
			if id := f.ID & f.Mask; id <= canbus.MaxStandardID {
				s.standard[id/64] |= 1 << (id % 64)
			}
		case !f.Extended:
			for id := range uint32(canbus.MaxStandardID + 1) {
				if (id^f.ID)&f.Mask == 0 {
					s.standard[id/64] |= 1 << (id % 64)
				}
			}
		case f.Mask&canbus.MaxExtendedID == canbus.MaxExtendedID && f.ID <= canbus.MaxExtendedID:
			s.extended[f.ID] = struct{}{}
		default:
			s.masked = append(s.masked, f)
		}
	}
	return s
}

// match reports whether one of the filters lets the frame pass.
func (s *filterSet) match(f *canbus.Frame) bool {
	if !f.Has(canbus.Extended) {
		return s.standard[f.ID/64%uint32(len(s.standard))]>>(f.ID%64)&1 != 0
	}
	if _, ok := s.extended[f.ID]; ok {
		return true
	}
	for _, m := range s.masked {
		if m.Match(f) {
			return true
		}
	}
	return false
}
