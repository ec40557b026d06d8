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
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	old, err := buildCommit(ctx, filepath.Join(o.dir, "old.test"), rev)
	if err != nil {
		return err
	}
	changed, err := build(ctx, filepath.Join(o.dir, "new.test"))
	if err != nil {
		return err
	}
	names, err := changed.names(ctx, o.bench)
	if err != nil {
		return err
	}
	turns := []turn{{name: "old", program: old}, {name: "new", program: changed}, {name: "again", program: old}}
	if err := takeTurns(ctx, o, turns, names); err != nil {
		return err
	}
	if err := show(ctx, turns); err != nil {
		return err
	}
	return profiles(ctx, o, turns[:2], names)
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

// takeTurns runs each benchmark by turns, as often as there are rounds.
func takeTurns(ctx context.Context, o options, turns []turn, names []string) error {
	for i := range turns {
		f, err := os.Create(filepath.Join(o.dir, turns[i].name+".txt"))
		if err != nil {
			return err
		}
		defer f.Close()
		turns[i].out = f
	}
	for round := range o.rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
		for _, name := range names {
			for _, t := range turns {
				out, err := t.measure(ctx, o, name)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintln(t.out, out); err != nil {
					return err
				}
			}
		}
	}
	return nil
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

// profiles runs each benchmark once more with each program, for its profile.
func profiles(ctx context.Context, o options, turns []turn, names []string) error {
	fmt.Fprintln(os.Stderr, "profiles, in", o.dir)
	for _, t := range turns {
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
	}
	return nil
}

// profileName is the name of the file with a benchmark's profile.
func profileName(name string) string {
	return strings.ReplaceAll(strings.TrimPrefix(name, "Benchmark"), "/", "_") + ".pprof"
}
