package interop

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/isotp/test/netns"
)

// The tool needs no other file: it is one to copy to any Linux.
func TestToolRunsInAnEmptyFolder(t *testing.T) {
	netns.Need(t)
	tool := build(t)
	file, err := elf.Open(tool)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the tool is linked dynamically")
		}
	}
	root := t.TempDir()
	program, err := os.ReadFile(tool)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "isotp"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/isotp", "obd", "--simulate", "8", "virtual:demo/obd")
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: root}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "  49 02 01 ") != 8 {
		t.Errorf("%v\n%s", err, out)
	}
}
