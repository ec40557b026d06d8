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
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents are those with Go code in them, beside the comments of package isotpnet.
var documents = []string{"README.md", "CONTRIBUTING.md", "docs/*.md"}

// scope declares what the code in documents takes for granted. A document may leave the
// package's name away.
const scope = `package documents

import (
	"context"
	"errors"
	"io"
	"log"
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
	r, reader io.Reader, handler http.Handler, ln net.Listener, lc ListenConfig, d Dialer, size int64, ctx context.Context,
	handle func([]byte), use func(...any)) error `

var (
	block       = regexp.MustCompile("(?s)```go\n(.*?)```")
	span        = regexp.MustCompile("`([^`\n]+)`")
	leadingName = regexp.MustCompile(`^\w+`)

	link = regexp.MustCompile(`\[([^\]]*)\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

func TestCodeInDocumentsCompiles(t *testing.T) {
	c := newCompiler(t)
	for name, text := range readDocuments(t) {
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

// What a document links to is there, and so is an example of that name.
func TestLinksInDocuments(t *testing.T) {
	for name, text := range readDocuments(t) {
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			file := filepath.Join(filepath.Dir(name), l[2])
			to, err := os.ReadFile(filepath.Join(root, file))
			if info, statErr := os.Stat(filepath.Join(root, file)); statErr == nil && info.IsDir() {
				continue
			}
			switch {
			case err != nil:
				t.Errorf("%s: %s: there is no %s", name, l[0], file)
			case strings.HasPrefix(l[1], "Example") && !strings.Contains(string(to), "func "+l[1]+"("):
				t.Errorf("%s: %s has no %s", name, file, l[1])
			}
		}
	}
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
	module, imported, _ := load(t, "./isotpnet", "./sniff", "./canbus/...", "net/http")
	pkg, err := imported.Import(module + "/isotpnet")
	if err != nil {
		t.Fatal(err)
	}
	return &compiler{imported, strings.ReplaceAll(scope, "MODULE", module), pkg}
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
	if strings.HasPrefix(code, "isotpnet.") || strings.HasPrefix(code, "c.") {
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
