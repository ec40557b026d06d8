package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// against compares the working tree with a commit.
func against(ctx context.Context, o options, rev string) error {
	if err := os.RemoveAll(o.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	old, err := buildCommit(ctx, filepath.Join(o.dir, "old.test"), rev)
	if err != nil {
		return err
	}
	new, err := build(ctx, filepath.Join(o.dir, "new.test"))
	if err != nil {
		return err
	}
	names, err := new.names(ctx, o.bench)
	if err != nil {
		return err
	}
	var turns []turn
	for _, t := range []struct {
		name string
		program
	}{{"old", old}, {"new", new}, {"again", old}} {
		f, err := os.Create(filepath.Join(o.dir, t.name+".txt"))
		if err != nil {
			return err
		}
		defer f.Close()
		turns = append(turns, turn{t.name, t.program, f})
	}
	for round := range o.rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
		for _, name := range names {
			for _, t := range turns {
				if err := t.take(ctx, o, name); err != nil {
					return err
				}
			}
		}
	}
	for _, t := range turns[:2] {
		if err := t.profile(ctx, o, names); err != nil {
			return err
		}
	}
	return show(ctx, turns)
}

// buildCommit builds the benchmarks with a commit of this repository.
func buildCommit(ctx context.Context, path, rev string) (program, error) {
	temp, err := os.MkdirTemp("", "isotpnet-measure-")
	if err != nil {
		return program{}, err
	}
	defer os.RemoveAll(temp)
	tree := filepath.Join(temp, "tree")
	if _, err := output(ctx, "git", "worktree", "add", "--quiet", "--detach", tree, rev); err != nil {
		return program{}, err
	}
	defer output(context.WithoutCancel(ctx), "git", "worktree", "remove", "--force", tree)
	return buildOf(ctx, path, tree, temp)
}

// A turn is the program that runs then, and the file of what it prints.
type turn struct {
	name string
	program
	out *os.File
}

func (t turn) take(ctx context.Context, o options, name string) error {
	out, err := t.measure(ctx, o, name)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(t.out, out)
	return err
}

// profile runs each benchmark once more, for its profile.
func (t turn) profile(ctx context.Context, o options, names []string) error {
	fmt.Fprintln(os.Stderr, "profiles of", t.name)
	dir := filepath.Join(o.dir, t.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		file := filepath.Join(dir, profileName(name))
		if _, err := t.run(ctx, pattern(name), "-test.benchtime", "1s", "-test.cpu", o.cpu, "-test.cpuprofile", file); err != nil {
			return err
		}
	}
	return nil
}

// profileName is the name of the file with a benchmark's profile.
func profileName(name string) string {
	return strings.ReplaceAll(strings.TrimPrefix(name, "Benchmark"), "/", "_") + ".pprof"
}

// show prints the comparison.
func show(ctx context.Context, turns []turn) error {
	args := []string{"tool", "-modfile", "test/tools/go.mod", "benchstat"}
	for _, t := range turns {
		args = append(args, t.name+"="+t.out.Name())
	}
	table, err := output(ctx, "go", args...)
	fmt.Println(table)
	return err
}
