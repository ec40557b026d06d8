//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// These tests boot machines, with the kernels that are there already: test/vm/run, or
// exec -fetch, gets them.

// kernels are the names of an emulated kernel and of the native one, as far as they are
// there.
func kernels(t *testing.T) []string {
	t.Helper()
	dir := os.Getenv("ISOTPNET_KERNELS")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			t.Skip(err)
		}
		dir = filepath.Join(user, "isotpnet-kernels")
	}
	if testing.Short() {
		t.Skip("short tests boot no machine")
	}
	var there []string
	for _, k := range []string{"6.12", native} {
		if _, err := os.Stat(filepath.Join(dir, k)); err == nil && (k != native || nativeRefusal() == nil) {
			there = append(there, k)
		}
	}
	if len(there) == 0 {
		t.Skip("no kernel is there: test/vm/exec -fetch downloads it")
	}
	return there
}

// quickest is the kernel for what needs to be tested in one machine only.
func quickest(t *testing.T) string {
	t.Helper()
	there := kernels(t)
	return there[len(there)-1]
}

// inEach runs a test in a machine with each kernel.
func inEach(t *testing.T, test func(t *testing.T, kernel string)) {
	for _, kernel := range kernels(t) {
		t.Run(kernel, func(t *testing.T) {
			t.Parallel()
			test(t, kernel)
		})
	}
}

// machine runs this program with a shell script for the machine to run.
func machine(t *testing.T, flags []string, script string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.Command("./exec", slices.Concat(flags, []string{"/bin/sh", "-c", script}, args)...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(e)
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

func TestOutputAndStatusComeBack(t *testing.T) {
	t.Parallel()
	inEach(t, func(t *testing.T, kernel string) {
		out, err, status := machine(t, []string{"-k", kernel}, `printf 'a\nb'; echo c >&2; exit 7`)
		if out != "a\nbc\n" || status != 7 {
			t.Errorf("stdout %q, stderr %q, status %d", out, err, status)
		}
	})
}

// A program may write more than the machine's lines hold.
func TestLongOutputComesBack(t *testing.T) {
	t.Parallel()
	inEach(t, func(t *testing.T, kernel string) {
		out, err, status := machine(t, []string{"-k", kernel}, `seq 20000`)
		if lines := strings.Count(out, "\n"); lines != 20000 || !strings.HasSuffix(out, "\n20000\n") || status != 0 {
			t.Errorf("%d lines, stderr %q, status %d", lines, err, status)
		}
	})
}

func TestTheMachineIsSetUp(t *testing.T) {
	t.Parallel()
	inEach(t, func(t *testing.T, kernel string) {
		out, err, status := machine(t, []string{"-k", kernel}, `
			pwd; cat /sys/class/net/vcan[0-3]/mtu /sys/class/net/vcan[0-3]/flags /sys/class/net/lo/flags; nproc
			case $(uname -r) in $ISOTPNET_KERNEL.*) echo named ;; esac; echo "exact $ISOTPNET_EXACT_TIME"`)
		here, _ := os.Getwd()
		want := here + "\n" + strings.Repeat("72\n", 4) + strings.Repeat("0x81\n", 4) + "0x9\n1\nnamed\nexact"
		if got := strings.TrimSpace(out); got != want && got != want+" 1" || (got == want) != (kernel == native) || status != 0 {
			t.Errorf("got %q, want %q; %s status %d", out, want, err, status)
		}
	})
}

func TestADeadKernelIsAFailure(t *testing.T) {
	t.Parallel()
	inEach(t, func(t *testing.T, kernel string) {
		if kernel == native {
			return // it has no means to die at will
		}
		out, err, status := machine(t, []string{"-k", kernel}, `echo c >/proc/sysrq-trigger`)
		if status == 0 || !strings.Contains(err, "sysrq triggered crash") || !strings.Contains(err, "stopped before") {
			t.Errorf("stdout %q, stderr %q, status %d", out, err, status)
		}
	})
}

func TestAMachineThatIsSwitchedOffIsAFailure(t *testing.T) {
	t.Parallel()
	inEach(t, func(t *testing.T, kernel string) {
		out, err, status := machine(t, []string{"-k", kernel}, `poweroff -f; sleep 1000`)
		if status == 0 || !strings.Contains(err, "stopped before") {
			t.Errorf("stdout %q, stderr %q, status %d", out, err, status)
		}
	})
}

func TestTheTimeLimitEndsAMachine(t *testing.T) {
	t.Parallel()
	inEach(t, func(t *testing.T, kernel string) {
		_, err, status := machine(t, []string{"-k", kernel, "-t", "10s"}, `kill -STOP $$`)
		if status == 0 || !strings.Contains(err, "not done after 10s") {
			t.Errorf("stderr %q, status %d", err, status)
		}
	})
}

func TestFilesAreAdded(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho hello\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	kernel := quickest(t)
	if out, err, status := machine(t, []string{"-k", kernel, "-a", program}, "hello"); out != "hello\n" || status != 0 {
		t.Errorf("stdout %q, stderr %q, status %d", out, err, status)
	}
}

func TestProfilesComeBack(t *testing.T) {
	t.Parallel()
	inEach(t, func(t *testing.T, kernel string) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "covdata"), 0o755); err != nil {
			t.Fatal(err)
		}
		out, err, status := machine(t, []string{"-k", kernel}, fmt.Sprintf("cd %s; echo 1 >c.out; echo 2 >covdata/x; echo 3 >other", dir),
			"sh", "-test.outputdir="+dir, "-test.coverprofile=c.out", "-test.gocoverdir="+filepath.Join(dir, "covdata"))
		if status != 0 {
			t.Fatalf("stdout %q, stderr %q, status %d", out, err, status)
		}
		for file, want := range map[string]string{"c.out": "1\n", "covdata/x": "2\n", "other": ""} {
			got, _ := os.ReadFile(filepath.Join(dir, file))
			if string(got) != want {
				t.Errorf("%s has %q, want %q", file, got, want)
			}
		}
	})
}

// On a Linux that has CAN, a user who may make namespaces runs the tests there: without
// root, with interfaces of their own.
func TestTestsRunInANamespaceOfTheirOwn(t *testing.T) {
	t.Parallel()
	kernel := quickest(t)
	program := filepath.Join(t.TempDir(), "socketcan.test")
	if out, err := exec.Command("go", "test", "-c", "-o", program, "../../canbus/socketcan").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, errs, status := machine(t, []string{"-k", kernel, "-a", program}, `
		unset ISOTPNET_KERNEL
		ip link del vcan0 # none of the interfaces that are here
		chmod 1777 /tmp
		echo dev:x:1000:1000::/tmp:/bin/sh >>/etc/passwd
		su dev -c 'id -u; socketcan.test -test.v -test.run "TestFramesOfEveryKindArrive|TestAnInterfaceMayGoDownAndUp"'`)
	if status != 0 || !strings.HasPrefix(out, "1000\n") || strings.Count(out, "\n--- PASS") != 2 || strings.Contains(out, "SKIP") {
		t.Errorf("stdout %q, stderr %q, status %d", out, errs, status)
	}
}
