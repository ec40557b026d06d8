package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// measure runs the tests of all packages without a mistake: they must pass. The time that
// they take decides when a run with a mistake counts as hung.
func measure(picked []*mutant, dir string) error {
	for _, m := range picked {
		p := m.file.pkg
		if p.timeout > 0 {
			continue
		}
		p.timeout = 2 * time.Minute
		binary := filepath.Join(dir, "unchanged.test")
		if out, err := p.build(binary); err != nil {
			return fmt.Errorf("%s: %w\n%s", p.path, err, out)
		}
		began := time.Now()
		if out, err := p.runTests(binary); err != nil {
			return fmt.Errorf("%s fails without any mistake: %w\n%s", p.path, err, out)
		}
		p.timeout = 10*time.Second + 5*time.Since(began)
	}
	return nil
}

// test returns the test, or the limit, that has noticed the mistake; "" if none has.
func (m *mutant) test(dir string) (noticed string, err error) {
	dir, err = os.MkdirTemp(dir, "")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(dir)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "mutant.test")
	if out, err := m.file.pkg.build(binary, "-overlay", overlay); err != nil {
		return "", fmt.Errorf("%s does not compile, although its types are right: %w\n%s", m.key(), err, out)
	}
	out, err := m.file.pkg.runTests(binary)
	var failed *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case !errors.As(err, &failed):
		return "", err
	}
	return killer(out), nil
}

// overlay writes the changed file, and a file that tells the compiler which file it
// replaces.
func (m *mutant) overlay(dir string) (string, error) {
	changed := filepath.Join(dir, "changed.go")
	if err := os.WriteFile(changed, m.source(), 0o600); err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{m.file.name: changed}})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, replace, 0o600)
}

// build compiles the package's tests.
func (p *pkg) build(binary string, flags ...string) ([]byte, error) {
	return exec.Command("go", append(append([]string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", binary}, flags...), p.path)...).CombinedOutput()
}

// runTests runs the tests in the package's directory until the first one fails. They get
// 4 GB of memory, because a mistake may make a program ask for any amount.
func (p *pkg) runTests(binary string) ([]byte, error) {
	cmd := exec.Command("sh", "-c", `ulimit -v 4000000 2>&-; exec "$@"`, "sh",
		binary, "-test.failfast", "-test.timeout="+p.timeout.String())
	cmd.Dir = p.dir
	return cmd.CombinedOutput()
}

var (
	failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	hung       = regexp.MustCompile(`(?m)^panic: test timed out`)
	fatal      = regexp.MustCompile(`(?m)^(panic|fatal error|runtime): .*`)
)

// killer returns, from the output of the tests, what has noticed the mistake.
func killer(out []byte) string {
	if hung.Match(out) {
		return "killed: the tests hang"
	}
	// Subtests come after their test: the last is the one.
	if all := failedTest.FindAllSubmatch(out, -1); len(all) > 0 {
		name := string(all[0][1])
		for _, f := range all[1:] {
			if len(f[1]) > len(name) && string(f[1][:len(name)+1]) == name+"/" {
				name = string(f[1])
			}
		}
		return "killed by " + name
	}
	if f := fatal.Find(out); f != nil {
		return "killed: " + string(f)
	}
	return "killed: the tests fail"
}
