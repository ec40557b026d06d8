//go:build linux

package main

import (
	"bytes"
	"debug/elf"
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed init
var initScript []byte

// An image is the file system of the machine.
type image struct {
	*archive
	libs []string // where to look for shared libraries, first to last
}

// libDir is where all shared libraries are in the machine.
const libDir = "/lib64"

var hostLibs = []string{
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib",
}

// writeImage writes the image that runs job in k.
func writeImage(to string, k *kernel, job *job) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	img := &image{newArchive(f), slices.Clone(hostLibs)}

	img.bytes("/init", 0o755, initScript)
	img.copy("/bin/busybox", job.busybox)
	for i, m := range modules {
		img.copy(fmt.Sprintf("/modules/%02d-%s.ko", i, m), filepath.Join(k.dir, m+".ko"))
	}
	for _, d := range []string{"/proc", "/sys", "/dev", "/tmp", "/run", "/root", "/var/tmp"} {
		img.dir(d)
	}
	img.bytes("/etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\n"))
	img.bytes("/etc/group", 0o644, []byte("root:x:0:\n"))
	img.bytes("/etc/hosts", 0o644, []byte("127.0.0.1 localhost\n::1 localhost\n"))

	for _, p := range job.packages {
		if err := img.debian(p); err != nil {
			return err
		}
	}
	for _, file := range job.files {
		img.program("/usr/local/bin/"+filepath.Base(file), file)
	}

	img.program(job.program, job.program)
	img.dir(job.dir)
	img.tree(filepath.Join(job.dir, "testdata"), filepath.Join(job.dir, "testdata"))
	for _, out := range job.outputs {
		img.dir(filepath.Dir(out))
		if info, err := os.Stat(out); err == nil && info.IsDir() {
			img.dir(out)
		}
	}
	img.bytes("/etc/outputs", 0o644, []byte(strings.Join(job.outputs, "\n")+"\n"))
	img.bytes("/etc/program", 0o644, job.script(k))
	if err := img.close(); err != nil {
		return err
	}
	return f.Close()
}

func (img *image) bytes(name string, mode fs.FileMode, b []byte) {
	img.file(name, mode, int64(len(b)), bytes.NewReader(b))
}

// debian adds the programs of an unpacked Debian package.
func (img *image) debian(p *debianPackage) error {
	for _, lib := range hostLibs {
		img.libs = append(img.libs, filepath.Join(p.own, lib), filepath.Join(p.deps, lib))
	}
	for _, bin := range []string{"/bin", "/sbin", "/usr/bin", "/usr/sbin"} {
		programs, err := filepath.Glob(filepath.Join(p.own, bin, "*"))
		if err != nil {
			return err
		}
		for _, program := range programs {
			// Follows symbolic links, if they stay in the package.
			if info, err := os.Stat(program); err == nil && info.Mode().IsRegular() {
				img.program("/usr/bin/"+filepath.Base(program), program)
			}
		}
	}
	return nil
}

// program adds an executable and the shared libraries it needs.
func (img *image) program(name, from string) {
	img.copy(name, from)
	f, err := elf.Open(from)
	if err != nil {
		return // a script
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			interp := make([]byte, p.Filesz)
			if _, err := p.ReadAt(interp, 0); err != nil {
				img.fail(err)
				return
			}
			loader := strings.TrimRight(string(interp), "\x00")
			img.library(loader, filepath.Base(loader), from)
		}
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		img.fail(err)
	}
	for _, lib := range needed {
		img.library(filepath.Join(libDir, lib), lib, from)
	}
}

// library adds a shared library and those that it needs.
func (img *image) library(name, lib, neededBy string) {
	if img.made[name] || img.err != nil {
		return
	}
	for _, dir := range img.libs {
		from := filepath.Join(dir, lib)
		if _, err := os.Stat(from); err == nil {
			img.program(name, from)
			return
		}
	}
	img.fail(fmt.Errorf("%s needs %s, which is in none of %s", neededBy, lib, strings.Join(img.libs, " ")))
}
