package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

var windows, windows32 = target{"windows", "amd64"}, target{"windows", "386"}

// wineSteps are the steps that test the build for Windows under Wine, which is not Windows.
func (s *session) wineSteps() []step {
	const what = "the tests of the build for Windows, under Wine"
	switch {
	case hostOS != "linux":
		return []step{{"NOT run, as this is not Linux: " + what, nothing}}
	case !s.wine:
		return []step{{"NOT run, as WINE=0 asks: " + what, nothing}}
	}
	return []step{{what, s.testsUnderWine}}
}

// testsUnderWine runs tests in short runs, because each datagram takes Wine as long as ten take Linux, and
// those of packages that have tests for Windows only, which nothing else runs, whole.
func (s *session) testsUnderWine(c *clock) error {
	if err := c.run("test/wine/setup"); isCannotRun(err) {
		fmt.Println("NOT run: there is no Wine here")
		return nil
	} else if err != nil {
		return err
	}
	short, whole, err := windowsPackages(c)
	if err != nil {
		return err
	}
	wine, err := filepath.Abs("test/wine/exec")
	if err != nil {
		return err
	}
	flags := []string{"-count", "1", manyAtOnce, "-timeout", patience, "-exec", "'" + wine + "'"}
	err = goTestFor(c, windows, s.underWine.see, slices.Concat(flags, []string{"-short"}, short)...)
	if err == nil && len(whole) > 0 {
		err = goTestFor(c, windows, s.underWine.see, slices.Concat(flags, whole)...)
	}
	for _, t := range s.underWine.missing() {
		fmt.Printf("skipped under Wine: %s %s: %s\n", t.pkg, t.name, s.underWine.skipped[t])
	}
	if err == nil {
		err = testsOf32Bits(c, flags)
	}
	if err != nil {
		return err
	}
	return goTest(c, s.ledger.see, "-count", "1", "-timeout", patience, "./test/wine")
}

// testsOf32Bits tests the drivers that load libraries as programs of 32 bits do, which most libraries of
// pass-thru adapters are for.
func testsOf32Bits(c *clock, flags []string) error {
	if err := c.run("test/wine/setup32"); isCannotRun(err) {
		fmt.Println("NOT run: the drivers of adapters with libraries of 32 bits, as there is no wine32 here")
		return nil
	} else if err != nil {
		return err
	}
	return goTestFor(c, windows32, newLedger().see, append(flags, "-short", "./canbus/j2534", "./canbus/kvaser", "./canbus/pcan")...)
}

// isCannotRun reports whether a script has said that this computer cannot run what it is for.
func isCannotRun(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	return ok && exit.ExitCode() == cannotRun
}

// windowsPackages returns the packages whose tests run under Wine: those that have no tests for Windows
// only, for short runs, and those that have. It prints what is left out: the build's constraints say why.
func windowsPackages(c *clock) (short, whole []string, err error) {
	list, err := c.output("env", "GOOS="+windows.os, "GOARCH="+windows.arch, "go", "list", "-f",
		"{{.ImportPath}}{{range .TestGoFiles}} {{.}}{{end}}{{range .XTestGoFiles}} {{.}}{{end}} |{{range .IgnoredGoFiles}} {{.}}{{end}}", "./...")
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(list) {
		built, ignored, _ := strings.Cut(strings.TrimSpace(line), "|")
		pkg, tests, _ := strings.Cut(strings.TrimSpace(built), " ")
		if strings.Contains(pkg, "/test/") {
			if tests != "" {
				fmt.Println("not under Wine, as it is about the source or programs of Linux:", pkg)
			}
			continue
		}
		if strings.Contains(tests, "_windows_test.go") {
			whole = append(whole, pkg)
		} else {
			short = append(short, pkg)
		}
		others := slices.DeleteFunc(strings.Fields(ignored), func(file string) bool { return !strings.HasSuffix(file, "_test.go") })
		if len(others) > 0 {
			fmt.Println("not built for Windows:", pkg, strings.Join(others, " "))
		}
	}
	return short, whole, nil
}
