package api

import (
	"flag"
	"fmt"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files instead")

// files is where the API is kept.
const files = root + "/api"

func TestAPI(t *testing.T) {
	m := load(t)
	want := map[string]string{}
	for _, path := range m.packages {
		pkg, err := m.imported.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		want[strings.TrimPrefix(path, m.path+"/")+".txt"] = exported(pkg)
	}
	if *update {
		write(t, want)
	}
	compare(t, want)
}

func compare(t *testing.T, want map[string]string) {
	committed := read(t)
	for name := range committed {
		if _, ok := want[name]; !ok {
			t.Errorf("api/%s is of no package that there is", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		before, now := committed[name], want[name]
		for _, line := range missing(before, now) {
			t.Errorf("api/%s: gone: %s", name, line)
		}
		for _, line := range missing(now, before) {
			t.Errorf("api/%s: new:  %s", name, line)
		}
	}
	if t.Failed() {
		t.Log("If this is meant run `make api`, and let CHANGELOG.md say how to follow.")
	}
}

// missing returns the lines of a that are not in b.
func missing(a, b string) []string {
	have := map[string]bool{}
	for line := range strings.Lines(b) {
		have[line] = true
	}
	var lines []string
	for line := range strings.Lines(a) {
		if !have[line] {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

func read(t *testing.T) map[string]string {
	committed := map[string]string{}
	dir := os.DirFS(files)
	err := fs.WalkDir(dir, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(dir, path)
		committed[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return committed
}

func write(t *testing.T, want map[string]string) {
	if err := os.RemoveAll(files); err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		name = filepath.Join(files, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// exported returns the exported declarations of a package, one a line, without comments.
func exported(pkg *types.Package) string {
	p := printer{pkg: pkg}
	for _, name := range pkg.Scope().Names() {
		if obj := pkg.Scope().Lookup(name); obj.Exported() {
			p.object(obj)
		}
	}
	slices.Sort(p.lines)
	return strings.Join(p.lines, "")
}

type printer struct {
	pkg   *types.Package
	lines []string
}

func (p *printer) line(format string, args ...any) {
	p.lines = append(p.lines, fmt.Sprintf(format+"\n", args...))
}

func (p *printer) object(obj types.Object) {
	switch obj := obj.(type) {
	case *types.Const:
		p.line("const %s %s = %v", obj.Name(), p.text(obj.Type()), obj.Val())
	case *types.Var:
		p.line("var %s %s", obj.Name(), p.text(obj.Type()))
	case *types.Func:
		p.line("func %s%s", obj.Name(), p.signature(obj.Signature()))
	case *types.TypeName:
		if obj.IsAlias() {
			p.line("type %s = %s", obj.Name(), p.text(types.Unalias(obj.Type())))
			return
		}
		p.typeName(obj)
	}
}

func (p *printer) typeName(obj *types.TypeName) {
	name := obj.Name()
	switch under := obj.Type().Underlying().(type) {
	case *types.Struct:
		p.line("type %s struct", name)
		for field := range under.Fields() {
			if field.Exported() {
				p.line("type %s struct, %s %s", name, field.Name(), p.text(field.Type()))
			}
		}
		if types.Comparable(under) {
			p.line("type %s struct, comparable", name)
		}
	case *types.Interface:
		p.line("type %s interface", name)
		for method := range under.Methods() {
			p.line("type %s interface, %s%s", name, method.Name(), p.signature(method.Signature()))
		}
		return
	default:
		p.line("type %s %s", name, p.text(under))
	}
	byValue := types.NewMethodSet(obj.Type())
	for method := range types.NewMethodSet(types.NewPointer(obj.Type())).Methods() {
		f := method.Obj().(*types.Func)
		if !f.Exported() {
			continue
		}
		receiver := "*" + name
		if byValue.Lookup(f.Pkg(), f.Name()) != nil {
			receiver = name
		}
		p.line("method (%s) %s%s", receiver, f.Name(), p.signature(f.Signature()))
	}
}

func (p *printer) signature(s *types.Signature) string {
	return strings.TrimPrefix(p.text(s), "func")
}

// text writes a type as the package's own source would.
func (p *printer) text(t types.Type) string {
	return types.TypeString(t, func(other *types.Package) string {
		if other == p.pkg {
			return ""
		}
		return other.Name()
	})
}
