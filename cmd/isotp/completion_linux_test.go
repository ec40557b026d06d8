package main

import (
	"os"
	"os/exec"
	"testing"
)

// Bash has its own idea of words.
func TestBashCompletes(t *testing.T) {
	const script = `
complete() { :; }
source <(isotp completion bash)
COMP_LINE=$1 COMP_POINT=${#1}
_isotp
printf '%s ' "${COMPREPLY[@]}"
`
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	program := programFolder(t)
	for line, want := range map[string]string{
		"isotp rec":                    "recv record ",
		"isotp send --log=":            "off warn debug ",
		"isotp send --log=w":           "warn ",
		"isotp send --network isotp:k": "kernel ",
		"isotp send --log ":            "off warn debug ",
		"isotp link ":                  "list up down ",
		"isotp replay ":                " ", // files, by bash itself
	} {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", script, "bash", line)
		cmd.Env = append(os.Environ(), "PATH="+program+":"+os.Getenv("PATH"), asProgram+"=1")
		if got, err := cmd.CombinedOutput(); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v; want %q", line, got, err, want)
		}
	}
}
