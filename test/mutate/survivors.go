package main

import (
	"fmt"
	"os"
	"strings"
)

// survivors say, by a mistake's key, why no test can notice it.
type survivors map[string]string

// readSurvivors reads a file that has a line for each mistake, and below it, indented, a
// line that explains it. Lines that begin with # are comments.
func readSurvivors(name string) (survivors, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	s := make(survivors)
	key := ""
	for i, line := range strings.Split(string(text), "\n") {
		why, explains := strings.CutPrefix(line, "\t")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case explains == (key == ""):
			return nil, fmt.Errorf("%s:%d: a mistake, and below it a line that begins with a tab and explains it, come by turns", name, i+1)
		case explains:
			s[key], key = why, ""
		default:
			key = line
		}
	}
	return s, nil
}

// check returns an error if it explains a mistake that these packages do not have.
func (s survivors) check(packages []*pkg) error {
	known := make(map[string]bool)
	for _, p := range packages {
		name, _, _ := strings.Cut(p.mutants()[0].key(), " ")
		known[name] = true
		for _, m := range p.mutants() {
			known[m.key()] = true
		}
	}
	for key := range s {
		if name, _, _ := strings.Cut(key, " "); known[name] && !known[key] {
			return fmt.Errorf("test/mutate/survivors.txt explains what is not there any more: %s", key)
		}
	}
	return nil
}
