//go:build linux

package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestDownloadsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		err := persist(t.Context(), "test", func() error {
			if tries++; tries < 3 {
				return errors.New("no network")
			}
			return nil
		})
		if err != nil || tries != 3 {
			t.Errorf("%v after %d tries", err, tries)
		}
	})
}

func TestDownloadsAreGivenUpAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		noNetwork := errors.New("no network")
		tries := 0
		err := persist(t.Context(), "test", func() error { tries++; return noNetwork })
		if !errors.Is(err, noNetwork) || tries != len(pauses)+1 {
			t.Errorf("%v after %d tries", err, tries)
		}
	})
}

func TestAnInterruptedDownloadIsNotTriedAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	err := persist(ctx, "test", func() error { tries++; cancel(); return ctx.Err() })
	if !errors.Is(err, context.Canceled) || tries != 1 {
		t.Errorf("%v after %d tries", err, tries)
	}
}
