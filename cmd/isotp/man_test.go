package main

import (
	"strings"
	"testing"
)

func TestManualPageHasEverything(t *testing.T) {
	r := isotp(t.Context(), nil, "man")
	r.want(t, exitOK, "")
	page := strings.NewReplacer(`\-`, "-", `\e`, `\`, `\&`, "").Replace(r.stdout)
	want := []string{".TH ISOTP 1", "\n.SH EXIT STATUS\n", "4  the ECU has answered a request", "ISOTP_BUS", "\n641#55:642#F1 ", "\nudp:239.74.163.2:43113\n"}
	for name, command := range commands(t) {
		if command.Hidden {
			continue
		}
		want = append(want, "\n.SS "+name)
		want = append(want, examplesOf(command)...)
		for _, f := range command.Flags {
			want = append(want, "\n.B "+f.String()+"\n"+f.Help)
		}
	}
	for _, text := range want {
		if !strings.Contains(page, text) {
			t.Errorf("it does not have %q", text)
		}
	}
	for line := range strings.Lines(r.stdout) {
		macro, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !strings.Contains(".TH .SH .SS .PP .TP .B .RS .RE .nf .fi", macro) {
			t.Errorf("it has the request %q", line)
		}
	}
}

func TestRoffIsEscaped(t *testing.T) {
	if got, want := roff("a-b\n.c\n'd\\"), "a\\-b\n\\&.c\n\\&'d\\e"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
