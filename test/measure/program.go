package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const benchDir = "test/bench"

// A program is the test program of test/bench, built with a version of this module.
type program struct{ path string }

// build builds the benchmarks with the working tree.
func build(ctx context.Context, path string) (program, error) {
	return buildWith(ctx, path)
}

// buildOf builds the benchmarks with the module in the folder tree. It leaves a go.mod and a
// go.sum in the folder temp.
func buildOf(ctx context.Context, path, tree, temp string) (program, error) {
	mod := filepath.Join(temp, "bench.mod")
	if err := concat(mod, benchDir+"/go.mod"); err != nil {
		return program{}, err
	}
	// The other tree may need other versions than this one, whose sums only it has.
	if err := concat(filepath.Join(temp, "bench.sum"), benchDir+"/go.sum", tree+"/go.sum"); err != nil {
		return program{}, err
	}
	module, err := output(ctx, "go", "list", "-m")
	if err != nil {
		return program{}, err
	}
	if _, err := output(ctx, "go", "mod", "edit", "-replace", module+"="+tree, mod); err != nil {
		return program{}, err
	}
	return buildWith(ctx, path, "-modfile", mod, "-mod=mod")
}

func buildWith(ctx context.Context, path string, flags ...string) (program, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return program{}, err
	}
	args := append([]string{"-C", benchDir, "test"}, flags...)
	_, err = output(ctx, "go", append(args, "-c", "-o", path, ".")...)
	return program{path}, err
}

// concat writes the contents of files to another.
func concat(to string, from ...string) error {
	var all []byte
	for _, name := range from {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		all = append(all, text...)
	}
	return os.WriteFile(to, all, 0o644)
}

// names returns the names of the program's benchmarks that match, each of which it runs once.
func (p program) names(ctx context.Context, match string) ([]string, error) {
	out, err := p.run(ctx, match, "-test.benchtime", "1x", "-test.cpu", "1")
	if err != nil {
		return nil, err
	}
	r := results{}
	r.add(out)
	if len(r) == 0 {
		return nil, fmt.Errorf("no benchmark matches %q", match)
	}
	return slices.Sorted(maps.Keys(r)), nil
}

// measure runs one benchmark.
func (p program) measure(ctx context.Context, o options, name string) (string, error) {
	return p.run(ctx, pattern(name), "-test.benchtime", o.time.String(), "-test.cpu", o.cpu)
}

// run runs the benchmarks that match, and returns what they print.
func (p program) run(ctx context.Context, match string, flags ...string) (string, error) {
	return output(ctx, p.path, append([]string{"-test.run", "^$", "-test.timeout", "10m", "-test.bench", match}, flags...)...)
}

// pattern matches the benchmark of that name alone.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// output runs a program to its end, and returns what it prints.
func output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", errors.Join(fmt.Errorf("%s: %w\n%s", cmd, err, out), ctx.Err())
	}
	return strings.TrimRight(string(out), "\n"), nil
}
