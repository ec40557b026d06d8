package main

import (
	"errors"
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
		{"linux", "amd64"}, {"linux", "arm64"}, {"linux", "arm"}, {"darwin", "amd64"}, {"darwin", "arm64"},
		{"windows", "amd64"}, {"windows", "arm64"}, {"windows", "386"},
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

// modules are the folders of the modules with code: this one, and that of the benchmarks.
var modules = []string{".", "test/bench"}

func tidy(c *clock) error {
	for _, dir := range append([]string{"test/plot", "test/tools"}, modules...) {
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
	for _, dir := range modules {
		if err := c.run("env", "GOOS="+t.os, "GOARCH="+t.arch, "CGO_ENABLED=0", "go", "-C", dir, "vet", "./..."); err != nil {
			return err
		}
	}
	return nil
}

// staticcheck runs the version of it that test/tools names.
func staticcheck(c *clock) error {
	tools, err := filepath.Abs("test/tools/go.mod")
	if err != nil {
		return err
	}
	for _, dir := range modules {
		if err := c.run("go", "-C", dir, "tool", "-modfile", tools, "staticcheck", "./..."); err != nil {
			return err
		}
	}
	return nil
}
