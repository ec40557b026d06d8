package main

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

func TestSectionsThatAreNotNamedStay(t *testing.T) {
	file := replace("", sections[2].title, "old text\n\nin two paragraphs")
	file = replace(file, sections[0].title, "of the first")
	file = replace(file, sections[2].title, "new text")
	file = replace(file, sections[1].title, "of the second")
	want := preamble +
		"\n## " + sections[0].title + "\n\nof the first\n" +
		"\n## " + sections[1].title + "\n\nof the second\n" +
		"\n## " + sections[2].title + "\n\nnew text\n"
	if file != want {
		t.Errorf("got\n%s\nwant\n%s", file, want)
	}
}

// This builds test/bench as for a commit, and runs each benchmark once. A row whose benchmark has another name would
// be empty for ever.
func TestRowsNameBenchmarksThatThereAre(t *testing.T) {
	if testing.Short() {
		t.Skip("builds another module")
	}
	t.Chdir("../..")
	tree, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	p, err := buildOf(t.Context(), filepath.Join(temp, "bench.test"), tree, temp)
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.run(t.Context(), ".", "-test.benchtime", "1x", "-test.cpu", "1")
	if err != nil {
		t.Fatal(err)
	}
	r := resultsOf(out)
	for name, units := range maps.Clone(r) {
		r[name+"-2"] = units // the same on two processors
	}
	for _, rows := range [][]row{timeRows, besideRows, memoryRows} {
		for _, row := range rows {
			for _, c := range row.cells {
				if c(r) == missing {
					t.Errorf("%q has an empty cell", row.label)
				}
			}
		}
	}
}

func TestRowsOfTheREADMEFollowTheFile(t *testing.T) {
	const figures = "| time | a | b |\n|---|---|---|\n| there | 1 ns | 2 ns |\n| back | 3 ns | 4 ns |\n"
	const readme = "# There\n\n| time | a | b |\n|---|---|---|\n| back | 30 ns | 40 ns |\n\n| back to it | c |\n| - | |\n"
	want := strings.Replace(readme, "30 ns | 40 ns", "3 ns | 4 ns", 1)
	if got := refresh(readme, figures); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestEachSectionHasItsOwnName(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sections {
		if seen[s.name] || seen[s.title] || s.write == nil {
			t.Errorf("section %q", s.name)
		}
		seen[s.name], seen[s.title] = true, true
	}
}

func TestASectionThatIsNotThereIsRefused(t *testing.T) {
	err := figures(t.Context(), options{}, []string{"memory", "nonesuch"})
	if err == nil || !strings.Contains(err.Error(), `"nonesuch"`) {
		t.Error(err)
	}
}
