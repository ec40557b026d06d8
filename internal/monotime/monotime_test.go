package monotime

import (
	"testing"
	"time"
)

func TestAddEndsAtNever(t *testing.T) {
	for _, c := range []struct {
		t    Time
		d    time.Duration
		want Time
	}{
		{5, 3, 8},
		{5, -3, 2},
		{Never, 0, Never},
		{Never, 1, Never},
		{1, time.Duration(Never), Never},
		{Never, -1, Never - 1},
	} {
		if got := c.t.Add(c.d); got != c.want {
			t.Errorf("%d.Add(%d) = %d, want %d", c.t, c.d, got, c.want)
		}
	}
	if got := Time(8).Sub(5); got != 3 {
		t.Errorf("8.Sub(5) = %d, want 3", got)
	}
}
