package isotpnet_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	"example.com/isotp/isotpnet"
	"example.com/isotp/test/scale"
)

// The random tests put programs that begin, give up, close and begin again on a bus
// that loses and repeats frames, and look at nothing but what was written and what
// was read. Each of their worlds has its own seed, bus and clock; which goroutine
// comes first at the same moment is the scheduler's choice, and so not even the same
// seed is the same world twice.
//
// ISOTPNET_RANDOM is how many times as many worlds there are, 1 by default ("make
// soak": 10). ISOTPNET_SEED runs the world of one seed only, as often as -count says.

// A randomWorld is a bus on which dice are thrown for each frame.
type randomWorld struct {
	t    *testing.T
	seed uint64
	rng  *rand.Rand // for what the programs do, not for the frames' fate
	n    *virtual.Network

	lose, duplicate float64
	// lost and duplicated are how many frames were.
	lost, duplicated atomic.Int64

	// cut is how long the longest messages are. Many have that length, so that the
	// end of one could be taken for that of another.
	cut    int
	config isotpnet.Config
}

// inRandomWorlds runs the test in as many worlds, each in a bubble.
func inRandomWorlds(t *testing.T, worlds int, test func(w *randomWorld)) {
	if fixed := os.Getenv("ISOTPNET_SEED"); fixed != "" {
		seed, err := strconv.ParseUint(fixed, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) { test(newRandomWorld(t, seed)) })
		return
	}
	worlds /= scale.Down(1, 20)
	if times := os.Getenv("ISOTPNET_RANDOM"); times != "" {
		k, err := strconv.Atoi(times)
		if err != nil || k < 1 {
			t.Fatalf("ISOTPNET_RANDOM is %q, not a number from 1 on", times)
		}
		worlds *= k
	}
	for seed := range uint64(worlds) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(newRandomWorld(t, seed)) })
		})
	}
}

func newRandomWorld(t *testing.T, seed uint64) *randomWorld {
	w := &randomWorld{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0x50AC))}
	w.lose = pick(w.rng, 0, 0.001, 0.005, 0.005, 0.02, 0.1)
	w.duplicate = pick(w.rng, 0, 0, 0, 0.01)
	w.cut = pick(w.rng, 27, 27, 27, 34, 118, 118, 230)
	w.config.BlockSize = pick(w.rng, 0, 0, 8, 16)
	if w.rng.IntN(4) == 0 {
		w.config.FD = true
		w.config.FrameSize = pick(w.rng, 8, 12, 64)
		w.cut = pick(w.rng, 118, 230, 500, 1070)
	}
	if w.rng.IntN(20) == 0 {
		w.cut = 4095
	}
	w.config.MaxSendSize = w.cut
	dice := rand.New(rand.NewPCG(seed, 0xD1CE))
	w.n = newNetwork(t, virtual.Options{
		Bitrate: 500_000,
		Intercept: func(*canbus.Frame) (v virtual.Verdict) {
			if dice.Float64() < w.lose {
				w.lost.Add(1)
				return virtual.Lose
			}
			if dice.Float64() < w.duplicate {
				w.duplicated.Add(1)
				return virtual.Duplicate
			}
			return virtual.Deliver
		},
	})
	return w
}

func (w *randomWorld) String() string {
	return fmt.Sprintf("seed %d: %.1f%% of the frames lost, %.1f%% repeated; messages of up to %d bytes; BlockSize %d, FrameSize %d",
		w.seed, 100*w.lose, 100*w.duplicate, w.cut, w.config.BlockSize, w.config.FrameSize)
}

// program returns dice for one program of the world, since programs do not take turns.
func (w *randomWorld) program() *rand.Rand { return rand.New(rand.NewPCG(w.rng.Uint64(), w.seed)) }

// deadline is one for a write: most are within the time that a First Frame and its
// flow control take, some have passed already.
func deadline(rng *rand.Rand) time.Time {
	switch rng.IntN(8) {
	case 0:
		return time.Time{}
	case 1:
		return time.Now().Add(time.Duration(rng.Int64N(int64(100 * time.Millisecond))))
	}
	return time.Now().Add(time.Duration(rng.Int64N(int64(3 * time.Millisecond))))
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// fill fills p with bytes that no other a and b give.
func fill(p []byte, a, b uint64) {
	rng := rand.New(rand.NewPCG(a, b))
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
}
