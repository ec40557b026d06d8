package bustest

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/bustest/wiretest"
	"example.com/isotp/canbus/virtual"
)

// A bent is a good bus with a method that is not.
type bent struct {
	*virtual.Tap
	read, write func([]canbus.Frame) (int, error)
	filter      func([]canbus.Filter) error
	close       func() error
	properties  *canbus.Properties
}

func (b *bent) ReadFrames(frames []canbus.Frame) (int, error) {
	if b.read != nil {
		return b.read(frames)
	}
	return b.Tap.ReadFrames(frames)
}

func (b *bent) WriteFrames(frames []canbus.Frame) (int, error) {
	if b.write != nil {
		return b.write(frames)
	}
	return b.Tap.WriteFrames(frames)
}

func (b *bent) TryWriteFrames(frames []canbus.Frame) (int, error) {
	if b.write != nil {
		return b.write(frames)
	}
	return b.Tap.TryWriteFrames(frames)
}

func (b *bent) SetFilters(list []canbus.Filter) error {
	if b.filter != nil {
		return b.filter(list)
	}
	return b.Tap.SetFilters(list)
}

func (b *bent) Close() error {
	if b.close != nil {
		return b.close()
	}
	return b.Tap.Close()
}

func (b *bent) Properties() canbus.Properties {
	if b.properties != nil {
		return *b.properties
	}
	return b.Tap.Properties()
}

// whatFails runs all checks on a pair of buses that bend has bent, in fake time, and
// returns the names of those that found it.
func whatFails(t *testing.T, o virtual.Options, bend func(a, b *bent)) (names []string) {
	t.Helper()
	for _, c := range checks {
		synctest.Test(t, func(t *testing.T) {
			options := Options{}
			if o.Bitrate > 0 {
				options.Report = func(a canbus.Bus) error { return a.(*bent).BusOff(1) }
			}
			if c.needs != nil && c.needs(new(bent), &options) != "" {
				return
			}
			if err := run(c, bentPair(o, bend), options); err != nil {
				t.Logf("%s: %v", c.name, err)
				names = append(names, c.name)
			}
		})
	}
	return names
}

// bentPair makes pairs of virtual buses that bend has changed.
func bentPair(o virtual.Options, bend func(a, b *bent)) MakePair {
	return func() (canbus.Bus, canbus.Bus, func(), error) {
		n, err := virtual.New(o)
		if err != nil {
			return nil, nil, nil, err
		}
		a, _ := n.Tap()
		b, _ := n.Tap()
		bentA, bentB := &bent{Tap: a}, &bent{Tap: b}
		bend(bentA, bentB)
		return bentA, bentB, func() { a.Close(); b.Close(); n.Close() }, nil
	}
}

// bends are ways to be wrong, and the checks, at least, that must find it.
var bends = map[string]struct {
	options virtual.Options
	bend    func(a, b *bent)
	finds   []string
}{
	"CutsData": {
		bend: func(_, b *bent) {
			b.read = func(frames []canbus.Frame) (int, error) {
				n, err := b.Tap.ReadFrames(frames)
				for i := range frames[:n] {
					frames[i].Len = min(frames[i].Len, 7)
				}
				return n, err
			}
		},
		finds: []string{"FramesOfEveryKindArrive"},
	},
	"ForgetsThatIdentifiersAreLong": {
		bend: func(_, b *bent) {
			b.read = func(frames []canbus.Frame) (int, error) {
				n, err := b.Tap.ReadFrames(frames)
				for i := range frames[:n] {
					frames[i].Flags &^= canbus.Extended
				}
				return n, err
			}
		},
		finds: []string{"FramesOfEveryKindArrive"},
	},
	"LeavesChannelAsItWas": {
		bend: func(_, b *bent) {
			b.read = func(frames []canbus.Frame) (int, error) {
				before := frames[0].Channel
				n, err := b.Tap.ReadFrames(frames)
				frames[0].Channel = before
				return n, err
			}
		},
		finds: []string{"FramesOfEveryKindArrive"},
	},
	"HasItsOwnTimeAndDoesNotTellIt": {
		bend: func(a, _ *bent) {
			a.properties = new(canbus.Properties{FD: true, OwnTime: true})
		},
		finds: []string{"FramesAreTimedIfTheBusHasItsOwnTime"},
	},
	"SendsWhatIsNotValid": {
		bend: func(a, _ *bent) {
			a.write = func(frames []canbus.Frame) (int, error) {
				if frames[0].Validate() != nil {
					return 1, nil
				}
				return a.Tap.WriteFrames(frames)
			}
		},
		finds: []string{"RefusedFrameIsNotSentAndTheBusLives"},
	},
	"DiesOfARefusedFrame": {
		bend: func(a, _ *bent) {
			a.write = func(frames []canbus.Frame) (int, error) {
				n, err := a.Tap.WriteFrames(frames)
				if err != nil {
					a.Tap.Close()
				}
				return n, err
			}
		},
		finds: []string{"RefusedFrameIsNotSentAndTheBusLives"},
	},
	"ReversesBatches": {
		bend: func(a, _ *bent) {
			a.write = func(frames []canbus.Frame) (int, error) {
				frames = slices.Clone(frames)
				slices.Reverse(frames)
				return a.Tap.WriteFrames(frames)
			}
		},
		finds: []string{"BatchesKeepTheOrder", "BothWaysAtOnce"},
	},
	"LosesFrames": {
		bend: func(_, b *bent) {
			count := 0
			b.read = func(frames []canbus.Frame) (int, error) {
				for {
					n, err := b.Tap.ReadFrames(frames[:1])
					if count++; n == 0 || count%100 != 0 {
						return n, err
					}
				}
			}
		},
		finds: []string{"BatchesKeepTheOrder", "SlowReader"},
	},
	"RepeatsFrames": {
		bend: func(a, _ *bent) {
			count := 0
			a.write = func(frames []canbus.Frame) (int, error) {
				if count++; count%10 == 0 {
					a.Tap.WriteFrames(frames[:1])
				}
				return a.Tap.WriteFrames(frames[:1])
			}
		},
		finds: []string{"BatchesKeepTheOrder", "SlowReader"},
	},
	"KeepsTheCallersSlice": {
		bend: func(a, _ *bent) {
			var kept []canbus.Frame
			a.write = func(frames []canbus.Frame) (int, error) {
				last := kept
				kept = frames
				if last == nil {
					return len(frames), nil
				}
				_, err := a.Tap.WriteFrames(last)
				return len(frames), err
			}
		},
		finds: []string{"WriteKeepsNoReference"},
	},
	"HearsItself": {
		options: virtual.Options{Echo: true},
		bend: func(a, _ *bent) {
			a.properties = new(canbus.Properties{FD: true})
			a.read = func(frames []canbus.Frame) (int, error) {
				n, err := a.Tap.ReadFrames(frames)
				for i := range frames[:n] {
					frames[i].Flags &^= canbus.Echo
				}
				return n, err
			}
		},
		finds: []string{"OwnFramesComeBackAsEchoesOrNotAtAll"},
	},
	"PromisesEchoes": {
		bend: func(a, _ *bent) {
			a.properties = new(canbus.Properties{FD: true, Echo: true})
		},
		finds: []string{"OwnFramesComeBackAsEchoesOrNotAtAll"},
	},
	"PassesTheEchoFlagOn": {
		bend: func(a, b *bent) {
			var flag atomic.Bool
			a.write = func(frames []canbus.Frame) (int, error) {
				flag.Store(frames[0].Has(canbus.Echo))
				return a.Tap.WriteFrames(frames)
			}
			b.read = func(frames []canbus.Frame) (int, error) {
				n, err := b.Tap.ReadFrames(frames)
				if flag.Load() {
					for i := range frames[:n] {
						frames[i].Flags |= canbus.Echo
					}
				}
				return n, err
			}
		},
		finds: []string{"FrameThatWasReadCanBeWritten"},
	},
	"TakesMoreThanThereIs": {
		bend: func(a, _ *bent) {
			a.write = func(frames []canbus.Frame) (int, error) {
				n, err := a.Tap.WriteFrames(frames)
				return n + 1, err
			}
		},
		finds: []string{"TryWriteTakesWhatItSays", "BatchesKeepTheOrder"},
	},
	"IgnoresFilters": {
		bend: func(_, b *bent) {
			b.filter = func([]canbus.Filter) error { return nil }
		},
		finds: []string{"Filters"},
	},
	"FiltersErrorFrames": {
		options: virtual.Options{Bitrate: 500_000},
		bend: func(a, _ *bent) {
			a.read = func(frames []canbus.Frame) (int, error) {
				for {
					n, err := a.Tap.ReadFrames(frames[:1])
					if n == 0 || !frames[0].Has(canbus.ErrorFrame) {
						return n, err
					}
				}
			}
		},
		finds: []string{"ErrorFrames"},
	},
	"CloseDoesNothing": {
		bend: func(a, _ *bent) {
			a.close = func() error { return nil } // stop closes the tap
		},
		finds: []string{"CloseEndsRead", "CloseEndsWrite", "ClosedBusSaysSo"},
	},
	"AnotherErrorThanClosed": {
		bend: func(a, _ *bent) {
			a.read = func(frames []canbus.Frame) (int, error) {
				n, err := a.Tap.ReadFrames(frames)
				if errors.Is(err, net.ErrClosed) {
					err = io.EOF
				}
				return n, err
			}
		},
		finds: []string{"CloseEndsRead", "ClosedBusSaysSo", "CloseManyTimesAtOnce"},
	},
	"SecondCloseFails": {
		bend: func(a, _ *bent) {
			var done atomic.Bool
			a.close = func() error {
				if done.Swap(true) {
					return net.ErrClosed
				}
				return a.Tap.Close()
			}
		},
		finds: []string{"ClosedBusSaysSo", "CloseManyTimesAtOnce"},
	},
	"CloseTakesTheOtherAlong": {
		bend: func(a, b *bent) {
			a.close = func() error {
				b.Tap.Close()
				return a.Tap.Close()
			}
		},
		finds: []string{"CloseLeavesTheOtherAlone"},
	},
}

// The author of a driver learns at once what to do, and not after a minute of silence.
func TestEchoOfABusWithoutEchoesIsNamedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := check{name: "forwarded", do: forwarded}
		err := run(c, bentPair(virtual.Options{}, bends["PassesTheEchoFlagOn"].bend), Options{})
		if err == nil || !strings.Contains(err.Error(), "Frame.Strip") {
			t.Errorf("error %v, want one that names Frame.Strip", err)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("it was found after %v", took)
		}
	})
}

func TestEachCheckFindsWhatItIsFor(t *testing.T) {
	proven := make(map[string]bool)
	for name, c := range bends {
		t.Run(name, func(t *testing.T) {
			found := whatFails(t, c.options, c.bend)
			for _, want := range c.finds {
				proven[want] = true
				if !slices.Contains(found, want) {
					t.Errorf("%s found nothing; only %v did", want, found)
				}
			}
		})
	}
	for _, c := range adapterBends {
		proven[c.finds] = true
	}
	for _, c := range checks {
		if !proven[c.name] {
			t.Errorf("%s: no bent bus shows that it finds anything", c.name)
		}
	}
}

func TestAGoodBusPasses(t *testing.T) {
	for _, o := range []virtual.Options{{}, {Echo: true}, {Bitrate: 1_000_000}} {
		if found := whatFails(t, o, func(_, _ *bent) {}); len(found) > 0 {
			t.Errorf("%+v: %v", o, found)
		}
	}
}

// A bentAdapter is a good bus behind an adapter, with a method that is not good.
type bentAdapter struct {
	*wiretest.Adapter
	read    func([]canbus.Frame) (int, error)
	flush   func(context.Context) error
	dropped func() uint64
}

func (b *bentAdapter) ReadFrames(frames []canbus.Frame) (int, error) {
	if b.read != nil {
		return b.read(frames)
	}
	return b.Adapter.ReadFrames(frames)
}

func (b *bentAdapter) Flush(ctx context.Context) error {
	if b.flush != nil {
		return b.flush(ctx)
	}
	return b.Adapter.Flush(ctx)
}

func (b *bentAdapter) Dropped() uint64 {
	if b.dropped != nil {
		return b.dropped()
	}
	return b.Adapter.Dropped()
}

// changeEchoes reads with the echoes changed.
func (b *bentAdapter) changeEchoes(change func(*canbus.Frame)) {
	b.read = func(frames []canbus.Frame) (int, error) {
		n, err := b.Adapter.ReadFrames(frames)
		for i := range frames[:n] {
			if frames[i].Has(canbus.Echo) {
				change(&frames[i])
			}
		}
		return n, err
	}
}

// adapterBends are ways to be wrong for a bus behind an adapter, and the check that must
// find it.
var adapterBends = map[string]struct {
	receiveLen int
	bend       func(a, b *bentAdapter)
	finds      string
}{
	"FlushReturnsTooSoon": {
		bend:  func(a, _ *bentAdapter) { a.flush = func(context.Context) error { return nil } },
		finds: "FlushedFramesArriveThoughCloseFollows",
	},
	"FlushFails": {
		bend:  func(a, _ *bentAdapter) { a.flush = func(context.Context) error { return errors.New("no") } },
		finds: "FlushEndsWithItsContext",
	},
	"FlushDoesNotHeedItsContext": {
		bend:  func(a, _ *bentAdapter) { a.flush = func(ctx context.Context) error { return errors.New("in doubt") } },
		finds: "FlushEndsWithItsContext",
	},
	"FlushAfterClose": {
		bend:  func(a, _ *bentAdapter) { a.flush = func(context.Context) error { return nil } },
		finds: "ClosedBusSaysSo",
	},
	"DropsAreNotCounted": {
		receiveLen: 20,
		bend:       func(_, b *bentAdapter) { b.dropped = func() uint64 { return b.Adapter.Dropped() / 2 } },
		finds:      "DroppedFramesAreCounted",
	},
	"DropsAreCountedTwice": {
		receiveLen: 20,
		bend:       func(_, b *bentAdapter) { b.dropped = func() uint64 { return b.Adapter.Dropped() * 2 } },
		finds:      "DroppedFramesAreCounted",
	},
	"DroppedFalls": {
		receiveLen: 20,
		bend: func(_, b *bentAdapter) {
			calls := uint64(0)
			b.dropped = func() uint64 { calls++; return 100 - calls }
		},
		finds: "DroppedFramesAreCounted",
	},
	"DropsWhereNoneMayBe": {
		bend:  func(_, b *bentAdapter) { b.dropped = func() uint64 { return 1 } },
		finds: "DroppedFramesAreCounted",
	},
	"RefusedFramesComeBackAsEchoes": {
		bend:  func(a, _ *bentAdapter) { a.changeEchoes(func(f *canbus.Frame) { f.Flags &^= canbus.Refused }) },
		finds: "FramesRefusedLaterComeBackInOrder",
	},
	"AnotherFrameIsRefused": {
		bend:  func(a, _ *bentAdapter) { a.changeEchoes(func(f *canbus.Frame) { f.Data[0]++ }) },
		finds: "FramesRefusedLaterComeBackInOrder",
	},
}

func TestOptionalMethodsThatAreWrongAreFound(t *testing.T) {
	for name, tt := range adapterBends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire, err := wiretest.New(virtual.Options{Bitrate: 500_000})
				if err != nil {
					t.Fatal(err)
				}
				var refuse func(*canbus.Frame) bool
				newPair := func() (canbus.Bus, canbus.Bus, func(), error) {
					o := wiretest.Options{Echo: wiretest.EchoOnWire, ReceiveLen: tt.receiveLen}
					b, _ := wire.Adapter(o)
					o.Refuse = func(f *canbus.Frame) bool { return refuse != nil && refuse(f) }
					a, _ := wire.Adapter(o)
					bentA, bentB := &bentAdapter{Adapter: a.(*wiretest.Adapter)}, &bentAdapter{Adapter: b.(*wiretest.Adapter)}
					tt.bend(bentA, bentB)
					return bentA, bentB, nil, nil
				}
				o := Options{Lossy: tt.receiveLen > 0, Refuse: func(_ canbus.Bus, f func(*canbus.Frame) bool) error {
					refuse = f
					return nil
				}}
				i := slices.IndexFunc(checks, func(c check) bool { return c.name == tt.finds })
				err = run(checks[i], newPair, o)
				t.Log(err)
				if err == nil {
					t.Error("the check has not found it")
				}
			})
		})
	}
}
