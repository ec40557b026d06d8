package virtual

import (
	"errors"
	"net"
	"testing"

	"example.com/isotp/canbus"
)

func TestOpenByName(t *testing.T) {
	a, err := canbus.Open(t.Context(), "virtual:"+t.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := Open(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	elsewhere, err := Open(t.Name() + "2")
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	write(t, a.(*Tap), frame(1))
	wantFrames(t, read(t, b, 1), frame(1))
	if elsewhere.pending() != 0 {
		t.Error("a network of another name heard the frame")
	}
}

func TestNameVanishesWithLastTap(t *testing.T) {
	a, err := Open(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	b, err := Observe(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	if _, err := Create(t.Name(), Options{}); err == nil {
		t.Error("Create took the name of a network in use")
	}
	b.Close()
	n, err := Create(t.Name(), Options{})
	if err != nil {
		t.Fatalf("Create after the last Close: %v", err)
	}
	n.Close()
}

func TestCreatedNetworkIsJoinedByName(t *testing.T) {
	n, err := Create(t.Name(), Options{Classic: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // it stays without taps
		tap, err := Open(t.Name())
		if err != nil {
			t.Fatal(err)
		}
		if tap.Properties().FD {
			t.Error("joined another network")
		}
		tap.Close()
	}
	last, err := n.Tap()
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
	n.Close()
	if _, err := n.Tap(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Tap after Close: %v, want net.ErrClosed", err)
	}
	late, err := Open(t.Name()) // the name lives on with the tap
	if err != nil {
		t.Fatal(err)
	}
	write(t, late, frame(1))
	wantFrames(t, read(t, last, 1), frame(1))
	late.Close()
	last.Close()
	if registry.networks[t.Name()] != nil {
		t.Error("the name is still there")
	}
}

func TestNameIsNeeded(t *testing.T) {
	if b, err := canbus.Open(t.Context(), "virtual:"); err == nil || b != nil {
		t.Errorf("Open = %v, %v; want nil and an error", b, err)
	}
	if _, err := Create("", Options{}); err == nil {
		t.Error("Create with no name gave no error")
	}
	if _, err := Create("x", Options{Bitrate: -1}); err == nil || registry.networks["x"] != nil {
		t.Error("Create with bad options left a network")
	}
}
