package engine

// Drops count the frames that a bus has received and lost before they could be read. We do
// not know for which engines they were. All engines of a bus share one Drops.
type Drops struct {
	Total uint64
	// Before is what Total was when the frames that are being handled began to wait to be
	// read: frames that were lost since then may have come between them.
	Before uint64
}

// Since returns how many frames were lost since Total was before. Both are cut to 32 bits
// to save room.
func (d *Drops) Since(before uint32) uint32 { return uint32(d.Total) - before }

// SendDropped is how many frames the bus has dropped during the last transmission: the
// peer's flow control may have been among them.
func (e *Engine) SendDropped() uint32 { return e.tx.drops }
