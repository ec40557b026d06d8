package main

import (
	"cmp"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// The kernels of test/vm.
const native = "native"

var stockKernels = []string{"6.1", "6.12", "7.2"}

// perKernel are the tests, by package, that run in every stock kernel, because their result
// may depend on the kernel: the tests of connections, the comparison of the backends, and
// the tests of what the kernel says of itself. TestISOTPIsAConn is that of our ISO-TP over
// the kernel's sockets.
var perKernel = []selection{
	{"canbus/socketcan", []string{"TestBusConforms", "TestFramesOfEveryKindArrive", "TestISOTPIsAConn"}},
	{"isotpnet", []string{
		"TestBackendsAreAConn", "TestKernelStreamIsANetConn", "TestBackendsDoTheSame",
		"TestBackendsDoTheSameAtTheSameTime", "TestKernelProbe",
	}},
}

// connections are those tests that run again and again.
var connections = []selection{
	{"isotpnet", []string{"TestBackendsAreAConn", "TestKernelStreamIsANetConn", "TestUserConnsOnOneSocketAreAConn"}},
}

// machineSteps are the steps that test in kernels. The native kernel, which is quick, runs
// all tests that this computer has skipped, with the race detector and without it; the stock
// kernels run those that may depend on the kernel, which the native one then runs with the
// race detector only, and the first of them also those that the native one has skipped. If
// there is no native kernel, each stock kernel runs all that this computer has skipped.
func (s *session) machineSteps() []step {
	switch {
	case hostOS != "linux":
		return []step{{"NOT run, as this is not Linux: the tests in Linux kernels", nothing}}
	case len(s.kernels) == 0:
		return []step{{"NOT run, as KERNELS=0 asks: the tests in Linux kernels", nothing}}
	}
	return []step{
		{"machines", s.machines},
		{"tests of packages that compute, linux/386", testsOf386},
		{"kernels " + strings.Join(s.kernels, ", "), s.testsInKernels},
		{"every test ran somewhere", s.checkLedgers},
	}
}

// checkLedgers fails if a test ran nowhere. What only the build for Windows has must have run under Wine.
func (s *session) checkLedgers(*clock) error {
	return errors.Join(s.ledger.check(), s.underWine.check(s.ledger))
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

// testsInKernels runs two machines at a time, the native one beside an emulated one. The
// native machine has this computer's time, and a processor to itself if there are two; the
// emulated ones have a time of their own, which does not run while they wait for a processor.
func (s *session) testsInKernels(c *clock) error {
	module, err := c.output("go", "list", "-m")
	if err != nil {
		return err
	}
	stock := slices.DeleteFunc(slices.Clone(s.kernels), func(k string) bool { return k == native })
	each := within(module, perKernel)
	var two errgroup.Group
	two.SetLimit(2)
	ran := make(chan struct{}) // all that the native kernel can run
	if s.native {
		list := s.skipped
		if len(stock) > 0 {
			list = without(list, each)
		}
		two.Go(func() error { return s.testsInNative(c, list, ran) })
	}
	for i, k := range slices.Backward(stock) {
		two.Go(func() error {
			list := s.skipped
			if s.native {
				list = each
				if i == 0 {
					<-ran
					list = append(without(s.ledger.selections(), each), each...)
				}
			}
			return s.inKernel(c, k, list, covered)
		})
	}
	return two.Wait()
}

// testsInNative runs in the native kernel the tests of the list, and then all tests that this
// computer has skipped with the race detector, in a short run as on this computer.
func (s *session) testsInNative(c *clock, list []selection, ran chan<- struct{}) error {
	err := s.inKernel(c, native, list, covered)
	close(ran)
	if err != nil {
		return err
	}
	return s.inKernel(c, native, s.skipped, "-race", "-short")
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

// inKernel runs the selected tests in machines, one package after the other.
func (s *session) inKernel(c *clock, k string, list []selection, flags ...string) error {
	exec, err := filepath.Abs("test/vm/exec")
	if err != nil {
		return err
	}
	start := time.Now()
	for _, sel := range list {
		run := "'" + exec + "' -k " + k
		if k != native {
			run = "nice " + run
		}
		if strings.HasSuffix(sel.pkg, "/test/canutils") {
			tool, err := s.tool(c)
			if err != nil {
				return err
			}
			run += " -a can-utils -a '" + tool + "'"
		}
		if err := s.runSelected(c, sel, append([]string{"-exec", run}, flags...)); err != nil {
			return fmt.Errorf("kernel %s: %w", k, err)
		}
	}
	fmt.Printf("pass  %6.1f s  kernel %s %s\n", time.Since(start).Seconds(), k, strings.Join(flags, " "))
	return nil
}

// tool builds the command isotp, which is compared with can-utils, and returns its path.
func (s *session) tool(c *clock) (string, error) {
	path, err := filepath.Abs("test/.bin/isotp")
	if err != nil {
		return "", err
	}
	return path, c.run("go", "build", "-o", path, "./cmd/isotp")
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
