//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A job is a program to run in a machine, and what goes with it.
type job struct {
	program  string   // absolute, the same here and there
	args     []string // without the program
	dir      string   // working directory
	outputs  []string // files and directories to bring back
	limit    time.Duration
	busybox  string
	packages []*debianPackage
	files    []string // put into the machine's PATH
}

// Flags of test binaries that name what they write.
var outputFlags = []string{
	"coverprofile", "gocoverdir", "cpuprofile", "memprofile", "blockprofile", "mutexprofile", "trace",
}

const (
	// defaultLimit is go test's own.
	defaultLimit = 10 * time.Minute
	// grace is what a machine gets beyond -test.timeout, to boot and to let the
	// test binary print its goroutines. go test kills after a minute.
	grace = 40 * time.Second
)

func newJob(command []string) (*job, error) {
	program, err := exec.LookPath(command[0])
	if err != nil {
		return nil, err
	}
	j := &job{args: command[1:], limit: defaultLimit + grace}
	if j.program, err = filepath.Abs(program); err != nil {
		return nil, err
	}
	if j.dir, err = os.Getwd(); err != nil {
		return nil, err
	}
	outputDir := j.dir
	if dir, ok := j.testFlag("outputdir"); ok && dir != "" {
		outputDir = dir
	}
	for _, name := range outputFlags {
		file, ok := j.testFlag(name)
		if !ok || file == "" {
			continue
		}
		if !filepath.IsAbs(file) {
			file = filepath.Join(outputDir, file)
		}
		j.outputs = append(j.outputs, file)
	}
	if s, ok := j.testFlag("timeout"); ok {
		d, err := time.ParseDuration(s)
		if err != nil {
			return nil, fmt.Errorf("-test.timeout: %w", err)
		}
		if j.limit = d + grace; d == 0 {
			j.limit = 0
		}
	}
	return j, nil
}

// testFlag returns the value of the flag -test.name=value, as go test writes it.
func (j *job) testFlag(name string) (string, bool) {
	for _, arg := range j.args {
		if value, ok := strings.CutPrefix(arg, "-test."+name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// script is the shell script that runs the program.
func (j *job) script(k *kernel) []byte {
	var b bytes.Buffer
	export := func(name, value string) { fmt.Fprintf(&b, "export %s=%s\n", name, quote(value)) }
	export("PATH", "/usr/local/bin:/usr/bin:/bin")
	export("HOME", "/root")
	export("LD_LIBRARY_PATH", libDir)
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "GO") || strings.HasPrefix(name, "ISOTPNET_") {
			export(name, value)
		}
	}
	export("ISOTPNET_KERNEL", k.name)
	if !k.native {
		export("ISOTPNET_EXACT_TIME", "1")
	}
	fmt.Fprintf(&b, "cd %s\nexec %s", quote(j.dir), quote(j.program))
	for _, arg := range j.args {
		fmt.Fprintf(&b, " %s", quote(arg))
	}
	fmt.Fprintln(&b)
	return b.Bytes()
}

// quote quotes s for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
