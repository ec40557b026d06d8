// Package architecture holds docs/architecture.md against the source, and the source
// against what the document promises of it.
package architecture

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/build/constraint"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Package is one of this module, as go list -json prints it.
type Package struct {
	ImportPath     string
	Dir            string
	GoFiles        []string // those that Linux builds
	IgnoredGoFiles []string // and those that others do
	Imports        []string
	Module         struct{ Path string }
}

// packages lists the module's packages, as Linux builds them, by their paths below the
// module. Their imports are those of the module, as such paths. Left out are the packages
// that only test something, and the examples.
func packages(t *testing.T) map[string]*Package {
	t.Helper()
	list, err := listOnce()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var listOnce = sync.OnceValues(func() (map[string]*Package, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,IgnoredGoFiles,Imports,Module", "./...")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	list := map[string]*Package{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		p := new(Package)
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		path := strings.TrimPrefix(p.ImportPath, p.Module.Path+"/")
		if !strings.HasPrefix(path, "test/") && !strings.HasPrefix(path, "examples/") {
			p.Imports = ofModule(p.Imports, p.Module.Path)
			list[path] = p
		}
	}
})

// ofModule returns those imports that are packages of the module.
func ofModule(imports []string, module string) []string {
	var list []string
	for _, path := range imports {
		if below, ok := strings.CutPrefix(path, module+"/"); ok {
			list = append(list, below)
		}
	}
	slices.Sort(list)
	return list
}

// A drawing is the block in the document that says what each package imports: lines
// "LEVEL package: imports...".
type drawing map[string]drawn

// drawn is a package as the drawing has it.
type drawn struct {
	level   int
	imports []string
}

const document = "../../docs/architecture.md"

func parseDrawing(text string) (drawing, error) {
	_, block, found := strings.Cut(text, "```imports\n")
	block, _, ended := strings.Cut(block, "```")
	if !found || !ended {
		return nil, errors.New("there is no block ```imports")
	}
	d := drawing{}
	for l := range strings.Lines(block) {
		head, imports, colon := strings.Cut(strings.TrimSpace(l), ":")
		var level int
		var path string
		if n, err := fmt.Sscanf(head, "%d %s", &level, &path); n != 2 || err != nil || !colon {
			return nil, fmt.Errorf("line %q is none of LEVEL package: imports...", l)
		}
		if _, twice := d[path]; twice {
			return nil, fmt.Errorf("package %s is there twice", path)
		}
		d[path] = drawn{level, strings.Fields(imports)}
		slices.Sort(d[path].imports)
	}
	return d, nil
}

// check returns what is wrong with the drawing of these packages.
func (d drawing) check(list map[string]*Package) error {
	var errs []error
	for path, p := range list {
		if has, ok := d[path]; !ok || !slices.Equal(has.imports, p.Imports) {
			errs = append(errs, fmt.Errorf("the line of %s should be: LEVEL %s: %s", path, path, strings.Join(p.Imports, " ")))
		}
	}
	for path, p := range d {
		if list[path] == nil {
			errs = append(errs, fmt.Errorf("there is no package %s", path))
		}
		for _, below := range p.imports {
			if d[below].level >= p.level {
				errs = append(errs, fmt.Errorf("%s on level %d imports %s on level %d, which is not below", path, p.level, below, d[below].level))
			}
		}
	}
	return errors.Join(errs...)
}

func TestPackagesImportWhatTheDocumentSaysAndNothingUpwards(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	d, err := parseDrawing(string(text))
	if err == nil {
		err = d.check(packages(t))
	}
	if err != nil {
		t.Errorf("%s:\n%v", document, err)
	}
}

func TestAWrongDrawingIsSeen(t *testing.T) {
	list := map[string]*Package{"a": {}, "b": {Imports: []string{"a"}}}
	for block, want := range map[string]string{
		"0 a:\n1 b: a\n":         "",
		"0 a:\n1 b:\n":           "the line of b should be: LEVEL b: a",
		"0 a:\n":                 "the line of b should be: LEVEL b: a",
		"0 a:\n1 b: a\n2 c:\n":   "there is no package c",
		"1 a:\n1 b: a\n":         "b on level 1 imports a on level 1, which is not below",
		"0 a:\n1 b: a\n2 b: a\n": "package b is there twice",
		"a:\n1 b: a\n":           `line "a:\n" is none of LEVEL package: imports...`,
	} {
		d, err := parseDrawing("text\n```imports\n" + block + "```\n")
		if err == nil {
			err = d.check(list)
		}
		if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
			t.Errorf("%q: %s, want %s", block, got, want)
		}
	}
}

// A reader sees from its name which file only Linux builds.
func TestFilesForLinuxAloneAreNamedSo(t *testing.T) {
	for path, p := range packages(t) {
		for _, name := range p.GoFiles {
			file := filepath.Join(p.Dir, name)
			if linuxOnly(t, file) && !strings.HasSuffix(name, "_linux.go") {
				t.Errorf("%s/%s is for Linux alone, so its name should end in _linux.go", path, name)
			}
		}
	}
}

// linuxOnly reports whether the file has a constraint that only Linux meets.
func linuxOnly(t *testing.T, file string) bool {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(source)) {
		if strings.HasPrefix(l, "package ") {
			break
		}
		if expr, err := constraint.Parse(strings.TrimSpace(l)); err == nil {
			return meets(expr, "linux") && !slices.ContainsFunc([]string{"darwin", "freebsd", "windows"}, func(os string) bool { return meets(expr, os) })
		}
	}
	return false
}

func meets(expr constraint.Expr, os string) bool {
	return expr.Eval(func(tag string) bool {
		return tag == os || tag == runtime.GOARCH || tag == "unix" && os != "windows"
	})
}

// maxFiles is how many files of isotpnet a reader can keep in mind.
const maxFiles = 26

func TestIsotpnetHasFewFiles(t *testing.T) {
	p := packages(t)["isotpnet"]
	files := slices.Concat(p.GoFiles, p.IgnoredGoFiles)
	files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	if len(files) > maxFiles {
		t.Errorf("isotpnet has %d files, want %d at most: %s", len(files), maxFiles, strings.Join(files, " "))
	}
}

// A program that imports isotpnet gets these modules with it, and no others: what needs more is a
// driver of canbus, which a program imports if it wants it, or a command.
var besideIsotpnet = []string{"github.com/mdlayher/socket", "golang.org/x/net", "golang.org/x/sync", "golang.org/x/sys"}

func TestIsotpnetNeedsFewModules(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "freebsd", "windows"} {
		t.Run(system, func(t *testing.T) {
			cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./isotpnet")
			cmd.Dir = "../.."
			cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64")
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("go list: %v", err)
			}
			modules := strings.Fields(string(out))
			slices.Sort(modules)
			for _, m := range slices.Compact(modules) {
				if !slices.Contains(besideIsotpnet, m) {
					t.Errorf("isotpnet needs the module %s", m)
				}
			}
		})
	}
}
