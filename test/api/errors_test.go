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
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
					s, _ := strconv.Unquote(l.Value)
					literals = append(literals, verb.ReplaceAllString(s, anyText))
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(literals, "\n")
}
