// Package api tests what others see of this module: its exported API, which is kept in
// api/ so that a change is seen and meant, and the Go code in its documents.
package api

import (
	"bytes"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// root is the module's folder, as seen from here.
const root = "../.."

// load returns an importer for packages and all that they import, as the compiler has
// them for Linux, where there are most, and the packages' paths.
func load(t *testing.T, packages ...string) (module string, imported types.Importer, paths []string) {
	exports := map[string]string{}
	args := append([]string{"-deps", "-export", "-f", "{{.ImportPath}} {{.DepOnly}} {{.Export}}"}, packages...)
	for line := range strings.Lines(list(t, args...)) {
		path, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		depOnly, export, _ := strings.Cut(rest, " ")
		if exports[path] = export; depOnly == "false" {
			paths = append(paths, path)
		}
	}
	return strings.TrimSpace(list(t, "-m")), importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	}), paths
}

func list(t *testing.T, args ...string) string {
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.Bytes())
	}
	return string(out)
}
