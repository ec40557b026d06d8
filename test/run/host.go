package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// patience is how long a package's tests may take. It ends tests that hang, and is long
// enough for a machine that has much to do.
const patience = "30m"

func ignore(event) {}

// testsHere runs all tests on this computer, and notes what they cover and what they skip.
func (s *session) testsHere(c *clock) error {
	packages, err := packages(c)
	if err != nil {
		return err
	}
	err = measure(func(file string) error {
		return goTest(c, s.ledger.see, append([]string{"-count", "1", manyAtOnce, "-timeout", patience, covered, "-coverprofile", file}, packages...)...)
	}, s.host, s.merged)
	s.skipped = s.ledger.selections()
	return err
}

// connectionTests matches the names of the tests that prove that something is a net.Conn.
const connectionTests = "(AreAConn|IsAConn|IsANetConn)$"

var (
	connectionTest = regexp.MustCompile(`(?m)^func Test\w*(AreAConn|IsAConn|IsANetConn)\(`)
	benchmark      = regexp.MustCompile(`(?m)^func Benchmark\w+\(`)
)

// racesHere runs the tests with the race detector: in short runs, as test/scale says why,
// but for those of connections, which are run whole.
func (s *session) racesHere(c *clock) error {
	return shortRun(c, "-race", manyAtOnce, "-skip", connectionTests, "-timeout", patience)
}

// shortRun runs tests as make check does. It leaves out the packages whose tests all need a machine or
// other programs, as to link them takes longer than many tests do.
func shortRun(c *clock, flags ...string) error {
	packages, err := packages(c)
	if err != nil {
		return err
	}
	packages = slices.DeleteFunc(packages, func(pkg string) bool {
		return strings.HasSuffix(pkg, "/test/canutils") || strings.HasSuffix(pkg, "/test/interop")
	})
	return goTest(c, ignore, slices.Concat([]string{"-short"}, flags, packages)...)
}

// connectionsHere runs those of isotpnet with 1, 2 and 8 processors, and those of other
// packages beside them: both wait for much of the time.
func (s *session) connectionsHere(c *clock) error {
	const own = "./isotpnet"
	others, err := packagesWith(connectionTest)
	if err != nil {
		return err
	}
	others = slices.DeleteFunc(others, func(pkg string) bool { return pkg == own })
	whole := []string{"-race", "-timeout", patience, "-run", connectionTests}
	var two errgroup.Group
	two.Go(func() error { return goTest(c, ignore, slices.Concat(whole, others)...) })
	two.Go(func() error {
		return goTest(c, ignore, slices.Concat(whole, []string{"-count", s.times(1), "-cpu", "1,2,8", own})...)
	})
	return two.Wait()
}

// benchmarks runs each benchmark once. Those of test/bench run in the tests of test/measure.
func benchmarks(c *clock) error {
	packages, err := packagesWith(benchmark)
	if err != nil {
		return err
	}
	return goTest(c, ignore, append([]string{"-run", "^$", "-bench", ".", "-benchtime", "1x", "-timeout", patience}, packages...)...)
}

// packagesWith returns the packages of the module whose tests match.
func packagesWith(pattern *regexp.Regexp) ([]string, error) {
	files, err := testFiles()
	if err != nil {
		return nil, err
	}
	var packages []string
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if pkg := packageOf(file); pattern.Match(source) && !slices.Contains(packages, pkg) {
			packages = append(packages, pkg)
		}
	}
	return packages, nil
}

// packageOf returns the package of a file as go test takes it.
func packageOf(file string) string { return "./" + filepath.ToSlash(filepath.Dir(file)) }

// packages are the packages whose tests run on this computer, those that take longest
// first: go test begins with them, and does not wait for one of them at the end. The tests
// of test/vm boot machines, and run with the kernels; those of test/wine run with Wine.
func packages(c *clock) ([]string, error) {
	list, err := c.output("go", "list", "./isotpnet", "./test/interop", "./canbus/slcan", "./...")
	return slices.DeleteFunc(strings.Fields(list), func(pkg string) bool {
		return strings.HasSuffix(pkg, "/test/vm") || strings.HasSuffix(pkg, "/test/wine")
	}), err
}

// manyAtOnce has go test run one package more at a time than there are processors, as many
// tests wait.
var manyAtOnce = "-p=" + strconv.Itoa(runtime.NumCPU()+1)

// covered is the flag of go test that names the packages whose coverage counts.
const covered = "-coverpkg=./canbus/...,./cmd/...,./internal/...,./isotpnet,./sniff"

// measure runs tests that write their coverage to a file, and adds it to the profiles.
func measure(run func(file string) error, profiles ...*profile) error {
	dir, err := os.MkdirTemp("", "isotpnet-coverage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "profile")
	if err := run(file); err != nil {
		return err
	}
	for _, p := range profiles {
		if err := p.add(file); err != nil {
			return err
		}
	}
	return nil
}

// checkCoverage prints each package's coverage, and fails if one is below its limit.
func (s *session) checkCoverage(c *clock) error {
	module, err := c.output("go", "list", "-m")
	if err != nil {
		return err
	}
	s.merged.print(os.Stdout, s.host)
	err = s.host.check(module, "on this computer", hostLimits)
	if len(s.kernels) > 0 {
		err = errors.Join(err, s.merged.check(module, "here and in machines", mergedLimits))
	}
	return err
}

// listUncovered calls checkCoverage, and lists the blocks that no test has run.
func (s *session) listUncovered(c *clock) error {
	const name = "uncovered.txt"
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	s.merged.uncovered(f)
	if err := f.Close(); err != nil {
		return err
	}
	fmt.Println("what no test has run is in", name)
	return s.checkCoverage(c)
}
