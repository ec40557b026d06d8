// Package api tests what others see of this module: its exported API, which is kept in
// api/ so that a change is seen and meant, and the Go code in its documents.
package api

import (
	"bytes"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// root is the module's folder, as seen from here.
const root = "../.."

// A module is this one, as the compiler has it for Linux, where it has most.
type module struct {
	path     string
	imported types.Importer // of its packages, and of all that documents use
	packages []string       // the paths of those that others can import
}

func load(t *testing.T) module {
	t.Helper()
	m, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var loadOnce = sync.OnceValues(func() (module, error) {
	path, err := list("-m")
	if err != nil {
		return module{}, err
	}
	m := module{path: strings.TrimSpace(path)}
	all, err := list("-deps", "-export", "-f", "{{.ImportPath}} {{.DepOnly}} {{.Export}}",
		"./isotpnet", "./sniff", "./canbus/...", "net/http", "crypto/tls", "log/slog")
	if err != nil {
		return module{}, err
	}
	exports := map[string]string{}
	for line := range strings.Lines(all) {
		path, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		depOnly, export, _ := strings.Cut(rest, " ")
		exports[path] = export
		if depOnly == "false" && strings.HasPrefix(path, m.path+"/") && !strings.Contains(path, "/internal/") {
			m.packages = append(m.packages, path)
		}
	}
	m.imported = importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	return m, nil
})

func list(args ...string) (string, error) {
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd, err, stderr.Bytes())
	}
	return string(out), nil
}
