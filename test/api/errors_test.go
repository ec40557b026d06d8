package api

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/isotp/isotpnet"
)

// troubleshooting says of each error what it means and what to do.
const troubleshooting = "docs/troubleshooting.md"

func TestEveryErrorIsInTheDocument(t *testing.T) {
	text := readTroubleshooting(t)
	m := load(t)
	for _, path := range m.packages {
		if strings.Contains(path, "/bustest") {
			continue
		}
		pkg, err := m.imported.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range errorNames(pkg) {
			if pkg.Name() != "isotpnet" {
				name = pkg.Name() + "." + name
			}
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("%s has no `%s`", troubleshooting, name)
			}
		}
	}
}

// errorNames returns the exported error types and error values of a package, and the values
// of its type Code.
func errorNames(pkg *types.Package) (names []string) {
	failure := types.Universe.Lookup("error").Type().Underlying().(*types.Interface)
	for _, name := range pkg.Scope().Names() {
		obj := pkg.Scope().Lookup(name)
		is := false
		switch obj := obj.(type) {
		case *types.TypeName:
			is = !types.IsInterface(obj.Type()) && types.Implements(types.NewPointer(obj.Type()), failure)
		case *types.Var:
			is = types.Implements(obj.Type(), failure)
		case *types.Const:
			named, ok := obj.Type().(*types.Named)
			is = ok && named.Obj().Name() == "Code"
		}
		if is && obj.Exported() {
			names = append(names, name)
		}
	}
	return names
}

var (
	// anyText is what stands for a part that differs from case to case.
	anyText = "…"
	verb    = regexp.MustCompile(`%[-+# 0-9.\[\]]*[a-zA-Z]`)
	textRow = regexp.MustCompile("(?m)^\\| (`[^|]*`[^|]*) \\|")
)

func TestTextsOfErrorsAreTheProgram(t *testing.T) {
	text := readTroubleshooting(t)
	literals := literalsOfErrors(t)
	shown := 0
	for _, row := range textRow.FindAllStringSubmatch(text, -1) {
		for _, code := range span.FindAllStringSubmatch(row[1], -1) {
			shown++
			for part := range strings.SplitSeq(code[1], anyText) {
				part = strings.Trim(part, " :;,")
				if !strings.Contains(literals, part) {
					t.Errorf("%s: `%s`: no error has %q", troubleshooting, code[1], part)
				}
			}
		}
	}
	if shown < 50 {
		t.Errorf("%d texts of errors", shown)
	}
	for code := isotpnet.Code(1); !strings.HasPrefix(code.String(), "Code("); code++ {
		if !strings.Contains(text, "`"+code.String()+"`") {
			t.Errorf("%s has no `%v`", troubleshooting, code)
		}
	}
}

// Every text that package isotpnet itself makes an error of is in the document, at least the
// longest part that does not differ from case to case.
func TestErrorsOfIsotpnetAreInTheDocument(t *testing.T) {
	text := readTroubleshooting(t)
	literals := errorsOfIsotpnet(t)
	if len(literals) < 40 {
		t.Errorf("%d texts of errors", len(literals))
	}
	for _, literal := range literals {
		longest := ""
		for part := range strings.SplitSeq(literal, anyText) {
			if part = strings.Trim(part, " :;,"); len(part) > len(longest) {
				longest = part
			}
		}
		if !strings.Contains(text, longest) {
			t.Errorf("%s has no %q, of %q", troubleshooting, longest, literal)
		}
	}
}

// errorsOfIsotpnet returns the strings given to functions that make errors, and to the field
// Err of a net.AddrError.
func errorsOfIsotpnet(t *testing.T) (texts []string) {
	makers := []string{"New", "Errorf", "refused", "unsupportedError"}
	sourceOf(t, "isotpnet", func(n ast.Node) {
		var text ast.Expr
		switch n := n.(type) {
		case *ast.CallExpr:
			if len(n.Args) > 0 && slices.Contains(makers, nameOf(n.Fun)) {
				text = n.Args[0]
			}
		case *ast.KeyValueExpr:
			if nameOf(n.Key) == "Err" {
				text = n.Value
			}
		}
		if l, ok := text.(*ast.BasicLit); ok && l.Kind == token.STRING {
			texts = append(texts, literalText(l))
		}
	})
	return texts
}

// nameOf returns the name of a function or a field, "" of others.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func readTroubleshooting(t *testing.T) string {
	text, ok := readDocuments(t)[troubleshooting]
	if !ok {
		t.Fatalf("there is no %s", troubleshooting)
	}
	return text
}

// literalsOfErrors returns the strings in the source of which errors are made, and the
// errors of Go itself that users see, one a line.
func literalsOfErrors(t *testing.T) string {
	literals := []string{
		os.ErrDeadlineExceeded.Error(), net.ErrClosed.Error(), io.ErrUnexpectedEOF.Error(), io.ErrClosedPipe.Error(),
		syscall.ENETDOWN.Error(), syscall.ECONNREFUSED.Error(), syscall.ECONNRESET.Error(),
		net.UnknownNetworkError("x").Error(),
	}
	for code := isotpnet.Code(1); !strings.HasPrefix(code.String(), "Code("); code++ {
		literals = append(literals, code.String())
	}
	for _, folder := range []string{"isotpnet", "canbus", "internal"} {
		sourceOf(t, folder, func(n ast.Node) {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				literals = append(literals, literalText(l))
			}
		})
	}
	return strings.Join(literals, "\n")
}

// sourceOf calls visit for each node of the source in a folder, tests left out.
func sourceOf(t *testing.T, folder string, visit func(ast.Node)) {
	err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for n := range ast.Preorder(file) {
			visit(n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// literalText returns a string of the source with anyText for its verbs.
func literalText(l *ast.BasicLit) string {
	s, _ := strconv.Unquote(l.Value)
	return verb.ReplaceAllString(s, anyText)
}
