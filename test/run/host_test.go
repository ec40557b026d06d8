package main

import (
	"os"
	"strings"
	"testing"
)

// nettest is run whole with the race detector only where its test has a name of these.
func TestNettestIsFoundByTheTestsNames(t *testing.T) {
	t.Chdir("../..")
	files, err := testFiles()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), "\tconntest.Run(") {
			continue
		}
		found++
		if !connectionTest.Match(source) {
			t.Errorf("%s calls conntest.Run in no test whose name ends in IsANetConn", file)
		}
	}
	if found == 0 {
		t.Error("no file calls conntest.Run")
	}
}
