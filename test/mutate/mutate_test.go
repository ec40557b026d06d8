package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const code = `package code

const limit = 7 // bytes

type queue struct{ items []int }

func (q *queue) push(n int) bool {
	if len(q.items) >= limit { // full
		return false
	}
	q.items = append(q.items, n)
	return true
}

func (q *queue) empty() bool { return !q.some() }
func (q *queue) some() bool  { return len(q.items) > 0 && q.items != nil }
`

func newPkg(t *testing.T, code string) *pkg {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "code")
	for name, text := range map[string]string{"go.mod": "module example.com/code\n\ngo 1.26\n", "code.go": code} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	packages, err := load([]string{"."})
	if err != nil {
		t.Fatal(err)
	}
	return packages[0]
}

func TestMistakes(t *testing.T) {
	var got []string
	for _, m := range sample([]*pkg{newPkg(t, code)}, 1000, 1) {
		got = append(got, m.key())
	}
	slices.Sort(got)
	want := []string{
		"code limit: const limit = [7 | 6]",
		"code limit: const limit = [7 | 8]",
		"code queue.empty: func (q *queue) empty() bool { return [! | ]q.some() }",
		"code queue.push: [if len(q.items) >= limit { ... | ]",
		"code queue.push: [q.items = append(q.items, n) | ]",
		"code queue.push: if len(q.items) [>= | <] limit {",
		"code queue.push: if len(q.items) [>= | >] limit {",
		"code queue.push: return [false | true]",
		"code queue.push: return [true | false]",
		"code queue.some: func (q *queue) some() bool { return len(q.items) > 0 && q.items [!= | ==] nil }",
		"code queue.some: func (q *queue) some() bool { return len(q.items) > 0 [&& | ||] q.items != nil }",
		"code queue.some: func (q *queue) some() bool { return len(q.items) > [0 | -1] && q.items != nil }",
		"code queue.some: func (q *queue) some() bool { return len(q.items) > [0 | 1] && q.items != nil }",
		"code queue.some: func (q *queue) some() bool { return len(q.items) [> | <=] 0 && q.items != nil }",
		"code queue.some: func (q *queue) some() bool { return len(q.items) [> | >=] 0 && q.items != nil }",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What is picked depends on the seed, and not on what stands beside it.
func TestSampleIsReproducible(t *testing.T) {
	pick := func(code string, seed uint64) (keys []string) {
		for _, m := range sample([]*pkg{newPkg(t, code)}, 8, seed) {
			keys = append(keys, m.key())
		}
		return keys
	}
	one := pick(code, 1)
	if again := pick(code, 1); !slices.Equal(again, one) {
		t.Errorf("%q, then %q", one, again)
	}
	if other := pick(code, 2); slices.Equal(other, one) {
		t.Error("another seed picks the same")
	}
	for _, key := range pick(code+"\nfunc double(n int) int { return 2 * n }\n", 1) {
		if !slices.Contains(one, key) && !strings.Contains(key, "double") {
			t.Errorf("%s was not picked before", key)
		}
	}
}

func TestMistakeIsNoticedOrNot(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds and runs tests of its own")
	}
	p := newPkg(t, code)
	test := `package code

import "testing"

func TestFull(t *testing.T) {
	q := new(queue)
	for q.push(1) {
	}
	t.Run("7", func(t *testing.T) {
		if len(q.items) != 7 {
			t.Error(len(q.items))
		}
	})
}
`
	if err := os.WriteFile("code_test.go", []byte(test), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"code queue.push: if len(q.items) [>= | >] limit {":                                                 "killed by TestFull/7",
		"code queue.empty: func (q *queue) empty() bool { return [! | ]q.some() }":                          "",
		"code queue.some: func (q *queue) some() bool { return len(q.items) [> | >=] 0 && q.items != nil }": "",
	}
	for _, m := range p.mutants() {
		how, ok := want[m.key()]
		if !ok {
			continue
		}
		delete(want, m.key())
		if err := measure([]*mutant{m}, t.TempDir()); err != nil {
			t.Fatal(err)
		}
		if got, err := m.test(t.TempDir()); err != nil || got != how {
			t.Errorf("%s: %q, %v; want %q", m.key(), got, err, how)
		}
	}
	if len(want) > 0 {
		t.Errorf("not made: %v", want)
	}
}

func TestSurvivors(t *testing.T) {
	p := newPkg(t, code)
	const key = "code limit: const limit = [7 | 8]"
	for name, tt := range map[string]struct{ text, err string }{
		"explained":      {"# why\n" + key + "\n\tequivalent\n", ""},
		"not explained":  {key + "\n" + key + "\n", ":2: "},
		"explained, but": {"\tequivalent\n", ":1: "},
		"not there":      {"code limit: const limit = [8 | 9]\n\tequivalent\n", "not there any more"},
		"of another":     {"other limit: const limit = [8 | 9]\n\tequivalent\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "survivors.txt")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := readSurvivors(file)
			if err == nil {
				err = s.check([]*pkg{p})
			}
			switch {
			case tt.err == "" && err != nil, tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("the error is %v", err)
			case name == "explained" && s[key] != "equivalent":
				t.Errorf("read %v", s)
			}
		})
	}
}
