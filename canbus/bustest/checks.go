package bustest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/isotp/canbus"
)

var checks = []check{
	{name: "FramesOfEveryKindArrive", do: framesOfEveryKind},
	{name: "RefusedFrameIsNotSentAndTheBusLives", do: refusedFrames},
	{name: "BatchesKeepTheOrder", do: batches},
	{name: "BothWaysAtOnce", do: bothWays},
	{name: "WriteKeepsNoReference", do: noReference},
	{name: "OwnFramesComeBackAsEchoesOrNotAtAll", do: echoes},
	{name: "FrameThatWasReadCanBeWritten", do: forwarded},
	{name: "FramesAreTimedIfTheBusHasItsOwnTime", do: ownTime},
	{name: "SlowReader", do: slowReader},
	{name: "TryWriteTakesWhatItSays", do: tryWrite, needs: needTryWriter},
	{name: "Filters", do: filters, needs: needFilters},
	{name: "ErrorFrames", do: errorFrames, needs: needReport},
	{name: "FlushedFramesArriveThoughCloseFollows", do: flushed, needs: needFlusher},
	{name: "FlushEndsWithItsContext", do: flushContext, needs: needFlusher},
	{name: "DroppedFramesAreCounted", do: dropped, needs: needDropCounter},
	{name: "FramesRefusedLaterComeBackInOrder", do: refusedLater, needs: needRefuse},
	{name: "CloseEndsRead", do: closeEndsRead},
	{name: "CloseEndsWrite", do: closeEndsWrite},
	{name: "ClosedBusSaysSo", do: closedBus},
	{name: "CloseLeavesTheOtherAlone", do: closeLeavesTheOther},
	{name: "CloseManyTimesAtOnce", do: closeManyTimes},
}

// inShort returns how many frames a check sends: so many in short runs (go test -short), else whole.
func inShort(few, whole int) int {
	if testing.Short() {
		return few
	}
	return whole
}

// kinds are frames of every kind that the driver has.
func (p *pair) kinds() []canbus.Frame {
	list := []canbus.Frame{
		frame(0x7E0, 1, 2, 3, 4, 5, 6, 7, 8),
		frame(0),
		frame(canbus.MaxStandardID, 0xFF),
		{ID: 0x18DAF110, Flags: canbus.Extended, Len: 2, Data: [64]byte{1, 2}},
		{ID: 0x7E0, Flags: canbus.Extended, Len: 3, Data: [64]byte{1, 2, 3}}, // not the 11-bit one
		{ID: canbus.MaxExtendedID, Flags: canbus.Extended},
	}
	for n := range canbus.MaxClassicLen + 1 {
		f := canbus.Frame{ID: 0x123, Len: uint8(n)}
		for i := range n {
			f.Data[i] = byte(0xF8 + i)
		}
		list = append(list, f)
	}
	if !p.options.NoRemote {
		list = append(list,
			canbus.Frame{ID: 0x7E0, Flags: canbus.Remote},
			canbus.Frame{ID: 0x7E0, Flags: canbus.Remote, Len: 8},
			canbus.Frame{ID: 0x18DAF110, Flags: canbus.Remote | canbus.Extended, Len: 3},
		)
	}
	if !p.properties.FD {
		return list
	}
	for n := range canbus.MaxLen + 1 {
		if !canbus.ValidLen(n, true) {
			continue
		}
		f := canbus.Frame{ID: 0x456, Flags: canbus.FD, Len: uint8(n)}
		for i := range n {
			f.Data[i] = byte(0xFF - i)
		}
		list = append(list, f)
	}
	return append(list,
		canbus.Frame{ID: 0x7E0, Flags: canbus.FD | canbus.BRS, Len: 64, Data: [64]byte{63: 1}},
		canbus.Frame{ID: 0x18DAF110, Flags: canbus.FD | canbus.Extended, Len: 12, Data: [64]byte{11: 1}},
		canbus.Frame{ID: 0x18DAF110, Flags: canbus.FD | canbus.BRS | canbus.Extended, Len: 64, Data: [64]byte{62: 2}},
	)
}

func framesOfEveryKind(p *pair) error {
	fromA, fromB := p.read(p.b, 64), p.read(p.a, 64)
	kinds := p.kinds()
	for _, way := range []struct {
		to   canbus.Bus
		from *reader
	}{{p.a, fromA}, {p.b, fromB}} {
		if err := write(way.to, kinds...); err != nil {
			return err
		}
		if err := way.from.want(kinds...); err != nil {
			return err
		}
	}
	return nil
}

// unsendable are frames that no driver sends, and those that this one does not.
func (p *pair) unsendable() []canbus.Frame {
	list := []canbus.Frame{
		{ID: 0x800},
		{ID: canbus.MaxExtendedID + 1, Flags: canbus.Extended},
		{ID: 0x123, Len: 9},
		{ID: 0x123, Len: 255},
		{ID: 0x123, Flags: canbus.BRS},
		{ID: 0x004, Flags: canbus.ErrorFrame, Len: 8},
		{ID: 0x123, Flags: canbus.FD, Len: 9},
		{ID: 0x123, Flags: canbus.FD | canbus.Remote},
	}
	if !p.properties.FD {
		list = append(list, canbus.Frame{ID: 0x123, Flags: canbus.FD, Len: 12})
	}
	if p.options.NoRemote {
		list = append(list, canbus.Frame{ID: 0x123, Flags: canbus.Remote})
	}
	return list
}

func refusedFrames(p *pair) error {
	got := p.read(p.b, 64)
	own := p.read(p.a, 64)
	var want []canbus.Frame
	for i, bad := range p.unsendable() {
		before, after := frame(0x100, byte(i)), frame(0x200, byte(i))
		rest := []canbus.Frame{before, bad, after}
		for len(rest) == 3 {
			n, err := p.a.WriteFrames(rest)
			switch {
			case n > 1:
				return fmt.Errorf("WriteFrames took %v", bad)
			case err != nil && n == 0 && !errors.Is(err, canbus.ErrTemporary):
				return fmt.Errorf("WriteFrames took nothing in front of %v: %w", bad, err)
			}
			rest = rest[n:]
		}
		n, err := p.a.WriteFrames(rest)
		if n != 0 || err == nil {
			return fmt.Errorf("WriteFrames of %v took %d frames, without an error", bad, n)
		}
		if errors.Is(err, canbus.ErrTemporary) {
			return fmt.Errorf("WriteFrames of %v: %w (it is temporary: the caller would try again for ever)", bad, err)
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("WriteFrames of %v: %w (the bus is not closed)", bad, err)
		}
		if err := write(p.a, rest[1:]...); err != nil {
			return fmt.Errorf("after %v was refused: %w", bad, err)
		}
		want = append(want, before, after)
		if err := got.want(want...); err != nil {
			return fmt.Errorf("around %v: %w", bad, err)
		}
	}
	return own.wantEchoes(p, want...)
}

func batches(p *pair) error {
	count := inShort(100, 300)
	sent := numbered(count * 5)
	p.read(p.a, 64)
	got := p.read(p.b, 7)
	for i, size := range []int{1, 3, 64, 65, count} {
		for chunk := range slices.Chunk(sent[i*count:(i+1)*count], size) {
			if err := write(p.a, chunk...); err != nil {
				return err
			}
		}
		// A lossy bus must not be sent more than its reader has room for.
		if err := got.until(func() bool { return len(got.frames) >= (i+1)*count }); err != nil {
			return err
		}
	}
	return got.want(sent...)
}

func bothWays(p *pair) error {
	const size = 50
	rounds := inShort(4, 20)
	fromA, fromB := p.read(p.b, 64), p.read(p.a, 64)
	sent := numbered(rounds * size)
	errs := make(chan error, 2)
	for _, way := range []struct {
		to   canbus.Bus
		from *reader
	}{{p.a, fromA}, {p.b, fromB}} {
		p.goroutines.Go(func() {
			for i := range rounds {
				if err := write(way.to, sent[i*size:(i+1)*size]...); err != nil {
					errs <- err
					return
				}
				way.from.until(func() bool { return len(way.from.frames) >= (i+1)*size })
			}
			errs <- way.from.want(sent...)
		})
	}
	return errors.Join(<-errs, <-errs)
}

func noReference(p *pair) error {
	p.read(p.a, 64)
	got := p.read(p.b, 64)
	sent := numbered(100)
	buf := make([]canbus.Frame, 10)
	for chunk := range slices.Chunk(sent, len(buf)) {
		copy(buf, chunk)
		if err := write(p.a, buf...); err != nil {
			return err
		}
		for i := range buf {
			buf[i] = frame(0x666, 0xBA, 0xD0)
		}
	}
	return got.want(sent...)
}

func echoes(p *pair) error {
	own, got := p.read(p.a, 64), p.read(p.b, 64)
	sent := p.kinds()
	if err := write(p.a, sent...); err != nil {
		return err
	}
	if err := got.want(sent...); err != nil {
		return err
	}
	// Once an answer is there, what was written before has come back too, or never
	// will.
	answer := frame(0x321, 1)
	if err := write(p.b, answer); err != nil {
		return err
	}
	if err := own.want(answer); err != nil {
		return fmt.Errorf("a bus read its own frames: %w", err)
	}
	if err := own.wantEchoes(p, sent...); err != nil {
		return err
	}
	return got.wantEchoes(p, answer)
}

func forwarded(p *pair) error {
	p.read(p.a, 64)
	got := p.read(p.b, 64)
	f := frame(0x7E0, 1, 2)
	f.Stamp(1_700_000_000_000_000_000)
	f.Channel = 2
	f.Flags |= canbus.Echo | canbus.Refused
	if err := write(p.a, f); err != nil {
		return err
	}
	f.Strip()
	if err := got.want(f); err != nil {
		return err
	}
	return got.wantEchoes(p)
}

// ownTime looks for the flag Timed where the frames' time is what counts.
func ownTime(p *pair) error {
	fromA, fromB := p.read(p.b, 64), p.read(p.a, 64)
	for _, way := range []struct {
		to, at canbus.Bus
		from   *reader
	}{{p.a, p.b, fromA}, {p.b, p.a, fromB}} {
		if !canbus.PropertiesOf(way.at).OwnTime {
			continue
		}
		f := frame(0x123, 1)
		if err := write(way.to, f); err != nil {
			return err
		}
		if err := way.from.want(f); err != nil {
			return err
		}
		if f = way.from.raw[0]; !f.Has(canbus.Timed) {
			return fmt.Errorf("the bus says OwnTime, and its frame %v has not the flag Timed", f)
		}
	}
	return nil
}

func slowReader(p *pair) error {
	count := inShort(500, 3000)
	p.read(p.a, 64)
	sent := numbered(count)
	begun := make(chan struct{})
	written := make(chan error, 1)
	end := frame(0x321, 0xE0)
	p.goroutines.Go(func() {
		err := write(p.a, sent[0])
		close(begun)
		if err == nil {
			err = write(p.a, sent[1:]...)
		}
		written <- err
		// The last frame may be lost as any other: it is sent until it arrives. With one
		// processor the reader has a turn between two, and does not wait for 10 ms at each.
		for err == nil && p.options.Lossy {
			runtime.Gosched()
			err = write(p.a, end)
		}
	})
	<-begun

	var got []canbus.Frame
	buf := make([]canbus.Frame, 3)
	for ended := false; !ended; {
		runtime.Gosched()
		n, err := p.b.ReadFrames(buf)
		if err != nil && !errors.Is(err, canbus.ErrTemporary) {
			return fmt.Errorf("ReadFrames after %d frames: %w", len(got), err)
		}
		for _, f := range buf[:n] {
			switch f = plain(f); {
			case f == end:
				ended = true
			case !ended:
				got = append(got, f)
			}
		}
		if !p.options.Lossy && len(got) >= count {
			ended = true
		}
	}
	if err := <-written; err != nil {
		return err
	}
	if p.options.Lossy {
		return inOrder(got, sent)
	}
	return equal("frame", got, sent)
}

// inOrder returns an error unless got is sent with some left out.
func inOrder(got, sent []canbus.Frame) error {
	next := 0
	for i, f := range got {
		k := slices.Index(sent[next:], f)
		if k < 0 {
			return fmt.Errorf("frame %d is %v, which is not one of those sent after the one before", i, f)
		}
		next += k + 1
	}
	return nil
}

func needTryWriter(a canbus.Bus, _ *Options) string {
	if _, ok := a.(canbus.TryWriter); !ok {
		return "TryWriteFrames"
	}
	return ""
}

func tryWrite(p *pair) error {
	const count = 500
	p.read(p.a, 64)
	got := p.read(p.b, 64)
	rest := numbered(count)
	for len(rest) > 0 {
		n, err := p.a.(canbus.TryWriter).TryWriteFrames(rest[:min(len(rest), 50)])
		if err != nil && !errors.Is(err, canbus.ErrTemporary) {
			return err
		}
		if n < 0 || n > len(rest) {
			return fmt.Errorf("TryWriteFrames took %d frames of %d", n, len(rest))
		}
		if n == 0 {
			// Full: WriteFrames waits for room.
			if err := write(p.a, rest[0]); err != nil {
				return err
			}
			n = 1
		}
		rest = rest[n:]
		if sent := count - len(rest); p.options.Lossy && sent%100 < n {
			got.until(func() bool { return len(got.frames) >= sent })
		}
	}
	return got.want(numbered(count)...)
}

func needFilters(a canbus.Bus, _ *Options) string {
	if _, ok := canbus.As[canbus.FilterSetter](a); !ok {
		return "SetFilters"
	}
	return ""
}

func setFilters(bus canbus.Bus, filters []canbus.Filter) error {
	setter, _ := canbus.As[canbus.FilterSetter](bus)
	return setter.SetFilters(filters)
}

func filters(p *pair) error {
	own, got := p.read(p.a, 64), p.read(p.b, 64)
	marker := canbus.Filter{ID: 0x700, Mask: 0x7FF}
	list := []canbus.Frame{
		frame(0x7E8, 1),
		frame(0x7E9, 2),
		{ID: 0x7E8, Flags: canbus.Extended, Len: 1, Data: [64]byte{3}},
		{ID: 0x18DAF110, Flags: canbus.Extended, Len: 1, Data: [64]byte{4}},
		{ID: 0x18DAF111, Flags: canbus.Extended, Len: 1, Data: [64]byte{5}},
	}
	sent := 0
	for i, filters := range [][]canbus.Filter{
		{{ID: 0x7E8, Mask: 0x7FF}},
		{{ID: 0x18DAF110, Mask: canbus.MaxExtendedID, Extended: true}, {ID: 0x7E9, Mask: 0x7FF}},
		{{ID: 0x18DA0010, Mask: 0x1FFF00FE, Extended: true}},
		{{}},
		{},
		{{Extended: true}},
	} {
		filters = append(filters, marker)
		if err := setFilters(p.b, filters); err != nil {
			return err
		}
		end := frame(0x700, byte(i))
		if err := write(p.a, append(slices.Clone(list), end)...); err != nil {
			return err
		}
		sent += len(list) + 1
		before, err := got.last(end)
		if err != nil {
			return err
		}
		var want []canbus.Frame
		for _, f := range list {
			if slices.ContainsFunc(filters, func(x canbus.Filter) bool { return x.Match(&f) }) {
				want = append(want, f)
			}
		}
		got.mu.Lock()
		got.frames = nil
		got.mu.Unlock()
		if err := equal("frame", before, want); err != nil {
			return fmt.Errorf("with filters %v: %w", filters, err)
		}
	}
	// What a bus itself writes needs to pass no filter.
	if err := setFilters(p.a, nil); err != nil {
		return err
	}
	own.mu.Lock()
	own.echoes = nil
	own.mu.Unlock()
	mine := frame(0x123, 9)
	if err := setFilters(p.b, []canbus.Filter{{}}); err != nil {
		return err
	}
	if err := write(p.a, mine); err != nil {
		return err
	}
	if err := got.want(mine); err != nil {
		return err
	}
	if !p.properties.Echo {
		return nil
	}
	return own.until(func() bool { return slices.Contains(own.echoes, mine) })
}

func needReport(_ canbus.Bus, o *Options) string {
	if o.Report == nil {
		return "way to have an error reported"
	}
	return ""
}

func errorFrames(p *pair) error {
	own := p.read(p.a, 64)
	if f, ok := canbus.As[canbus.FilterSetter](p.a); ok {
		if err := f.SetFilters(nil); err != nil {
			return err
		}
	}
	if err := p.options.Report(p.a); err != nil {
		return err
	}
	return own.until(func() bool {
		return slices.ContainsFunc(own.frames, func(f canbus.Frame) bool { return f.Has(canbus.ErrorFrame) })
	})
}

func needFlusher(a canbus.Bus, _ *Options) string {
	if _, ok := canbus.As[canbus.Flusher](a); !ok {
		return "Flush"
	}
	return ""
}

// flushLater is how many frames a check leaves to Flush: not more than a bus holds while
// their echoes are not read.
const flushLater = 100

func flushed(p *pair) error {
	got := p.read(p.b, 64)
	sent := numbered(flushLater)
	if err := write(p.a, sent...); err != nil {
		return err
	}
	f, _ := canbus.As[canbus.Flusher](p.a)
	if err := f.Flush(context.Background()); err != nil {
		return fmt.Errorf("calling Flush, without a reader: %w", err)
	}
	if err := p.a.Close(); err != nil {
		return fmt.Errorf("calling Close: %w", err)
	}
	return got.want(sent...)
}

func flushContext(p *pair) error {
	p.read(p.a, 64)
	p.read(p.b, 64)
	if err := write(p.a, numbered(flushLater)...); err != nil {
		return err
	}
	f, _ := canbus.As[canbus.Flusher](p.a)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Flush(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("calling Flush with a context that is done: %w", err)
	}
	// It has done no harm.
	if err := f.Flush(context.Background()); err != nil {
		return fmt.Errorf("calling Flush: %w", err)
	}
	return nil
}

func needDropCounter(a canbus.Bus, _ *Options) string {
	if _, ok := canbus.As[canbus.DropCounter](a); !ok {
		return "Dropped"
	}
	return ""
}

// dropped makes a bus lose frames, if it can, and checks that it counts every one.
func dropped(p *pair) error {
	count := inShort(500, 3000)
	counter, _ := canbus.As[canbus.DropCounter](p.b)
	p.read(p.a, 64)
	if n := counter.Dropped(); n != 0 {
		return fmt.Errorf("%d frames are dropped although none was written", n)
	}
	var got *reader
	if !p.options.Lossy {
		got = p.read(p.b, 64) // else the writer might wait for it
	}
	written := count
	if err := write(p.a, numbered(written)...); err != nil {
		return err
	}
	if p.options.Lossy {
		got = p.read(p.b, 64)
	}
	// What was dropped last may be noticed with the next frame only, if some are
	// still on their way here.
	tail := frame(0x321, 0xE0)
	lost := uint64(0)
	for deadline := time.Now().Add(patience / 2); ; {
		before := lost
		lost = counter.Dropped()
		read := got.count()
		switch {
		case lost < before:
			return fmt.Errorf("the count of dropped frames falls from %d to %d", before, lost)
		case uint64(read)+lost == uint64(written):
			return droppedAfterClose(p, counter, lost)
		case uint64(read)+lost > uint64(written) || time.Now().After(deadline):
			return fmt.Errorf("%d frames written, %d read, and %d dropped", written, read, lost)
		}
		time.Sleep(10 * time.Millisecond)
		if p.options.Lossy && uint64(got.count())+counter.Dropped() < uint64(written) {
			if err := write(p.a, tail); err != nil {
				return err
			}
			written++
		}
	}
}

func droppedAfterClose(p *pair, counter canbus.DropCounter, lost uint64) error {
	if lost > 0 && !p.options.Lossy {
		return fmt.Errorf("%d frames are dropped by a driver that loses none", lost)
	}
	if err := p.b.Close(); err != nil {
		return fmt.Errorf("calling Close: %w", err)
	}
	if n := counter.Dropped(); n != lost {
		return fmt.Errorf("after Close %d frames are dropped; they were %d", n, lost)
	}
	return nil
}

func needRefuse(_ canbus.Bus, o *Options) string {
	if o.Refuse == nil {
		return "way to have frames refused later"
	}
	return ""
}

func refusedLater(p *pair) error {
	if !p.properties.Echo {
		return errors.New("without Properties.Echo a caller cannot learn that a frame is refused")
	}
	refused := func(f *canbus.Frame) bool { return f.Data[0]%3 == 0 || f.Data[0] > 50 }
	if err := p.options.Refuse(p.a, refused); err != nil {
		return err
	}
	own, got := p.read(p.a, 64), p.read(p.b, 64)
	list := numbered(60)
	var sent, back []canbus.Frame
	for _, f := range list {
		if refused(&f) {
			f.Flags |= canbus.Refused
		} else {
			sent = append(sent, f)
		}
		back = append(back, f)
	}
	if err := write(p.a, list...); err != nil {
		return err
	}
	if err := own.wantEchoes(p, back...); err != nil {
		return err
	}
	if err := got.want(sent...); err != nil {
		return err
	}
	if f, ok := canbus.As[canbus.Flusher](p.a); ok {
		if err := f.Flush(context.Background()); err != nil {
			return fmt.Errorf("calling Flush, with the last frame refused: %w", err)
		}
	}
	return nil
}

func closeEndsRead(p *pair) error {
	r := p.read(p.a, 64)
	// A frame tells that the reader is at it.
	if err := write(p.b, frame(0x100, 1)); err != nil {
		return err
	}
	if err := r.want(frame(0x100, 1)); err != nil {
		return err
	}
	if err := p.a.Close(); err != nil {
		return fmt.Errorf("calling Close: %w", err)
	}
	return isClosed("ReadFrames under way", r.end())
}

func closeEndsWrite(p *pair) error {
	// There is no reader: the writer waits for room, if the bus can be full.
	first := make(chan struct{})
	var once sync.Once
	var closed atomic.Bool
	ended := make(chan error, 1)
	p.goroutines.Go(func() {
		list := numbered(64)
		for {
			after := closed.Load()
			n, err := p.a.WriteFrames(list)
			if after && err == nil {
				ended <- nil
				return
			}
			once.Do(func() { close(first) })
			if err != nil && !errors.Is(err, canbus.ErrTemporary) {
				ended <- err
				return
			}
			if n == 0 && err == nil {
				ended <- errors.New("it took no frame and returned no error")
				return
			}
		}
	})
	<-first
	for range 1000 {
		runtime.Gosched()
	}
	if err := p.a.Close(); err != nil {
		return fmt.Errorf("calling Close: %w", err)
	}
	closed.Store(true)
	return isClosed("WriteFrames under way", <-ended)
}

func isClosed(what string, err error) error {
	if errors.Is(err, net.ErrClosed) && !errors.Is(err, canbus.ErrTemporary) {
		return nil
	}
	return fmt.Errorf("%s, after Close: %v; want net.ErrClosed", what, err)
}

func closedBus(p *pair) error {
	// What was received before may be lost or be read, but then comes the end.
	if err := p.a.Close(); err != nil {
		return fmt.Errorf("calling Close: %w", err)
	}
	for range 3 {
		_, err := p.a.ReadFrames(make([]canbus.Frame, 4))
		if err := isClosed("ReadFrames", err); err != nil {
			return err
		}
		n, err := p.a.WriteFrames(numbered(3))
		if n != 0 {
			return fmt.Errorf("WriteFrames took %d frames after Close", n)
		}
		if err := isClosed("WriteFrames", err); err != nil {
			return err
		}
		if w, ok := p.a.(canbus.TryWriter); ok {
			n, err := w.TryWriteFrames(numbered(3))
			if n != 0 {
				return fmt.Errorf("TryWriteFrames took %d frames after Close", n)
			}
			if err := isClosed("TryWriteFrames", err); err != nil {
				return err
			}
		}
		if f, ok := canbus.As[canbus.FilterSetter](p.a); ok {
			if err := isClosed("SetFilters", f.SetFilters(nil)); err != nil {
				return err
			}
		}
		if f, ok := canbus.As[canbus.Flusher](p.a); ok {
			if err := isClosed("Flush", f.Flush(context.Background())); err != nil {
				return err
			}
		}
		if err := p.a.Close(); err != nil {
			return fmt.Errorf("closing a closed bus: %w", err)
		}
	}
	if now := canbus.PropertiesOf(p.a); now != p.properties {
		return fmt.Errorf("after Close the properties are %+v; they were %+v", now, p.properties)
	}
	return nil
}

func closeLeavesTheOther(p *pair) error {
	got := p.read(p.b, 64)
	if err := write(p.a, frame(0x100, 1)); err != nil {
		return err
	}
	if err := got.want(frame(0x100, 1)); err != nil {
		return err
	}
	if err := p.a.Close(); err != nil {
		return fmt.Errorf("calling Close: %w", err)
	}
	if err := write(p.b, frame(0x200, 2)); err != nil {
		return fmt.Errorf("after the other end was closed: %w", err)
	}
	return nil
}

func closeManyTimes(p *pair) error {
	r := p.read(p.a, 64)
	errs := make(chan error)
	const closers = 8
	for range closers {
		p.goroutines.Go(func() { errs <- p.a.Close() })
	}
	var all error
	for range closers {
		if err := <-errs; err != nil {
			all = fmt.Errorf("calling Close: %w", err)
		}
	}
	return errors.Join(all, isClosed("ReadFrames under way", r.end()))
}
