package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
)

const ofThree = "(1.000000) can0 001#\n(1.000000) can1 002#\n(1.000000) can2 003#\n(1.000000) can0 004#\n"

func TestReplayToSeveralBuses(t *testing.T) {
	first, second := t.Name()+"1", t.Name()+"2"
	heardFirst, heardSecond := hear(t, first, virtual.Options{}), hear(t, second, virtual.Options{})
	r := isotp(t.Context(), nil, "replay", writeLog(t, ofThree), "can0=virtual:"+first, "can2=virtual:"+second)
	r.want(t, exitOK, "")
	if got := fmt.Sprint(heardFirst(2), heardSecond(1)); got != "[001# 004#] [003#]" {
		t.Errorf("sent %s", got)
	}
	want := fmt.Sprintf("2 frames sent on virtual:%s\n1 frames sent on virtual:%s\nframes of other interfaces left out: can1\n", first, second)
	if r.stderr != want {
		t.Errorf("it says %q, want %q", r.stderr, want)
	}
}

// canplayer has the names the other way round.
func TestReplayOfAnInterfaceThatTheLogHasNot(t *testing.T) {
	t.Setenv("ISOTP_BUS", "")
	r := isotp(t.Context(), nil, "replay", writeLog(t, ofThree), "can7=virtual:x")
	r.want(t, exitFailure, "no frames of interface can7, but of can0, can1, can2")
	to := &replay{replayCmd: &replayCmd{File: "a.log"}, others: []string{"can0"}}
	to.routes = []*route{{from: "vcan1", bus: "can0", player: new(player)}}
	if err := to.failed(); err == nil || !strings.Contains(err.Error(), "the log's name comes first: can0=vcan1") {
		t.Errorf("error %v", err)
	}
}

func TestReplayLoops(t *testing.T) {
	heard := hear(t, t.Name(), virtual.Options{})
	log := writeLog(t, "(1.000000) can0 001#\n(x) can0 002#\n(1.000000) can0 003#\n")
	r := isotp(t.Context(), nil, "replay", "--loop", "3", "--verbose", log, "virtual:"+t.Name())
	r.want(t, exitFailure, "1 line of ")
	if got := fmt.Sprint(heard(6)); got != "[001# 003# 001# 003# 001# 003#]" {
		t.Errorf("sent %s", got)
	}
	line := "(0000000001.000000) virtual:" + t.Name() + " "
	r.wantStdout(t, strings.Repeat(line+"001#\n"+line+"003#\n", 3))
}

func TestReplayCounts(t *testing.T) {
	heard := hear(t, t.Name(), virtual.Options{})
	r := isotp(t.Context(), nil, "replay", "--loop", "forever", "--count", "6", "--gap", "1ms", writeLog(t, ofThree), "virtual:"+t.Name())
	r.want(t, exitOK, "")
	if got := fmt.Sprint(heard(6)); got != "[001# 002# 003# 004# 001# 002#]" {
		t.Errorf("sent %s", got)
	}
}

// Only an interrupt ends it, which is no failure.
func TestReplayForever(t *testing.T) {
	bus := newFakeBus()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	sent := 0
	bus.write = func(canbus.Frame) error {
		if sent++; sent == 1000 {
			interrupt()
		}
		return nil
	}
	isotp(ctx, nil, "replay", "--fast", "--loop", "forever", writeLog(t, ofThree), bus.named(t)).want(t, exitOK, "")
	if sent < 1000 {
		t.Errorf("%d frames", sent)
	}
}

// A log that has nothing to send does not keep a loop busy.
func TestReplayForeverOfNothing(t *testing.T) {
	isotp(t.Context(), nil, "replay", "--loop", "0", writeLog(t, ""), "virtual:"+t.Name()).want(t, exitOK, "")
}

func TestReplayPlaysEveryFormat(t *testing.T) {
	heard := hear(t, t.Name(), virtual.Options{})
	r, w := io.Pipe()
	go func() {
		run(t.Context(), []string{"convert", "--format", "blf", "-", "-"}, strings.NewReader(ofThree), w, io.Discard)
		w.Close()
	}()
	isotp(t.Context(), r, "replay", "-", "1=virtual:"+t.Name()).want(t, exitOK, "")
	if got := fmt.Sprint(heard(2)); got != "[001# 004#]" {
		t.Errorf("sent %s", got)
	}
}
