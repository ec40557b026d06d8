package main

import (
	"fmt"
	"testing"
)

// An interface that is wanted is found behind any number of others, of which an error names 16.
func TestInterfaceChoice(t *testing.T) {
	c := interfaceChoice{wanted: []string{"can99", "can7,can8"}}
	for i := range 99 {
		if c.wants(fmt.Sprintf("can%d", i)) {
			t.Errorf("can%d is wanted", i)
		}
	}
	for range 2 { // the second time it is a name that is known
		if !c.wants("can99") {
			t.Error("can99 is not wanted")
		}
	}
	want := "drive.log has no frames of interface can7,can8, but of can99, can0, can1, can2, can3, can4, can5, can6, can7, can8, can9, can10, can11, can12, can13, can14, can15"
	if err := c.missing("drive.log"); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
