package main

import (
	"cmp"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// The kernels of test/vm.
const native = "native"

var stockKernels = []string{"6.1", "6.12", "7.2"}

// perKernel are the tests, by package, that run in every stock kernel, because their result
// may depend on the kernel: the tests of connections, the comparison of the backends, and
// the tests of what the kernel says of itself.
var perKernel = []selection{
	{"canbus/socketcan", []string{"TestBusConforms", "TestFramesOfEveryKindArrive", "TestISOTPIsAConn"}},
	{"isotpnet", []string{
		"TestBackendsAreAConn", "TestKernelStreamIsANetConn", "TestBackendsDoTheSame",
		"TestBackendsDoTheSameAtTheSameTime", "TestKernelProbe",
	}},
}

// connections are those tests that run again and again.
var connections = []selection{
	{"isotpnet", []string{"TestBackendsAreAConn", "TestKernelStreamIsANetConn"}},
}

// machineSteps are the steps that test in kernels. The native kernel, which is quick, runs
// all tests that this computer has skipped; the stock kernels run those that may depend on
// the kernel.
func (s *session) machineSteps() []step {
	switch {
	case hostOS != "linux":
		return []step{{"NOT run, as this is not Linux: the tests in Linux kernels", nothing}}
	case len(s.kernels) == 0:
		return []step{{"NOT run, as KERNELS=0 asks: the tests in Linux kernels", nothing}}
	}
	steps := []step{{"machines", s.machines}}
	for _, k := range s.kernels {
		steps = append(steps, step{"kernel " + k, func(c *clock) error { return s.kernel(c, k) }})
		if k == native {
			steps = append(steps, step{"kernel " + k + ", with the race detector", s.racesInNative})
		}
	}
	return append(steps, step{"every test ran somewhere", func(*clock) error { return s.ledger.check() }})
}

func nothing(*clock) error { return nil }

// machines installs and tests what the machines need, and finds out whether there is a
// native kernel on this computer.
func (s *session) machines(c *clock) error {
	for _, k := range s.kernels {
		err := c.run("test/vm/exec", "-k", k, "-fetch")
		exit, _ := errors.AsType[*exec.ExitError](err)
		switch {
		case err == nil:
			s.native = s.native || k == native
		case k == native && exit != nil && exit.ExitCode() == cannotRun:
			fmt.Println("no native kernel: the emulated ones run all tests, which takes longer")
		default:
			return err
		}
	}
	return goTest(c, s.ledger.see, "-count", "1", "-timeout", patience, "./test/vm")
}

// cannotRun is test/vm's exit status for a native kernel that this computer cannot run.
const cannotRun = 3

// kernel runs in a machine the tests that this computer has skipped. If the native kernel
// runs them, the other kernels run only those that may depend on the kernel, and those that
// the native one has skipped.
func (s *session) kernel(c *clock, k string) error {
	switch {
	case k == native && !s.native:
		return nil
	case k == native || !s.native:
		return s.inKernel(c, k, s.skipped, covered)
	}
	module, err := c.output("go", "list", "-m")
	if err != nil {
		return err
	}
	if err := s.inKernel(c, k, s.ledger.selections(), covered); err != nil {
		return err
	}
	return s.inKernel(c, k, within(module, perKernel))
}

func (s *session) racesInNative(c *clock) error {
	if !s.native {
		return nil
	}
	return s.inKernel(c, native, s.skipped, "-race")
}

// connectionsIn runs the connection tests in a kernel.
func (s *session) connectionsIn(c *clock, k string, flags ...string) error {
	module, err := c.output("go", "list", "-m")
	if err != nil {
		return err
	}
	return s.inKernel(c, k, within(module, connections), flags...)
}

// within returns selections with their packages' whole paths.
func within(module string, list []selection) []selection {
	whole := make([]selection, len(list))
	for i, sel := range list {
		whole[i] = selection{module + "/" + sel.pkg, sel.tests}
	}
	return whole
}

// inKernel runs the selected tests in machines, one package after the other, because two
// machines on the same processors make each other late.
func (s *session) inKernel(c *clock, k string, list []selection, flags ...string) error {
	exec, err := filepath.Abs("test/vm/exec")
	if err != nil {
		return err
	}
	for _, sel := range list {
		run := "'" + exec + "' -k " + k
		if strings.HasSuffix(sel.pkg, "/test/canutils") {
			run += " -a can-utils"
		}
		if err := s.runSelected(c, sel, append([]string{"-exec", run}, flags...)); err != nil {
			return err
		}
	}
	return nil
}

// runSelected runs tests that were skipped before, and fails if one of them is not there.
func (s *session) runSelected(c *clock, sel selection, flags []string) error {
	seen := map[string]bool{}
	see := func(e event) {
		s.ledger.see(e)
		seen[e.Test] = seen[e.Test] || e.Action == "pass" || e.Action == "skip"
	}
	flags = append([]string{"-count", "1", "-timeout", patience, "-run", sel.pattern()}, flags...)
	var err error
	if slices.Contains(flags, covered) {
		err = measure(func(file string) error {
			return goTest(c, see, append(flags, "-coverprofile", file, sel.pkg)...)
		}, s.merged)
	} else {
		err = goTest(c, see, append(flags, sel.pkg)...)
	}
	return cmp.Or(err, sel.unseen(seen))
}
