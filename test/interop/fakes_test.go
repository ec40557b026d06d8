//go:build linux

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Fakes of the makers' libraries are what our drivers are tested against under Wine. Here
// python-can drives them, whose interfaces are proven on the makers' hardware.

func TestPythonCANDrivesTheFakeOfPCANBasic(t *testing.T) { driveFake(t, "pcan.py") }
func TestPythonCANDrivesTheFakeOfCANlib(t *testing.T)    { driveFake(t, "kvaser.py") }

// driveFake runs the tests of a script with the fakes as its libraries.
func driveFake(t *testing.T, script string) {
	needPython(t)
	cmd := exec.CommandContext(t.Context(), python, script)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+fakes(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// fakes builds the fakes, once for all tests, and returns their folder.
func fakes(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		if os.Getenv("ISOTPNET_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skipf("the fakes are built by gcc: %v", err)
	}
	folder, err := builtFakes()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

var builtFakes = sync.OnceValues(func() (string, error) {
	folder, err := filepath.Abs("../.bin/fakes")
	if err != nil {
		return "", err
	}
	if out, err := exec.Command("../fakes/build", "linux", folder).CombinedOutput(); err != nil {
		return "", fmt.Errorf("fakes/build: %w\n%s", err, out)
	}
	return folder, nil
})
