package api

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
	"testing"
)

// Each exported type has an example. That is one of its own, ExampleT or ExampleT_suffix,
// which go doc shows at the type; or, for a type that one meets together with another, an
// example of the package that names it, one of its constants or a function that returns it,
// or that is the example of a method that returns it.
func TestEveryTypeHasAnExample(t *testing.T) {
	m := load(t)
	for _, path := range m.packages {
		pkg, err := m.imported.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		if pkg.Name() == "wiretest" {
			continue // it is for the tests of this module's drivers
		}
		shown := shownIn(t, filepath.Join(root, strings.TrimPrefix(path, m.path)), pkg)
		for _, name := range pkg.Scope().Names() {
			if obj, ok := pkg.Scope().Lookup(name).(*types.TypeName); ok && obj.Exported() && !shown[obj] {
				t.Errorf("%s.%s has no example: write Example%s", pkg.Name(), name, name)
			}
		}
	}
}

// shownIn returns the types of a package that the examples in its folder show.
func shownIn(t *testing.T, folder string, pkg *types.Package) map[types.Object]bool {
	names, err := filepath.Glob(filepath.Join(folder, "example*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	shown := map[types.Object]bool{}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for n := range ast.Preorder(file) {
			for _, obj := range namedBy(n, pkg) {
				for _, typ := range typesOf(obj) {
					shown[typ] = true
				}
			}
		}
	}
	return shown
}

// namedBy returns what a node of an example names of a package: pkg.Name does, and
// ExampleName_Method.
func namedBy(n ast.Node, pkg *types.Package) []types.Object {
	switch n := n.(type) {
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); ok && x.Name == pkg.Name() {
			return []types.Object{pkg.Scope().Lookup(n.Sel.Name)}
		}
	case *ast.FuncDecl:
		of, isExample := strings.CutPrefix(n.Name.Name, "Example")
		name, method, _ := strings.Cut(of, "_")
		obj := pkg.Scope().Lookup(name)
		if !isExample || obj == nil {
			break
		}
		m, _, _ := types.LookupFieldOrMethod(obj.Type(), true, pkg, method)
		return []types.Object{obj, m}
	}
	return nil
}

// typesOf returns the types that an object shows: a type itself, that of a constant, and
// those that a function or a method returns.
func typesOf(obj types.Object) (names []types.Object) {
	add := func(typ types.Type) {
		if slice, ok := typ.(*types.Slice); ok {
			typ = slice.Elem()
		}
		if pointer, ok := typ.(*types.Pointer); ok {
			typ = pointer.Elem()
		}
		if named, ok := typ.(*types.Named); ok {
			names = append(names, named.Obj())
		}
	}
	switch obj := obj.(type) {
	case *types.TypeName, *types.Const:
		add(obj.Type())
	case *types.Func:
		for result := range obj.Signature().Results().Variables() {
			add(result.Type())
		}
	}
	return names
}
