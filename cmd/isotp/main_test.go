package main

import (
	"os"
	"testing"

	"example.com/isotp/test/netns"
	"example.com/isotp/test/vm/cantest"
)

// asProgram makes the test binary be the program, as processes of TestExamples are.
const asProgram = "ISOTP_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Unsetenv(busVariable) // the tests are not for the bus of the computer
	if !cantest.InMachine() {
		netns.Enter()
	}
	cantest.Main(m)
}
