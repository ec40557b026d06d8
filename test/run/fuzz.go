package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)

// fuzzSteps has a step for each fuzz target of the module. Its corpus ran with the tests.
func (s *session) fuzzSteps() ([]step, error) {
	if s.fuzzTime == 0 {
		return nil, nil
	}
	files, err := testFiles()
	if err != nil {
		return nil, err
	}
	var steps []step
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, m := range fuzzTarget.FindAllSubmatch(source, -1) {
			dir, target := packageOf(file), string(m[1])
			steps = append(steps, step{
				fmt.Sprintf("%s of %s, %v", target, dir, s.fuzzTime),
				func(c *clock) error { return s.fuzz(c, dir, target) },
			})
		}
	}
	return steps, nil
}

// testFiles returns the files of tests of the module in the working directory.
func testFiles() ([]string, error) {
	var files []string
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && exists(filepath.Join(path, "go.mod")):
			return filepath.SkipDir // another module
		case strings.HasSuffix(path, "_test.go"):
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// fuzz fuzzes for the time of the settings.
//
// Before Go 1.27, go test now and then takes the end of that time for a failure
// (https://go.dev/issue/75804): it prints "context deadline exceeded", and no input that
// failed. Then fuzzing has found nothing, and fuzz starts it again.
func (s *session) fuzz(c *clock, dir, target string) error {
	for try := 1; ; try++ {
		var log bytes.Buffer
		cmd := exec.Command("go", "test", "-vet=off", "-run", "^$", "-fuzz", "^"+target+"$", "-fuzztime", s.fuzzTime.String(), dir)
		cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &log), os.Stderr
		err := c.start(cmd)
		if err == nil || try == 3 || !endedByTime(log.String()) {
			return err
		}
		fmt.Println("that is Go's issue 75804: again")
	}
}

func endedByTime(log string) bool {
	lines := strings.Split(log, "\n")
	return !strings.Contains(log, "Failing input written to") && slices.ContainsFunc(lines, func(line string) bool {
		return strings.TrimSpace(line) == "context deadline exceeded"
	})
}
