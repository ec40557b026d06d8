package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// origin says where, when and of which source figures are.
func origin(ctx context.Context) (string, error) {
	var parts []string
	for _, args := range [][]string{
		{"git", "rev-parse", "--short", "HEAD"},
		{"git", "status", "--porcelain", "--", ".", ":!" + figuresFile, ":!" + readme},
		{"uname", "-srm"},
		{"go", "env", "GOVERSION"},
	} {
		out, err := output(ctx, args[0], args[1:]...)
		if err != nil {
			return "", err
		}
		parts = append(parts, out)
	}
	commit := "commit " + parts[0]
	if parts[1] != "" {
		commit += " with changes"
	}
	return fmt.Sprintf("%s, %s; %s, %s, %s.", time.Now().UTC().Format("2 January 2006"), commit, processors(), parts[2], parts[3]), nil
}

// processors says how many there are, of which kind, and how busy they are.
func processors() string {
	text := fmt.Sprintf("%d processors", runtime.NumCPU())
	info, _ := os.ReadFile("/proc/cpuinfo")
	if _, model, ok := strings.Cut(string(info), "model name"); ok {
		model, _, _ = strings.Cut(model, "\n")
		text += ", " + strings.TrimLeft(model, "\t :")
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		one, _, _ := strings.Cut(string(load), " ")
		text += ", load " + one
	}
	return text
}
