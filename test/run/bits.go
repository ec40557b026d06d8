package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

var linux386 = target{"linux", "386"}

// computing are the packages that compute with the sizes of messages, which are up to 4 GiB.
// Their tests run as programs of 32 bits, too, where an int has 2 GiB.
var computing = []string{"./internal/wire", "./internal/engine"}

// testsOf386 runs them on this computer or, where its kernel runs no such programs, in an
// emulated one.
func testsOf386(c *clock) error {
	if runtime.GOARCH != "amd64" {
		fmt.Println("NOT run: this computer has no programs of linux/386")
		return nil
	}
	args := append([]string{"-count", "1", "-short", "-timeout", patience}, computing...)
	probe := exec.Command("go", "test", "-vet=off", "-run", "^$", computing[0])
	probe.Env = append(os.Environ(), "GOARCH="+linux386.arch)
	if c.start(probe) != nil {
		machine, err := filepath.Abs("test/vm/exec")
		if err != nil {
			return err
		}
		fmt.Println("in an emulated kernel, as this one runs no programs of 32 bits")
		args = append([]string{"-exec", "'" + machine + "'"}, args...)
	}
	return goTestFor(c, linux386, ignore, args...)
}
