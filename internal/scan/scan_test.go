package scan

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/internal/wire"
)

func words(text string) []string { return strings.Fields(text) }

// A bench is a bus, and what a scan of it has found.
type bench struct {
	*testing.T
	network *virtual.Network
	config  Config
	sim     *simBus
	load    time.Duration // what has been sent with every took on the wire
	found   []*Endpoint
	report  Report
}

const bitrate = 500_000

// newBench makes a bus.
func newBench(t *testing.T) *bench {
	n, err := virtual.New(virtual.Options{Bitrate: bitrate})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, network: n}
	b.config = Config{
		MinFrameSize: 8, Fill: 0xCC, Rate: 200,
		Listen: time.Second, Wait: 100 * time.Millisecond,
		Found: func(e *Endpoint) { b.found = append(b.found, e) },
	}
	return b
}

// simulate has ECUs on the bus. It is called once.
func (b *bench) simulate(ecus ...*simECU) { b.sim = simulate(b.T, b.network, ecus) }

func (b *bench) ids(text string) {
	b.Helper()
	b.add(ParseIDs(text))
}

func (b *bench) add(t Targets, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	b.config.Targets = append(b.config.Targets, t...)
}

// scan scans until it ends.
func (b *bench) scan(ctx context.Context) error {
	b.Helper()
	tap, err := b.network.Tap()
	if err != nil {
		b.Fatal(err)
	}
	b.report, err = Run(ctx, tap, b.config)
	return err
}

// want scans, and wants the endpoints with these addresses, in any order.
func (b *bench) want(addresses ...string) {
	b.Helper()
	if err := b.scan(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.wantFound(addresses...)
}

func (b *bench) wantFound(addresses ...string) {
	b.Helper()
	var got []string
	for _, e := range b.found {
		got = append(got, e.Address())
	}
	slices.Sort(got)
	slices.Sort(addresses)
	if !slices.Equal(got, addresses) {
		b.Errorf("found %q, want %q; %+v", got, addresses, b.report)
	}
}

// on runs a test with a bus of its own.
func on(t *testing.T, f func(b *bench)) {
	synctest.Test(t, func(t *testing.T) { f(newBench(t)) })
}

// every writes frames at regular times until the test ends.
func (b *bench) every(period time.Duration, frames func() []canbus.Frame) {
	done := make(chan struct{})
	b.Cleanup(func() { close(done) })
	go func() {
		for tick := time.NewTicker(period); ; {
			select {
			case <-done:
				return
			case <-tick.C:
				list := frames()
				for i := range list {
					b.load += canbus.WireTime(&list[i], bitrate, 0)
				}
				b.sim.write(list...)
			}
		}
	}()
}

// addNoise loads the bus to 40 %: 27 identifiers, with data that look like a flow control
// always, now and then, or never.
func (b *bench) addNoise() {
	random := rand.New(rand.NewPCG(1, 2))
	turn := 0
	b.every(10*time.Millisecond, func() (frames []canbus.Frame) {
		turn++
		for i := range 27 {
			if i%3 > 0 && (i+turn)%2 > 0 {
				continue // at 20 ms
			}
			f := canbus.Frame{ID: uint32(0x100 + 0x11*i), Len: 8}
			for j := range f.Payload() {
				f.Data[j] = byte(random.Uint32())
			}
			if i%4 == 0 {
				f.Data[0] = 0x30
			}
			frames = append(frames, f)
		}
		return frames
	})
}

func TestEveryECUIsFoundInNoise(t *testing.T) {
	on(t, func(b *bench) {
		b.simulate(
			simECU{}.at("7E0 7DF", "7E8"),
			simECU{short: true, delay: 80 * time.Millisecond}.at("7E1", "7E9"),
			simECU{}.at("6F1#10", "610#F1"),
			simECU{}.at("6F1#12", "612#F1"),
			simECU{delay: 50 * time.Millisecond}.at("18DA10F1", "18DAF110"),
			simECU{}.at("18CE22F1#99", "18CEF122#99"),
		)
		b.addNoise()
		b.ids("780-7FF,18DA1000-18DA10FF")
		b.add(ParseWithBytes("6F1#00-2F"))
		b.add(ParseFixed("00-1F", 0xF1))
		b.add(ParseMixed("20-23#98-9A", 0xF1))
		begin := time.Now()
		b.want("7E0:7E8", "7DF:7E8", "7E1:7E9", "6F1#10:610#F1", "6F1#12:612#F1", "fixed:10:F1", "mixed:22:F1#99")
		if len(b.report.Busy) != 27 {
			b.Errorf("busy are %v, want 27", b.report.Busy)
		}
		if took := time.Since(begin); b.load*100 < took*40 {
			b.Errorf("%v of %v is not 40 %%", b.load, took)
		}
	})
}

// endpoint returns the endpoint that was found with an address.
func (b *bench) endpoint(address string) *Endpoint {
	b.Helper()
	for _, e := range b.found {
		if e.Address() == address {
			return e
		}
	}
	b.Fatalf("no endpoint %s", address)
	return nil
}

func TestAFlowControlNowAndThenIsNoAnswer(t *testing.T) {
	for _, period := range []time.Duration{300 * time.Millisecond, 700 * time.Millisecond, 1700 * time.Millisecond} {
		on(t, func(b *bench) {
			b.config.Listen = 0
			b.simulate(simECU{}.at("7E0", "7E8"))
			b.every(period, func() []canbus.Frame {
				return []canbus.Frame{{ID: 0x123, Len: 3, Data: [64]byte{0x30}}}
			})
			b.ids("600-7FF")
			b.want("7E0:7E8")
			if n := len(b.report.Doubtful) + len(b.report.Busy); n != 1 {
				b.Errorf("nothing is said of 123: %+v", b.report)
			}
		})
	}
}

func TestNoiseThatBeginsLate(t *testing.T) {
	on(t, func(b *bench) {
		b.config.Listen = 0
		b.simulate(simECU{}.at("7E0", "7E8"))
		b.addNoise()
		b.ids("780-7FF")
		b.want("7E0:7E8")
	})
}

// Nothing is sent on identifiers that others send on: two nodes that send one identifier
// disturb each other, and the frame may mean something.
func TestBusyIdentifiersAreNotProbed(t *testing.T) {
	on(t, func(b *bench) {
		b.simulate(simECU{}.at("7E0", "7E8"))
		b.every(100*time.Millisecond, func() []canbus.Frame { return []canbus.Frame{{ID: 0x7DA}} })
		b.ids("7D0-7EF")
		b.want("7E0:7E8")
		if got := b.report.Skipped; !slices.Equal(got, []ID{{ID: 0x7DA}}) || b.report.Probed != 31 {
			b.Errorf("skipped %v, %d probed", got, b.report.Probed)
		}
	})
}

// No two frames are nearer than the rate says, not those that confirm either.
func TestTheRateHolds(t *testing.T) {
	on(t, func(b *bench) {
		b.config.Rate, b.config.Wait = 10, 10*time.Millisecond
		b.config.Probe = TesterPresent
		b.simulate(simECU{uds: true}.at("7E0", "7E8"))
		tap, err := b.network.Tap()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { tap.Close() })
		var last time.Time
		go func() {
			buf := make([]canbus.Frame, 1)
			for {
				if _, err := tap.ReadFrames(buf); err != nil {
					return
				}
				if buf[0].ID == 0x7E8 {
					continue
				}
				// When a frame leaves the wire depends on its stuff bits.
				if gap := time.Since(last); gap < 99*time.Millisecond {
					b.Errorf("%v comes %v after the frame before", buf[0], gap)
				}
				last = time.Now()
			}
		}()
		b.ids("7E0-7E7")
		b.want("7E0:7E8")
	})
}

func TestWhatAnEndpointOffers(t *testing.T) {
	on(t, func(b *bench) {
		b.simulate(
			simECU{bs: 8, st: 20}.at("7E0", "7E8"),
			simECU{short: true, st: 0xF5, longest: 7}.at("7E1", "7E9"),
		)
		b.ids("7E0-7E1")
		b.want("7E0:7E8", "7E1:7E9")
		if e := b.endpoint("7E0:7E8"); e.Answer.BlockSize != 8 || e.Answer.STmin != 20 || e.Answer.Padding != 0x55 ||
			e.Answer.Status != wire.ContinueToSend || *e.Flow != e.Answer || e.Unpadded != Unknown || e.Longest != 0 || e.Functional() {
			b.Errorf("%+v", e)
		}
		if e := b.endpoint("7E1:7E9"); e.Answer.Padding != NoPadding || e.Answer.STmin != 0xF5 || e.Answer.Status != wire.Overflow {
			b.Errorf("%+v", e)
		}
	})
}

func TestWAITIsAnAnswer(t *testing.T) {
	on(t, func(b *bench) {
		b.simulate(simECU{waits: 5, bs: 8}.at("7E0", "7E8"), simECU{}.at("7E1", "7E9"))
		b.ids("7D0-7EF")
		b.want("7E0:7E8", "7E1:7E9")
		if len(b.report.Doubtful) != 0 {
			b.Errorf("doubtful: %v", b.report.Doubtful)
		}
	})
}

func TestAnECUThatIsDeafWhileItReceives(t *testing.T) {
	on(t, func(b *bench) {
		b.config.Rate = 50
		b.simulate(simECU{deaf: true}.at("7DF 7E0 7E1", "7E8"))
		b.ids("700-7FF")
		b.want("7DF:7E8", "7E0:7E8", "7E1:7E8")
	})
}

// All probes of the block were sent when the answer comes.
func TestAnECUThatAnswersLate(t *testing.T) {
	on(t, func(b *bench) {
		b.config.Wait = 900 * time.Millisecond
		b.simulate(simECU{delay: 899 * time.Millisecond}.at("7E5", "7ED"), simECU{delay: 600 * time.Millisecond}.at("7E4", "7EC"))
		b.ids("7E0-7EF")
		b.want("7E5:7ED", "7E4:7EC")
		if d := b.endpoint("7E5:7ED").Answer.Delay; d < 899*time.Millisecond || d > 900*time.Millisecond {
			b.Errorf("delay %v", d)
		}
	})
}

func TestSeveralAnswers(t *testing.T) {
	on(t, func(b *bench) {
		b.config.Probe = TesterPresent
		b.simulate(
			simECU{uds: true}.at("7DF 7E0", "7E8"),
			simECU{uds: true, delay: 30 * time.Millisecond}.at("7DF 7E1", "7E9"),
			simECU{uds: true}.at("7E2", "7EA 6EA"),
		)
		b.ids("7DF-7EF")
		b.want("7DF:7E8", "7DF:7E9", "7E0:7E8", "7E1:7E9", "7E2:7EA", "7E2:6EA")
		if !b.endpoint("7DF:7E9").Functional() || b.endpoint("7E1:7E9").Functional() {
			b.Error("7DF and not 7E1 is functional")
		}
	})
}

func TestTesterPresent(t *testing.T) {
	on(t, func(b *bench) {
		b.config.Probe = TesterPresent
		b.simulate(
			simECU{uds: true, full: true}.at("7E0", "7E8"),
			simECU{uds: true, short: true, code: 0x11}.at("7E1", "7E9"),
			simECU{uds: true}.at("18DB33F1", "18DAF110"),
		)
		b.ids("7E0-7EF,18DB33F1")
		b.want("7E0:7E8", "7E1:7E9", "18DB33F1:18DAF110")
		if e := b.endpoint("7E0:7E8"); e.Unpadded != No || e.Answer.Code != 0 || e.Flow != nil {
			b.Errorf("%+v", e)
		}
		if e := b.endpoint("7E1:7E9"); e.Unpadded != Yes || e.Answer.Code != 0x11 || e.Answer.Padding != NoPadding {
			b.Errorf("%+v", e)
		}
		if !b.endpoint("18DB33F1:18DAF110").Functional() {
			b.Error("18DB33F1 is not functional")
		}
	})
}

func TestIntrusive(t *testing.T) {
	on(t, func(b *bench) {
		b.config.Intrusive = true
		b.simulate(
			simECU{longest: 4095, uds: true, full: true}.at("7E0", "7E8"),
			simECU{longest: 1000, uds: true}.at("7E1", "7E9"),
			simECU{}.at("7E2", "7EA"),
		)
		b.ids("7E0-7E2")
		b.want("7E0:7E8", "7E1:7E9", "7E2:7EA")
		type extra struct {
			unpadded Finding
			longest  uint32
		}
		for address, want := range map[string]extra{
			"7E0:7E8": {No, 4095},
			"7E1:7E9": {Yes, 1000},
			"7E2:7EA": {Unknown, wire.MaxLength},
		} {
			if e := b.endpoint(address); (extra{e.Unpadded, e.Longest}) != want {
				b.Errorf("%s: %+v, want %v", address, e, want)
			}
		}
	})
}

func TestIntrusiveAsksForFlowControl(t *testing.T) {
	on(t, func(b *bench) {
		b.config.Probe, b.config.Intrusive = TesterPresent, true
		b.simulate(simECU{uds: true, bs: 5, longest: 8, delay: 10 * time.Millisecond}.at("7E0", "7E8"), simECU{uds: true, silent: true}.at("7E1", "7E9"))
		b.ids("7E0-7E1")
		b.want("7E0:7E8", "7E1:7E9")
		if e := b.endpoint("7E0:7E8"); e.Flow == nil || e.Flow.BlockSize != 5 || e.Longest != 8 {
			b.Errorf("%+v", e)
		}
		if e := b.endpoint("7E1:7E9"); e.Flow != nil || e.Longest != 0 {
			b.Errorf("%+v", e)
		}
	})
}

func TestFD(t *testing.T) {
	on(t, func(b *bench) {
		b.config.FD, b.config.BRS = true, true
		b.simulate(simECU{fd: true}.at("7E0", "7E8"), simECU{}.at("7E1", "7E9"))
		b.ids("7E0-7E1")
		b.want("7E0:7E8", "7E1:7E9")
		if !b.endpoint("7E0:7E8").Answer.FD || b.endpoint("7E1:7E9").Answer.FD {
			b.Error("7E8 and not 7E9 answers in CAN FD frames")
		}
	})
}

// A gateway passes on all frames, ours too, without saying that they are ours.
func TestOwnFramesComeBack(t *testing.T) {
	on(t, func(b *bench) {
		b.config.Probe = TesterPresent
		b.simulate(simECU{uds: true}.at("7E0", "7E8"), simECU{uds: true}.at("7F0", "7E0"))
		tap, err := b.network.Tap()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { tap.Close() })
		go func() {
			buf := make([]canbus.Frame, 1)
			for {
				if _, err := tap.ReadFrames(buf); err != nil {
					return
				}
				if !buf[0].Has(canbus.Echo) {
					tap.WriteFrames(buf)
				}
			}
		}()
		b.ids("7E0-7FF")
		b.want("7E0:7E8", "7F0:7E0")
	})
}

func TestAnInterruptedScanGoesOn(t *testing.T) {
	on(t, func(b *bench) {
		b.simulate(simECU{}.at("010", "018"), simECU{}.at("7E0", "7E8"))
		b.ids("000-7FF")
		ctx, cancel := context.WithCancel(b.Context())
		probed := 0
		b.config.Progress = func() {
			if probed++; probed > 0x320 {
				cancel()
			}
		}
		if err := b.scan(ctx); !errors.Is(err, context.Canceled) || b.report.Next != 0x300 {
			b.Fatalf("%v, next is %X", err, b.report.Next)
		}
		b.wantFound("010:018")
		b.config.First, b.config.Progress = b.report.Next, nil
		b.want("010:018", "7E0:7E8")
		if b.report.Next != 0x800 {
			b.Errorf("next is %X", b.report.Next)
		}
	})
}

func TestAnInterruptEndsTheWaitForABus(t *testing.T) {
	on(t, func(b *bench) {
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		b.ids("000-7FF")
		b.config.Listen = 0
		bus := &stuckBus{make(chan struct{})}
		if report, err := Run(ctx, bus, b.config); !errors.Is(err, context.DeadlineExceeded) || report.Next != 0 {
			b.Errorf("%+v, %v", report, err)
		}
	})
}

// A stuckBus takes no frame.
type stuckBus struct{ closed chan struct{} }

func (b *stuckBus) ReadFrames([]canbus.Frame) (int, error)  { <-b.closed; return 0, net.ErrClosed }
func (b *stuckBus) WriteFrames([]canbus.Frame) (int, error) { <-b.closed; return 0, net.ErrClosed }
func (b *stuckBus) Close() error {
	select {
	case <-b.closed:
	default:
		close(b.closed)
	}
	return nil
}

func TestABusThatTakesNothing(t *testing.T) {
	on(t, func(b *bench) {
		b.ids("7E0")
		_, err := Run(b.Context(), &fullBus{stuckBus{make(chan struct{})}}, b.config)
		if err == nil || !strings.Contains(err.Error(), "has taken no frame for 2s") || !errors.Is(err, canbus.ErrTemporary) {
			b.Error(err)
		}
	})
}

// A fullBus has never room.
type fullBus struct{ stuckBus }

func (*fullBus) WriteFrames([]canbus.Frame) (int, error) {
	return 0, canbus.Temporary(errors.New("no room"))
}

func TestABusThatGoesOnAfterAnError(t *testing.T) {
	on(t, func(b *bench) {
		b.simulate(simECU{}.at("7E0", "7E8"))
		tap, err := b.network.Tap()
		if err != nil {
			b.Fatal(err)
		}
		b.ids("7E0")
		b.report, err = Run(b.Context(), &coughingBus{Tap: tap}, b.config)
		if err != nil || b.report.Trouble != errCough {
			b.Errorf("%+v, %v", b.report, err)
		}
		b.wantFound("7E0:7E8")
	})
}

var errCough = canbus.Temporary(errors.New("bus-off"))

// A coughingBus is a bus whose first ReadFrames fails.
type coughingBus struct {
	*virtual.Tap
	once bool
}

func (b *coughingBus) ReadFrames(frames []canbus.Frame) (int, error) {
	if !b.once {
		b.once = true
		return 0, errCough
	}
	return b.Tap.ReadFrames(frames)
}

func TestABusThatEnds(t *testing.T) {
	on(t, func(b *bench) {
		n, err := virtual.New(virtual.Options{HangUp: true})
		if err != nil {
			b.Fatal(err)
		}
		tap, err := n.Tap()
		if err != nil {
			b.Fatal(err)
		}
		simulate(b.T, n, nil).tap.Close()
		b.ids("7E0")
		if _, err := Run(b.Context(), tap, b.config); !errors.Is(err, ErrEnd) {
			b.Error(err)
		}
	})
}

// A bus may carry any number of frames and identifiers: what is too much is lost, and counted.
func TestScanIsBounded(t *testing.T) {
	in := &inbox{more: make(chan struct{}, 1)}
	batch := make([]canbus.Frame, maxHeard-10)
	in.put(batch, nil)
	in.put(batch, nil)
	arrivals, _ := in.take(nil)
	if in.put(batch[:5], nil); len(arrivals) != maxHeard || in.lost != maxHeard-20 || len(in.arrivals) != 5 {
		t.Errorf("%d frames are kept, %d lost; behind that %d", len(arrivals), in.lost, len(in.arrivals))
	}

	s := &scanner{busy: make(map[ID]bool), strays: make(map[wire.Address]int), known: make(map[wire.Address]bool), overheads: [2]bool{true, false}}
	for i := range uint32(maxKnown) {
		s.busy[ID{i, true}] = true
		s.strays[wire.Address{ID: 1<<20 + i, Extended: true}] = 1
	}
	s.heard = make([]arrival, maxHeard)
	for i := range uint32(7) {
		i += maxKnown
		s.handle(&arrival{frame: canbus.Frame{ID: i, Flags: canbus.Extended}})
		flow := canbus.Frame{ID: 1<<20 + i, Flags: canbus.Extended, Len: 3}
		flow.Data[0] = 0x30
		s.phase = asking
		s.handle(&arrival{frame: flow})
		s.stray(&arrival{frame: flow})
		s.phase = listening
	}
	if len(s.busy) != maxKnown || len(s.heard) != maxHeard || len(s.strays) != maxKnown || s.report.Dropped != 21 {
		t.Errorf("%d identifiers, %d frames, %d addresses are kept, %d lost", len(s.busy), len(s.heard), len(s.strays), s.report.Dropped)
	}
}
