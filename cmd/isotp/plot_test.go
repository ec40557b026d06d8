package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPlotWritesAReport(t *testing.T) {
	log := writeFile(t, transfers)
	report := filepath.Join(t.TempDir(), "report.html")
	isotp(t.Context(), nil, "plot", log, "-o", report).want(t, exitOK, "")
	page, err := os.ReadFile(report)
	if err != nil || !strings.Contains(string(page), "<h1>"+filepath.Base(log)+"</h1>") || !strings.Contains(string(page), "3 ISO-TP messages of 11 frames") {
		t.Errorf("%v, the report is\n%.1000s", err, page)
	}
}

func TestPlotToStandardOutput(t *testing.T) {
	r := isotp(t.Context(), strings.NewReader(transfers), "plot", "--id", "7E8:7E0", "-", "-o", "-")
	r.want(t, exitOK, "")
	if !strings.HasPrefix(r.stdout, "<!DOCTYPE html>") || !strings.HasSuffix(r.stdout, "</html>\n") {
		t.Errorf("standard output is %.100q", r.stdout)
	}
}

func TestPlotCommandLinesThatAreWrong(t *testing.T) {
	log := writeFile(t, transfers)
	isotp(t.Context(), nil, "plot", log).want(t, exitUsage, "--output")
	nowhere := filepath.Join(t.TempDir(), "none", "x.html")
	isotp(t.Context(), nil, "plot", log, "-o", nowhere).want(t, exitUsage, notThere(t, nowhere))
	isotp(t.Context(), nil, "plot", "--id", "7E0", log, "-o", "-").want(t, exitUsage, "--id 7E0")
}
