//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const qemu = "qemu-system-x86_64"

// modules are loaded in this order. can-bcm, can-gw and tun are for can-utils;
// slcan makes interfaces with a bit rate; sch_netem and sch_tbf make interfaces slow.
var modules = []string{
	"can", "can-raw", "can-bcm", "can-gw", "can-isotp", "can-dev", "vcan", "slcan", "sch_netem", "sch_tbf", "tun",
}

// modules returns the modules that the kernel's machine loads. A native kernel has them
// built in.
func (k *kernel) modules() []string {
	if k.native {
		return nil
	}
	return modules
}

// suites are the suites of Debian that have a kernel, by its name. The second is for days
// on which the first cannot be downloaded.
var suites = map[string][]string{
	"6.1":  {"bookworm"},
	"6.12": {"trixie", "bookworm-backports"},
	"7.2":  {"sid", "forky"},
}

// packageSuite is where packages for -a come from, with the libraries they need.
const packageSuite = "trixie"

// A kernel is a directory that holds the file release, which has its version, and a
// stock kernel's vmlinuz and modules or a native one's program linux. Its name is
// that version's first two numbers.
type kernel struct {
	name, dir string
	native    bool
}

func (k *kernel) release() string {
	b, _ := os.ReadFile(filepath.Join(k.dir, "release"))
	return string(b)
}

// A debianPackage is unpacked in own, what it depends on in deps.
type debianPackage struct{ own, deps string }

// A cache is a directory that holds what was downloaded. It is locked while it
// may change, as go test starts many programs at once.
type cache struct {
	dir     string
	lock    *os.File
	busybox string
}

func openCache(ctx context.Context) (*cache, error) {
	c := &cache{dir: os.Getenv("ISOTPNET_KERNELS")}
	if c.dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("%w (or set ISOTPNET_KERNELS to a directory)", err)
		}
		c.dir = filepath.Join(user, "isotpnet-kernels")
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return nil, err
	}
	var err error
	if c.lock, err = os.Create(filepath.Join(c.dir, "lock")); err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(c.lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, err
	}
	if err := install(ctx, map[string]string{
		qemu: "qemu-system-x86", "busybox": "busybox-static", "xz": "xz-utils", "dpkg-deb": "dpkg",
	}); err != nil {
		return nil, err
	}
	c.busybox, err = exec.LookPath("busybox")
	return c, err
}

func (c *cache) unlock() { c.lock.Close() }

// kernel returns the kernel of that name, and downloads it if need be.
func (c *cache) kernel(ctx context.Context, name string) (*kernel, error) {
	if name == native {
		return c.native(ctx)
	}
	from := suites[name]
	if from == nil {
		return nil, errors.New("unknown (want 6.1, 6.12, 7.2 or native)")
	}
	k := &kernel{name: name, dir: filepath.Join(c.dir, name)}
	if missingFile(k.dir) == "" {
		return k, nil
	}
	var errs []error
	for _, suite := range from {
		err := persist(ctx, "kernel "+name, func() error { return c.download(ctx, k, suite) })
		if err == nil {
			return k, nil
		}
		errs = append(errs, fmt.Errorf("from Debian's %s: %w", suite, err))
	}
	return nil, errors.Join(errs...)
}

// pauses are how long to wait before a download is tried again.
var pauses = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute}

// persist tries a download until it succeeds, or has failed after the last pause.
func persist(ctx context.Context, what string, download func() error) error {
	for _, pause := range pauses {
		err := download()
		if err == nil || ctx.Err() != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "kernel: %s: %v\nkernel: once more in %v\n", what, err, pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return download()
}

// download puts a suite's kernel where k has it.
func (c *cache) download(ctx context.Context, k *kernel, suite string) error {
	apt, err := c.apt(ctx, suite)
	if err != nil {
		return err
	}
	// linux-image-amd64 depends on the suite's newest, and that one on
	// linux-binary and linux-modules where it is not all in one package.
	image, err := apt.depends(ctx, "linux-image-amd64", `^linux-image-\d`)
	if err != nil {
		return err
	}
	if len(image) != 1 {
		return fmt.Errorf("%s's linux-image-amd64 depends on %q, want one linux-image", suite, image)
	}
	if !strings.HasPrefix(image[0], "linux-image-"+k.name+".") {
		fmt.Fprintf(os.Stderr, "kernel: %s has %s now, taken for %s\n", suite, image[0], k.name)
	}
	parts, err := apt.depends(ctx, image[0], `^linux-(binary|modules)-\d`)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(c.dir, k.name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	fmt.Fprintf(os.Stderr, "kernel: downloading %s from %s\n", image[0], suite)
	if err := apt.run(ctx, tmp, append([]string{"apt-get", "download", "-qq", image[0]}, parts...)...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if err := unpackKernel(ctx, deb, tmp); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(deb), err)
		}
		if err := os.Remove(deb); err != nil {
			return err
		}
	}
	if file := missingFile(tmp); file != "" {
		return fmt.Errorf("%s has no %s", image[0], file)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(k.dir); err != nil {
		return err
	}
	return os.Rename(tmp, k.dir)
}

// missingFile returns the first file that a kernel's directory lacks, "" if it is
// complete.
func missingFile(dir string) string {
	files := []string{"vmlinuz", "release"}
	for _, m := range modules {
		files = append(files, m+".ko")
	}
	for _, file := range files {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			return file
		}
	}
	return ""
}

var kernelFile = regexp.MustCompile(`/(vmlinuz)[^/]*$|/kernel/.*/([^/]+\.ko)(\.xz)?$`)

// unpackKernel takes the kernel, its modules and its exact version out of a
// package.
func unpackKernel(ctx context.Context, deb, to string) error {
	version, err := packageVersion(ctx, deb)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(to, "release"), []byte(version), 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for t := tar.NewReader(out); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		m := kernelFile.FindStringSubmatch(h.Name)
		if m == nil || h.Typeflag != tar.TypeReg || m[2] != "" && !slices.Contains(modules, strings.TrimSuffix(m[2], ".ko")) {
			continue
		}
		var r io.Reader = t
		if m[3] != "" {
			xz := exec.CommandContext(ctx, "xz", "-dc")
			xz.Stdin = t
			b, err := xz.Output()
			if err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
			r = bytes.NewReader(b)
		}
		if err := writeFile(filepath.Join(to, m[1]+m[2]), r); err != nil {
			return err
		}
	}
	return cmd.Wait()
}

// debian returns an unpacked Debian package, and downloads it, with what it
// depends on, if need be.
func (c *cache) debian(ctx context.Context, name string) (*debianPackage, error) {
	if ok, _ := regexp.MatchString(`^[a-z0-9][a-z0-9.+-]+$`, name); !ok {
		return nil, errors.New("not the name of a Debian package")
	}
	dir := filepath.Join(c.dir, "packages", packageSuite, name)
	p := &debianPackage{filepath.Join(dir, "own"), filepath.Join(dir, "deps")}
	if _, err := os.Stat(dir); err == nil {
		return p, nil
	}
	return p, persist(ctx, "package "+name, func() error { return c.downloadPackage(ctx, name, dir) })
}

// downloadPackage unpacks a package and what it depends on in dir.
func (c *cache) downloadPackage(ctx context.Context, name, dir string) error {
	apt, err := c.apt(ctx, packageSuite)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(c.dir, "package-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	archives := filepath.Join(tmp, "archives")
	if err := os.MkdirAll(filepath.Join(archives, "partial"), 0o755); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "kernel: downloading %s from %s\n", name, packageSuite)
	if err := apt.run(ctx, tmp, "apt-get", "install", "-qq", "-y", "--no-install-recommends", "--download-only",
		"-o", "Dir::Cache::archives="+archives, name); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		to := "deps"
		if strings.HasPrefix(filepath.Base(deb), name+"_") {
			to = "own"
		}
		if err := command(ctx, "dpkg-deb", "-x", deb, filepath.Join(tmp, to)); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(archives); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}
