// Package bustest tests drivers: whether a [canbus.Bus] does what package canbus
// says a bus does. Use it in the tests of a driver, as golang.org/x/net/nettest is used
// for connections:
//
//	func TestBus(t *testing.T) {
//		bustest.TestBus(t, func() (a, b canbus.Bus, stop func(), err error) {
//			...
//		}, bustest.Options{})
//	}
//
// A bus has no deadlines, so there is no test of them: what ends a call that waits
// is Close. Run the tests with -race. Short runs (go test -short) send fewer frames.
//
// Where there is one adapter only, the other bus may be of another driver on the same wire,
// such as a second CAN interface of the computer. What a says of itself and the Options are
// expected of both buses: b must have the same Properties.FD and Echo, and SetFilters and
// Dropped if a has them. Some tests try only what a or only what b does, so call TestBus
// once more, with the two exchanged.
//
// The next step is package test/conntest, which runs nettest over connections on the same
// pair of buses.
package bustest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"example.com/isotp/canbus"
)

// MakePair returns two new buses on one wire, without any other bus: each reads what the
// other writes. They may be of different drivers. stop is called when both have been
// closed; nil if there is nothing to do.
type MakePair func() (a, b canbus.Bus, stop func(), err error)

// Options tell what a driver cannot do, where [canbus.Properties] do not. The zero
// value is a driver that can do everything.
type Options struct {
	// NoRemote: there are no remote frames, and WriteFrames refuses them.
	NoRemote bool
	// Lossy: when a reader is too slow, frames are lost, as on a real bus. Else
	// what was taken must arrive, however long it takes.
	Lossy bool
	// Report has the controller of the bus a report an error. Its reader must get
	// an error frame then, whatever its filters are. nil if there is no way to.
	Report func(a canbus.Bus) error
	// Refuse lets the bus, from now on, take and then refuse the frames for which the
	// function returns true: they must come back with the flag Refused, in order with the
	// echoes. nil if there is no way to.
	Refuse func(a canbus.Bus, refuse func(*canbus.Frame) bool) error
}

// patience is after what time a call that does not return is taken to hang.
const patience = time.Minute

// TestBus runs all tests, each on a pair of its own.
func TestBus(t *testing.T, newPair MakePair, o Options) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if c.needs != nil {
				a, b, stop, err := newPair()
				if err != nil {
					t.Fatal(err)
				}
				missing := c.needs(a, &o)
				end(a, b, stop)
				if missing != "" {
					t.Skip("this driver has no " + missing)
				}
			}
			if err := run(c, newPair, o); err != nil {
				t.Error(err)
			}
		})
	}
}

// A check is one test.
type check struct {
	name string
	do   func(p *pair) error
	// needs returns what the check needs and the driver lacks; "" if it lacks nothing.
	needs func(a canbus.Bus, o *Options) string
}

// run makes a pair and does the check on it.
func run(c check, newPair MakePair, o Options) error {
	a, b, stop, err := newPair()
	if err != nil {
		return fmt.Errorf("no pair of buses: %w", err)
	}
	p := &pair{a: a, b: b, options: o, properties: canbus.PropertiesOf(a)}
	done := make(chan error, 1)
	go func() { done <- c.do(p) }()
	select {
	case err = <-done:
	case <-time.After(patience):
		err = p.hung(done)
	}
	end(a, b, stop)
	return errors.Join(err, p.wait())
}

// hung ends a check that hangs, by closing its buses, and returns an error that says so.
func (p *pair) hung(done <-chan error) error {
	end(p.a, p.b, nil)
	select {
	case err := <-done:
		return fmt.Errorf("nothing happened for %v, until the buses were closed: %w", patience, err)
	case <-time.After(patience):
		return errors.New("a call hangs, although the bus is closed")
	}
}

func end(a, b canbus.Bus, stop func()) {
	a.Close()
	b.Close()
	if stop != nil {
		stop()
	}
}
