package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const hostOS = runtime.GOOS

// A target is a system that the module must build for.
type target struct{ os, arch string }

var (
	hostOnly    = []target{{hostOS, runtime.GOARCH}}
	everySystem = []target{
		{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"}, {"windows", "arm64"},
	}
)

// sourceSteps check the source without running it.
func sourceSteps(targets []target) []step {
	steps := []step{{"gofmt", gofmt}}
	for _, t := range targets {
		steps = append(steps, step{"build and vet, " + t.os + "/" + t.arch, t.vet})
	}
	return append(steps, step{"staticcheck", staticcheck})
}

func tidy(c *clock) error {
	for _, dir := range []string{".", "test/tools"} {
		if err := c.run("go", "-C", dir, "mod", "tidy", "-diff"); err != nil {
			return err
		}
	}
	return nil
}

func gofmt(c *clock) error {
	files, err := c.output("gofmt", "-l", ".")
	if err == nil && files != "" {
		err = errors.New("to do: gofmt -w " + strings.ReplaceAll(files, "\n", " "))
	}
	return err
}

// vet runs go vet for the target, which compiles the packages and their tests first.
func (t target) vet(c *clock) error {
	return c.run("env", "GOOS="+t.os, "GOARCH="+t.arch, "CGO_ENABLED=0", "go", "vet", "./...")
}

// staticcheck runs the version of it that test/tools names.
func staticcheck(c *clock) error {
	bin, err := filepath.Abs("test/.bin")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	if err := c.run("go", "build", "-C", "test/tools", "-o", bin+string(filepath.Separator), "honnef.co/go/tools/cmd/staticcheck"); err != nil {
		return err
	}
	return c.run(filepath.Join(bin, "staticcheck"), "./...")
}
