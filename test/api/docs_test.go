package api

import (
	"errors"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are those with Go code in them, beside the comments of package isotpnet.
var documents = []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md"}

// scope declares what the code in documents takes for granted. A document may leave the
// package's name away.
const scope = `package documents

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"MODULE/canbus"
	_ "MODULE/canbus/candump"
	"MODULE/canbus/einride"
	"MODULE/isotpnet"
	. "MODULE/isotpnet"
)

var (
	_ context.Context
	_ = errors.New
	_ io.Reader
	_ = log.Print
	_ slog.Handler
	_ tls.Certificate
	_ net.Conn
	_ http.Handler
	_ = os.Args
	_ syscall.RawConn
	_ time.Time
	_ canbus.Bus
	_ = einride.NewBus
	_ isotpnet.Addr
	_ Addr
)
`

// granted are the variables that the code takes for granted, and what uses a value.
const granted = `func _(c *Conn, conn *einride.Conn, addr Addr, bus canbus.Bus, config Config, b byte, buf, p, data []byte,
	r, reader io.Reader, handler http.Handler, certificates []tls.Certificate, dialled net.Conn, ln net.Listener, lc ListenConfig, d Dialer, size int64, ctx context.Context,
	handle func([]byte), use func(...any), err error) error `

var (
	program     = regexp.MustCompile("(?s)```go\n(package main\n.*?)```\n\n```\n(.*?)```")
	block       = regexp.MustCompile("(?s)```go\n(.*?)```")
	span        = regexp.MustCompile("`([^`\n]+)`")
	leadingName = regexp.MustCompile(`^\w+`)

	link       = regexp.MustCompile(`\[([^\]]*)\]\(([^)#:]*)(?:#([^)]*))?\)`)
	fence      = regexp.MustCompile("(?ms)^```.*?^```$")
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInLinks = regexp.MustCompile(`[^a-z0-9 _-]`)
)

func TestCodeInDocumentsCompiles(t *testing.T) {
	c := newCompiler(t)
	for name, text := range readDocuments(t) {
		text = program.ReplaceAllString(text, "")
		if name == troubleshooting {
			text = textRow.ReplaceAllString(text, "|") // these are the program's words
		}
		for _, code := range block.FindAllStringSubmatch(text, -1) {
			if err := c.compile(code[1]); err != nil {
				t.Errorf("%s: %v\n%s", name, err, code[1])
			}
		}
		for _, code := range span.FindAllStringSubmatch(block.ReplaceAllString(text, ""), -1) {
			if !c.isOurs(code[1]) || strings.Contains(code[1], "...") {
				continue
			}
			if err := c.inline(code[1]); err != nil {
				t.Errorf("%s: `%s`: %v", name, code[1], err)
			}
		}
	}
	for _, code := range codeInComments(t) {
		if err := c.compile(code); err != nil {
			t.Errorf("isotpnet: %v\n%s", err, code)
		}
	}
}

// A whole program prints what the block behind it says.
func TestProgramsInDocuments(t *testing.T) {
	ran := 0
	for name, text := range readDocuments(t) {
		for _, p := range program.FindAllStringSubmatch(text, -1) {
			ran++
			file := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(file, []byte(p[1]), 0o644); err != nil {
				t.Fatal(err)
			}
			run := exec.CommandContext(t.Context(), "go", "run", file)
			run.Dir = root
			out, err := run.CombinedOutput()
			if err != nil || string(out) != p[2] {
				t.Errorf("%s: a program prints %v\n%s\nand not\n%s", name, err, out, p[2])
			}
		}
	}
	if ran == 0 {
		t.Error("no document has a program")
	}
}

// What a document links to is there: a file, a heading in a document, and an example of
// that name.
func TestLinksInDocuments(t *testing.T) {
	documents := readDocuments(t)
	for name, text := range documents {
		text = span.ReplaceAllString(fence.ReplaceAllString(text, ""), "")
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			file := name
			if l[2] != "" {
				file = filepath.Join(filepath.Dir(name), l[2])
			}
			info, err := os.Stat(filepath.Join(root, file))
			if err != nil {
				t.Errorf("%s: %s: there is no %s", name, l[0], file)
				continue
			}
			if l[3] != "" && !slices.Contains(headings(documents[file]), l[3]) {
				t.Errorf("%s: %s: %s has no such heading", name, l[0], file)
			}
			if strings.HasPrefix(l[1], "Example") && !info.IsDir() {
				if to, err := os.ReadFile(filepath.Join(root, file)); err != nil || !strings.Contains(string(to), "func "+l[1]+"(") {
					t.Errorf("%s: %s has no %s", name, file, l[1])
				}
			}
		}
	}
}

func TestREADMELeadsToEveryDocument(t *testing.T) {
	documents := readDocuments(t)
	for name := range documents {
		if name != "README.md" && name != "SECURITY.md" && !strings.Contains(documents["README.md"], "]("+name+")") {
			t.Errorf("README.md has no link to %s", name)
		}
	}
}

// headings returns the names that links have for the headings of a document.
func headings(text string) (names []string) {
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		name := notInLinks.ReplaceAllString(strings.ToLower(h[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

func readDocuments(t *testing.T) map[string]string {
	texts := map[string]string{}
	for _, pattern := range documents {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			name, _ = filepath.Rel(root, name)
			texts[name] = string(text)
		}
	}
	return texts
}

// codeInComments returns the code in the comments of package isotpnet.
func codeInComments(t *testing.T) []string {
	names, err := filepath.Glob(root + "/isotpnet/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var code []string
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Comments {
			for _, part := range new(comment.Parser).Parse(group.Text()).Content {
				if c, ok := part.(*comment.Code); ok && strings.Contains(c.Text, "isotpnet.") {
					code = append(code, c.Text)
				}
			}
		}
	}
	return code
}

type compiler struct {
	imported types.Importer
	scope    string
	isotpnet *types.Package
}

func newCompiler(t *testing.T) *compiler {
	m := load(t)
	pkg, err := m.imported.Import(m.path + "/isotpnet")
	if err != nil {
		t.Fatal(err)
	}
	return &compiler{m.imported, strings.ReplaceAll(scope, "MODULE", m.path), pkg}
}

// compile returns what is wrong with statements; that a variable is not used is not.
func (c *compiler) compile(statements string) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", c.scope+granted+"{\n{\n"+statements+"\n}\nreturn nil\n}\n", 0)
	if err != nil {
		return err
	}
	var failed error
	config := types.Config{Importer: c.imported, Error: func(err error) {
		if e, ok := errors.AsType[types.Error](err); ok && e.Soft {
			return
		}
		if failed == nil {
			failed = err
		}
	}}
	config.Check("documents", fset, []*ast.File{file}, nil)
	return failed
}

// isOurs reports whether code within a line of text is about package isotpnet.
func (c *compiler) isOurs(code string) bool {
	if strings.Contains(code, "isotpnet.") || strings.HasPrefix(code, "c.") {
		return true
	}
	name := leadingName.FindString(code)
	return token.IsExported(name) && c.isotpnet.Scope().Lookup(name) != nil
}

// inline is compile for code within a line of text: a call, a value or type, a method of a
// Conn, a field or method of a type, or fields of a Config.
func (c *compiler) inline(code string) error {
	var first error
	for _, form := range []string{
		"use(" + code + ")",
		code,
		"var _ " + code,
		"use(c." + code + ")",
		leadingName.ReplaceAllString(code, "use(new($0)") + ")",
		"use(Config{" + code + "})",
	} {
		err := c.compile(form)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return fmt.Errorf("in no form: %w", first)
}
