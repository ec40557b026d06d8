package main

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A mutant is one mistake: the text between two offsets of a file is another one.
type mutant struct {
	file       *file
	in         string // the function, or what is declared
	begin, end int
	text       string
	nth        int // of those that look the same
}

// source returns the file with the mistake in it.
func (m *mutant) source() []byte {
	return slices.Concat(m.file.src[:m.begin], []byte(m.text), m.file.src[m.end:])
}

// key names a mistake, wherever in the package it stands:
//
//	engine Budget.fits: return b.used+int64(size) [<= | <] b.Limit
func (m *mutant) key() string {
	src := string(m.file.src)
	before := src[strings.LastIndexByte(src[:m.begin], '\n')+1 : m.begin]
	old, more := firstLine(src[m.begin:m.end])
	after := ""
	if more {
		old += " ..."
	} else {
		after, _ = firstLine(src[m.end:])
	}
	key := fmt.Sprintf("%s %s: %s[%s | %s]%s", filepath.Base(m.file.pkg.dir), m.in, before, old, m.text, after)
	key = strings.TrimSpace(spaces.ReplaceAllString(key, " ")) // gofmt aligns by what stands beside
	if m.nth > 1 {
		key += fmt.Sprintf(" (%d)", m.nth)
	}
	return key
}

var spaces = regexp.MustCompile(`[ \t]+`)

// firstLine returns a text's first line without comment, and whether more follows.
func firstLine(text string) (line string, more bool) {
	line, _, more = strings.Cut(text, "\n")
	line, _, _ = strings.Cut(line, "//")
	return strings.TrimRight(line, " \t"), more
}

// position is where in the file the mistake stands.
func (m *mutant) position() string {
	name := m.file.name
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, name); err == nil {
			name = rel
		}
	}
	return fmt.Sprintf("%s:%d", name, 1+strings.Count(string(m.file.src[:m.begin]), "\n"))
}

// mutants returns all mistakes that can be made in a package.
func (p *pkg) mutants() []*mutant {
	var all []*mutant
	seen := make(map[string]int)
	for _, f := range p.files {
		for _, m := range f.mutants() {
			seen[m.key()]++
			m.nth = seen[m.key()]
			all = append(all, m)
		}
	}
	return all
}

// sample picks n mistakes that compile.
func sample(packages []*pkg, n int, seed uint64) []*mutant {
	var all []*mutant
	rank := make(map[*mutant]uint64)
	for _, p := range packages {
		for _, m := range p.mutants() {
			rank[m] = m.rank(seed)
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b *mutant) int { return cmp.Compare(rank[a], rank[b]) })
	var picked []*mutant
	for _, m := range all {
		if len(picked) == n {
			break
		}
		if m.compiles() {
			picked = append(picked, m)
		}
	}
	return picked
}

// rank puts mistakes in an order that has nothing to do with what they are. They stand
// on a circle; the seed says where it begins.
func (m *mutant) rank(seed uint64) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s 1", m.key()) // the hash needs more bytes to mix its last ones
	return h.Sum64() + (seed-1)*0x9E3779B97F4A7C15
}
