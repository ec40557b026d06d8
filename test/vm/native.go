//go:build linux

package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// native is the name of the kernel that runs at this computer's speed: user-mode
// Linux, which is a program. Debian has no package of it with ISO-TP, so it is
// built from Debian's sources.
const native = "native"

//go:embed native.config
var nativeConfig []byte

// nativeSuites are where its sources come from: the first that has ISO-TP is taken.
var nativeSuites = []string{"trixie-backports", "trixie"}

// A refusal is why this computer cannot run a native kernel.
type refusal struct{ reason string }

func (r *refusal) Error() string { return "user-mode Linux cannot run here: " + r.reason }

// nativeRefusal returns a *refusal, or nil if this computer runs native kernels.
func nativeRefusal() error {
	if runtime.GOARCH != "amd64" {
		return &refusal{"the processor is no amd64 but " + runtime.GOARCH}
	}
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true} // it stops when it starts
	if err := cmd.Start(); err != nil {
		return &refusal{"no process may trace another: " + err.Error()}
	}
	cmd.Process.Kill()
	cmd.Wait()
	return nil
}

// native returns the native kernel, and builds it if need be. Its directory is
// named for its version and for the configuration.
func (c *cache) native(ctx context.Context) (*kernel, error) {
	if err := nativeRefusal(); err != nil {
		return nil, err
	}
	config := fmt.Sprintf("%08x", crc32.ChecksumIEEE(nativeConfig))
	built, err := filepath.Glob(filepath.Join(c.dir, native, "*-"+config))
	if err != nil {
		return nil, err
	}
	if len(built) > 0 {
		return nativeKernel(built[len(built)-1]), nil
	}
	if err := install(ctx, map[string]string{
		"gcc": "gcc libc6-dev", "make": "make", "flex": "flex", "bison": "bison", "bc": "bc",
	}); err != nil {
		return nil, err
	}
	var errs []error
	for _, suite := range nativeSuites {
		dir, err := c.buildNative(ctx, suite, config)
		if err == nil {
			return nativeKernel(dir), nil
		}
		err = fmt.Errorf("from the sources of Debian's %s: %w", suite, err)
		fmt.Fprintln(os.Stderr, "kernel:", err)
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// nativeKernel is the native kernel in a directory. Its name is its version's first
// two numbers, as tests know kernels by.
func nativeKernel(dir string) *kernel {
	return &kernel{name: regexp.MustCompile(`^\d+\.\d+`).FindString(filepath.Base(dir)), dir: dir, native: true}
}

// buildNative builds the newest kernel of which a suite has the sources.
func (c *cache) buildNative(ctx context.Context, suite, config string) (string, error) {
	tmp, err := os.MkdirTemp(c.dir, "native-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	var version string
	if err := persist(ctx, "sources of "+suite, func() error {
		version, err = c.downloadSource(ctx, suite, tmp)
		return err
	}); err != nil {
		return "", err
	}
	fmt.Fprintf(os.Stderr, "kernel: building user-mode Linux %s, which takes some minutes\n", version)
	if err := compile(ctx, tmp); err != nil {
		return "", err
	}
	done := filepath.Join(tmp, "done")
	if err := os.Mkdir(done, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(filepath.Join(tmp, "source", "linux"), filepath.Join(done, "linux")); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(done, "release"), []byte(version), 0o644); err != nil {
		return "", err
	}
	dir := filepath.Join(c.dir, native, version+"-"+config)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	return dir, os.Rename(done, dir)
}

// downloadSource unpacks a suite's newest sources in to/source and returns their
// version.
func (c *cache) downloadSource(ctx context.Context, suite, to string) (version string, err error) {
	apt, err := c.apt(ctx, suite)
	if err != nil {
		return "", err
	}
	packages, err := apt.search(ctx, `^linux-source-[0-9.]+$`)
	if err != nil {
		return "", err
	}
	if len(packages) == 0 {
		return "", errors.New("no package linux-source")
	}
	newest := slices.MaxFunc(packages, compareVersions)
	fmt.Fprintf(os.Stderr, "kernel: downloading %s from %s\n", newest, suite)
	if err := apt.run(ctx, to, "apt-get", "download", "-qq", newest); err != nil {
		return "", err
	}
	debs, err := filepath.Glob(filepath.Join(to, "*.deb"))
	if err != nil {
		return "", err
	}
	deb := debs[0]
	defer os.Remove(deb)
	if version, err = packageVersion(ctx, deb); err != nil {
		return "", err
	}
	if err := command(ctx, "dpkg-deb", "-x", deb, filepath.Join(to, "deb")); err != nil {
		return "", err
	}
	defer os.RemoveAll(filepath.Join(to, "deb"))
	source := filepath.Join(to, "source")
	if err := os.MkdirAll(source, 0o755); err != nil {
		return "", err
	}
	// Most of the drivers' source is not needed to build none of them.
	return version, command(ctx, "tar", "-C", source, "--strip-components=1",
		"--exclude=*/drivers/gpu/*.[ch]", "--exclude=*/Documentation/*/*",
		"-xf", filepath.Join(to, "deb", "usr/src", newest+".tar.xz"))
}

// compareVersions compares names that end in a version: linux-source-6.12.
func compareVersions(a, b string) int {
	number := func(s string, i int) int {
		parts := strings.Split(s[strings.LastIndex(s, "-")+1:], ".")
		if i >= len(parts) {
			return -1
		}
		n, _ := strconv.Atoi(parts[i])
		return n
	}
	return cmp.Or(cmp.Compare(number(a, 0), number(b, 0)), cmp.Compare(number(a, 1), number(b, 1)))
}

// compile builds dir/source/linux.
func compile(ctx context.Context, dir string) error {
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, nativeConfig, 0o644); err != nil {
		return err
	}
	source := filepath.Join(dir, "source")
	if err := command(ctx, "make", "-s", "-C", source, "ARCH=um", "KCONFIG_ALLCONFIG="+config, "allnoconfig"); err != nil {
		return err
	}
	got, err := os.ReadFile(filepath.Join(source, ".config"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(nativeConfig)) {
		if !strings.Contains("\n"+string(got), "\n"+line) {
			return fmt.Errorf("these sources have no %s", strings.TrimSpace(line))
		}
	}
	return command(ctx, "make", "-s", "-C", source, "ARCH=um", fmt.Sprintf("-j%d", runtime.NumCPU()), "linux")
}

// runNative runs the kernel as a process. Its console writes to the file console,
// its second serial line to stdout, its third to the file results.
func (k *kernel) runNative(ctx context.Context, initrd, console, results string) error {
	messages, err := os.Create(console)
	if err != nil {
		return err
	}
	defer messages.Close()
	result, err := os.Create(results)
	if err != nil {
		return err
	}
	defer result.Close()
	cmd := exec.CommandContext(ctx, filepath.Join(k.dir, "linux"), "mem=2G", "initrd="+initrd,
		"quiet", "seccomp=auto", "panic=-1", "oops=panic",
		"con=null", "con0=null,fd:1", "ssl=null", "ssl1=null,fd:3", "ssl2=null,fd:4")
	cmd.Env = append(os.Environ(), "TMPDIR="+memoryDir(filepath.Dir(initrd)))
	cmd.Stdout, cmd.Stderr = messages, messages
	// The machine's processes are this computer's, in a group with the kernel.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var lines sync.WaitGroup
	for _, to := range []io.Writer{os.Stdout, result} {
		pipe, err := pipeTo(to, &lines)
		if err != nil {
			return err
		}
		defer pipe.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, pipe)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = cmd.Wait()
	cmd.Cancel() // what is left of the machine
	for _, pipe := range cmd.ExtraFiles {
		pipe.Close()
	}
	lines.Wait()
	return err
}

// pipeTo returns a pipe for the kernel, which makes what it is given non-blocking.
// What it writes goes to w; done is when all of it has.
func pipeTo(w io.Writer, done *sync.WaitGroup) (*os.File, error) {
	from, pipe, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	done.Go(func() {
		defer from.Close()
		io.Copy(w, from)
	})
	return pipe, nil
}

// memoryDir is where the kernel keeps the machine's memory: the file system in
// memory, if it has room, or else dir.
func memoryDir(dir string) string {
	const shm = "/dev/shm"
	var fs syscall.Statfs_t
	if err := syscall.Statfs(shm, &fs); err == nil && fs.Bavail*uint64(fs.Bsize) > 2<<30 {
		return shm
	}
	return dir
}
