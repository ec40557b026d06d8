package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A pkg is a package whose code is changed.
type pkg struct {
	path, dir string
	fset      *token.FileSet
	files     []*file
	types     types.Config
	timeout   time.Duration // of a test run: see measure
}

type file struct {
	pkg  *pkg
	name string // full
	src  []byte
	ast  *ast.File
}

// load reads the packages of these patterns.
func load(patterns []string) ([]*pkg, error) {
	cmd := exec.Command("go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,DepOnly"}, patterns...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	exports := make(map[string]string)
	var packages []*pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l struct {
			ImportPath, Dir, Export string
			GoFiles                 []string
			DepOnly                 bool
		}
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		exports[l.ImportPath] = l.Export
		if l.DepOnly {
			continue
		}
		p := &pkg{path: l.ImportPath, dir: l.Dir, fset: token.NewFileSet()}
		p.types.Importer = importer.ForCompiler(p.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
		p.types.Error = func(error) {} // go on to the others: the first is returned
		for _, name := range l.GoFiles {
			if err := p.parse(filepath.Join(l.Dir, name)); err != nil {
				return nil, err
			}
		}
		packages = append(packages, p)
	}
	return packages, nil
}

func (p *pkg) parse(name string) error {
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	f, err := parser.ParseFile(p.fset, name, src, parser.SkipObjectResolution)
	p.files = append(p.files, &file{p, name, src, f})
	return err
}

// compiles reports whether the package compiles with a mistake in it.
func (m *mutant) compiles() bool {
	p := m.file.pkg
	changed, err := parser.ParseFile(p.fset, m.file.name, m.source(), parser.SkipObjectResolution)
	if err != nil {
		return false
	}
	var files []*ast.File
	for _, f := range p.files {
		if f == m.file {
			files = append(files, changed)
		} else {
			files = append(files, f.ast)
		}
	}
	_, err = p.types.Check(p.path, p.fset, files, nil)
	return err == nil
}
