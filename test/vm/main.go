//go:build linux

// Kernel runs a program inside a Linux kernel, most often a Go test binary:
//
//	go test -exec $PWD/test/vm/exec ./canbus/socketcan
//	test/vm/run -k all ./canbus/socketcan ./isotpnet
//
// The kernels are Debian's, 6.1, 6.12 and 7.2, in an emulated machine, and native:
// user-mode Linux, a process that runs at this computer's speed and is built from
// Debian's newest sources (see native.go). They, the emulator and all else it needs
// it installs itself where it can (see fetch.go), the first time.
//
// The machine has one processor, the interfaces lo and vcan0 to vcan3 (CAN FD),
// CAN and two queueing disciplines, as modules or in the kernel, and busybox. An
// emulated machine's time is that of a processor with 500 million instructions a
// second, however slow the emulator is, and skips what no program uses: figures of
// benchmarks count instructions, and are to be compared with others from the same
// kernel only. A native kernel's time is this computer's. The program runs as root, with the same path, arguments, working directory and testdata as here,
// and of the environment what begins with GO or ISOTPNET_. ISOTPNET_KERNEL is the
// kernel's name. Its output, exit status, and profiles come back. A limit in real
// time ends the machine.
//
// Usage:
//
//	exec [-k kernel] [-a package|file]... [-t limit] program [arguments]
//
//	-k kernel   6.1, 6.12, 7.2 or native (default 6.12)
//	-a package  add the programs of a Debian package, with their libraries
//	-a ./file   add a program (a name with a slash) to the machine's PATH
//	-t limit    end the machine after that time (a duration, 0 for never; default
//	            -test.timeout and 40 s)
//	-fetch      only install and download what is needed
//
// What it downloads is kept in $ISOTPNET_KERNELS, by default isotpnet-kernels in
// the user's cache directory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	// The emulator dies with the thread that started it.
	runtime.LockOSThread()
	status, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernel:", err)
		status = max(status, 1)
	}
	if _, refused := errors.AsType[*refusal](err); refused {
		status = cannotRun
	}
	os.Exit(status)
}

// cannotRun is the exit status for a native kernel that this computer cannot run.
const cannotRun = 3

func run() (int, error) {
	name := "6.12"
	var add []string
	limit := time.Duration(-1)
	flag.StringVar(&name, "k", name, "kernel: 6.1, 6.12, 7.2 or native")
	flag.Func("a", "Debian package or ./file to add", func(s string) error {
		add = append(add, s)
		return nil
	})
	flag.DurationVar(&limit, "t", limit, "time limit in real time")
	fetchOnly := flag.Bool("fetch", false, "only install and download")
	flag.Parse()
	if flag.NArg() == 0 && !*fetchOnly {
		flag.Usage()
		return 2, nil
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	defer stop()
	c, err := openCache(ctx)
	if err != nil {
		return 0, err
	}
	k, err := c.kernel(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("kernel %s: %w", name, err)
	}
	var packages []*debianPackage
	var files []string
	for _, a := range add {
		if strings.Contains(a, "/") {
			files = append(files, a)
			continue
		}
		p, err := c.debian(ctx, a)
		if err != nil {
			return 0, fmt.Errorf("package %s: %w", a, err)
		}
		packages = append(packages, p)
	}
	c.unlock()
	if *fetchOnly {
		fmt.Printf("kernel %s is %s in %s\n", k.name, k.release(), filepath.Dir(k.dir))
		return 0, nil
	}

	j, err := newJob(flag.Args())
	if err != nil {
		return 0, err
	}
	if limit >= 0 {
		j.limit = limit
	}
	j.busybox, j.packages, j.files = c.busybox, packages, files
	status, err := boot(ctx, k, j)
	if err != nil {
		err = fmt.Errorf("kernel %s (%s): %w", k.name, k.release(), err)
	}
	return status, err
}
