// Package scan finds the ECUs on a CAN bus that speak ISO 15765-2: it sends a probe to each
// of many addresses, and looks for what answers.
//
// A scan first listens. Identifiers that carry frames then belong to others: nothing is sent
// on them, and nothing on them is an answer. Then it goes on by blocks of targets. It sends
// one probe to each, at an even pace and without waiting for answers, and remembers each
// frame that looks like one (sweep.go). Behind a block it takes these in turn: which of the
// probes that were sent shortly before can it answer? Each of them is sent again, alone and
// in silence, and an endpoint is one that answers again, and once more (confirm.go). So an
// ECU may answer late, several may answer one address, and one may answer several.
package scan

import (
	"cmp"
	"context"
	"errors"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// A Config says what a scan does. Targets, Rate and Wait must be there.
type Config struct {
	Targets Targets
	// First is the index of the first target to probe: what is before it has been probed by
	// an earlier scan.
	First int64
	Probe Probe
	// FD: send CAN FD frames, with BRS such that switch the bit rate.
	FD, BRS bool
	// MinFrameSize is 8, or 0: the length up to which probes are filled. First Frames have
	// 8 bytes in any case.
	MinFrameSize int
	// Fill is what frames are filled up with.
	Fill byte
	// Rate is the most frames to send in a second, at least 1.
	Rate int
	// Listen is how long to listen before the first probe.
	Listen time.Duration
	// Wait is how late an answer may come.
	Wait time.Duration
	// Intrusive: ask each ECU more than needed to find it. Longest is found by First Frames
	// of messages of any length, and the probe that was not chosen is sent, too.
	Intrusive bool
	// Found is called for each endpoint as soon as it is sure.
	Found func(*Endpoint)
	// Progress, if not nil, is called for each target that was probed the first time or
	// skipped.
	Progress func()
}

// A Report says what a scan has done.
type Report struct {
	// Next is the index of the first target that is not done, the number of targets if all
	// are: a scan with that First goes on.
	Next int64
	// Probed is how many targets were probed, Sent how many frames that took.
	Probed, Sent int64
	// Busy are the identifiers that carried frames of others: in the time of listening, or
	// later, when nothing was asked. No answers were taken from them.
	Busy []ID
	// Skipped are those of them that are among the targets: they were not probed.
	Skipped []ID
	// Doubtful are addresses that have answered a probe, and not again.
	Doubtful []wire.Address
	// Refused is how many frames the bus took and did not send; Dropped how many received
	// frames were lost: by the bus, or because they were more than a scan remembers. Either way
	// an endpoint may be missing.
	Refused, Dropped uint64
	// Trouble is the last error of the bus after which it went on, nil if there was none.
	Trouble error
}

// An ID is a CAN identifier.
type ID struct {
	ID       uint32
	Extended bool
}

// String returns 3 or 8 hexadecimal digits.
func (id ID) String() string { return wire.Address{ID: id.ID, Extended: id.Extended}.String() }

func idOf(f *canbus.Frame) ID { return ID{f.ID, f.Has(canbus.Extended)} }

func idOfAddress(a wire.Address) ID { return ID{a.ID, a.Extended} }

// compareIDs orders identifiers of 11 bits before those of 29.
func compareIDs(a, b ID) int {
	if a.Extended != b.Extended {
		if b.Extended {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.ID, b.ID)
}

// ErrEnd is the error of a scan whose bus has ended.
var ErrEnd = errors.New("the bus has ended")

// Run scans a bus until all targets are done, ctx ends or the bus fails, and closes the bus.
// The report is right also with an error, which is ctx's own if ctx has ended.
func Run(ctx context.Context, bus canbus.Bus, c Config) (Report, error) {
	s := &scanner{
		Config: c, bus: bus, in: receive(bus),
		overheads: c.Targets.overheads(),
		busy:      make(map[ID]bool), skipped: make(map[ID]bool),
		strays: make(map[wire.Address]int), known: make(map[wire.Address]bool),
		told: make(map[[2]wire.Address]bool),
	}
	s.report.Next = c.First
	stop := context.AfterFunc(ctx, func() { bus.Close() }) // a Write may wait
	err := s.run(ctx)
	stop()
	s.report.Trouble = s.in.close()
	s.report.Dropped += s.in.lost
	if d, ok := canbus.As[canbus.DropCounter](bus); ok {
		s.report.Dropped += d.Dropped()
	}
	s.report.finish(s)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return s.report, err
}
