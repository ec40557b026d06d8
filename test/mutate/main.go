// Mutate checks the tests: it makes one small mistake at a time in the code that they
// test, and runs them. A mistake that no test notices either needs a test or changes
// nothing that a user could see; survivors.txt explains those of the second kind.
//
//	go run ./test/mutate [-n 300] [-seed 1] [-match REGEXP] [-list] [PACKAGES]
//
// Which mistakes are made depends on the seed and on their own text only, so that a
// change of the code changes little of the sample. The run fails if a mistake survives that
// survivors.txt does not explain, or if that file explains a mistake that can no longer be
// made.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"sync"
)

// tested are the packages whose code is changed if no packages are named.
var tested = []string{"./internal/engine", "./internal/mux", "./internal/stream", "./internal/wire"}

func main() {
	n := flag.Int("n", 300, "how many `mistakes` are made")
	seed := flag.Uint64("seed", 1, "which ones")
	match := flag.String("match", "", "of these, only those whose text matches the `regexp`")
	list := flag.Bool("list", false, "only say which these are")
	parallel := flag.Int("p", runtime.NumCPU(), "how many test runs go on at once")
	flag.Parse()
	if flag.NArg() > 0 {
		tested = flag.Args()
	}
	if err := mutate(*n, *seed, *match, *list, *parallel); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func mutate(n int, seed uint64, match string, list bool, parallel int) error {
	wanted, err := regexp.Compile(match)
	if err != nil {
		return err
	}
	packages, err := load(tested)
	if err != nil {
		return err
	}
	explained, err := readSurvivors("test/mutate/survivors.txt")
	if err != nil {
		return err
	}
	if err := explained.check(packages); err != nil {
		return err
	}
	var picked []*mutant
	for _, m := range sample(packages, n, seed) {
		if wanted.MatchString(m.key()) {
			picked = append(picked, m)
		}
	}
	if list {
		for _, m := range picked {
			fmt.Printf("%s: %s\n", m.position(), m.key())
		}
		return nil
	}
	return run(picked, explained, parallel)
}

// run tests all mutants, and returns an error if one survives without an explanation.
func run(picked []*mutant, explained survivors, parallel int) error {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := measure(picked, dir); err != nil {
		return err
	}
	var (
		mu              sync.Mutex
		done, survived  int
		wg              sync.WaitGroup
		todo            = make(chan *mutant)
		firstUnexplined error
	)
	for range parallel {
		wg.Go(func() {
			for m := range todo {
				how, err := m.test(dir)
				mu.Lock()
				done++
				switch {
				case err != nil:
					firstUnexplined = err
				case how == "" && explained[m.key()] != "":
					how = "survived: " + explained[m.key()]
				case how == "":
					how = "SURVIVED"
					survived++
				}
				fmt.Printf("%d of %d %s: %s: %s\n", done, len(picked), m.position(), m.key(), how)
				mu.Unlock()
			}
		})
	}
	for _, m := range picked {
		todo <- m
	}
	close(todo)
	wg.Wait()
	if firstUnexplined != nil {
		return firstUnexplined
	}
	if survived > 0 {
		return fmt.Errorf("%d of %d mistakes were noticed by no test: write one, or say in test/mutate/survivors.txt why none can", survived, done)
	}
	return nil
}
