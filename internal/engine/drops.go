package engine

// Drops count the frames that a bus has received and lost before they could be read. For
// which engines they were is not known. All engines of a bus share one.
type Drops struct {
	Total uint64
	// Before is Total without what was lost since the frames being handled began to
	// wait: those lost may be in between.
	Before uint64
}

// Since is how many were lost after a moment at which there had been that many. The
// number is cut to 32 bits to save room.
func (d *Drops) Since(before uint32) uint32 { return uint32(d.Total) - before }

// SendDropped is how many frames the bus has dropped during the last transmission: the
// peer's flow control may have been among them.
func (e *Engine) SendDropped() uint32 { return e.tx.drops }
