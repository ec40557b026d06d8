//go:build linux

// Wine runs a program of Windows under Wine, most often a Go test binary:
//
//	GOOS=windows go test -exec $PWD/test/wine/exec ./isotpnet
//	GOOS=windows go run -exec $PWD/test/wine/exec ./cmd/isotp demo
//
// The first time it installs Wine, where it can, and makes a folder of Windows, a "prefix" as Wine calls
// it, in $ISOTPNET_WINE, by default isotpnet-wine in the user's cache directory: see setup. ~/.wine is not
// touched. Libraries that setup is given are in system32 for every program that starts from then on:
//
//	test/wine/setup PCANBasic.dll
//
// Each program has a Windows of its own: a registry, the folders of users (which have the folder for
// temporary files) and a network namespace, in which there is the loopback interface only. So programs
// that are tested at the same time do not meet. Only what is in C: beside C:\users is the same for all.
// Drive Z: is the computer's root folder. The program has the environment and the working directory of the
// caller. Nothing of it goes on after its end.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"example.com/isotp/test/netns"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: exec program [arguments]")
		os.Exit(2)
	}
	runtime.LockOSThread() // see windows.command
	if err := netns.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, "wine: without a network of its own:", err)
	}
	status, err := run(os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "wine:", err)
		os.Exit(1)
	}
	os.Exit(status)
}

// run runs a program, and returns its exit status.
func run(program string, args []string) (int, error) {
	w, err := newWindows()
	if err != nil {
		return 0, err
	}
	cmd := w.command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = errors.Join(cmd.Run(), w.close())
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}
