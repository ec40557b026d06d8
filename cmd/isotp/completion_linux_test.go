package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Bash has its own idea of words. What the program says to it is in TestComplete.
func TestBashCompletes(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	for _, tc := range []struct{ line, asked, answer, want string }{
		{"isotp rec", "<rec>", "recv\tReceive\nrecord\n", "<recv><record>"},
		{"isotp send --log=w", "<send><--log=w>", "--log=warn\n", "<warn>"},
		{"isotp send --log=", "<send><--log=>", "--log=off\n--log=warn\n", "<off><warn>"},
		{"isotp send --network isotp:k", "<send><--network><isotp:k>", "isotp:kernel\n", "<kernel>"},
		{"isotp send ", "<send><>", "vcan0/\tvcan, up\n", "<vcan0/>"},
		{"isotp replay dri", "<replay><dri>", "", "<>"}, // bash has files
	} {
		script := completionScripts["bash"] + `
isotp() { printf '<%s>' "${@:3}" >&2; printf -- "$answer"; }
COMP_LINE=$1 COMP_POINT=${#1} answer=$2
exec 2> asked
_isotp
printf '<%s>' "${COMPREPLY[@]}"
`
		t.Chdir(t.TempDir())
		got, err := exec.CommandContext(t.Context(), "bash", "-c", strings.ReplaceAll(script, "2> /dev/null)", ")"), "bash", tc.line, tc.answer).Output()
		asked, _ := os.ReadFile("asked")
		if err != nil || string(got) != tc.want || string(asked) != tc.asked {
			t.Errorf("%q: asks for %s and completes %s, %v; want %s and %s", tc.line, asked, got, err, tc.asked, tc.want)
		}
	}
}
