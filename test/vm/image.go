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
	"strings"
)

//go:embed init
var initScript []byte

// An image is the file system of the machine.
type image struct{ *archive }

// libs are the shared libraries of programs.
type libs struct {
	in   string   // the directory in the machine
	from []string // where to look for them, first to last
}

// libDir is where the shared libraries of this system's programs are.
const libDir = "/lib64"

var hostLibs = libs{libDir, []string{
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib",
}}

// writeImage writes the image that runs job in k.
func writeImage(to string, k *kernel, job *job) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	img := &image{newArchive(f)}

	img.bytes("/init", 0o755, initScript)
	img.copy("/bin/busybox", job.busybox)
	for i, m := range k.modules() {
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
		img.program("/usr/local/bin/"+filepath.Base(file), file, hostLibs)
	}

	img.program(job.program, job.program, hostLibs)
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

// debian adds the programs of an unpacked Debian package. They run with the
// libraries of their own suite, as the C library of this system may be older.
func (img *image) debian(p *debianPackage) error {
	home := "/packages/" + filepath.Base(filepath.Dir(p.own))
	own := libs{in: home + "/lib"}
	for _, lib := range hostLibs.from {
		own.from = append(own.from, filepath.Join(p.own, lib), filepath.Join(p.deps, lib))
	}
	for _, bin := range []string{"/bin", "/sbin", "/usr/bin", "/usr/sbin"} {
		programs, err := filepath.Glob(filepath.Join(p.own, bin, "*"))
		if err != nil {
			return err
		}
		for _, program := range programs {
			// Follows symbolic links, if they stay in the package.
			info, err := os.Stat(program)
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			name := filepath.Base(program)
			loader := img.program(home+"/"+name, program, own)
			if loader == "" {
				img.copy("/usr/bin/"+name, program) // needs no libraries
				continue
			}
			script := fmt.Sprintf("#!/bin/sh\nexec %s --library-path %s %s \"$@\"\n",
				filepath.Join(own.in, filepath.Base(loader)), own.in, home+"/"+name)
			img.bytes("/usr/bin/"+name, 0o755, []byte(script))
		}
	}
	return nil
}

// program adds an executable, or a library, and the shared libraries it needs. It
// returns the path of the dynamic loader that it names; empty if it names none.
func (img *image) program(name, from string, l libs) (loader string) {
	img.copy(name, from)
	f, err := elf.Open(from)
	if err != nil {
		return "" // a script
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			interp := make([]byte, p.Filesz)
			if _, err := p.ReadAt(interp, 0); err != nil {
				img.fail(err)
				return ""
			}
			loader = strings.TrimRight(string(interp), "\x00")
			img.library(loader, from, l)
		}
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		img.fail(err)
	}
	for _, lib := range needed {
		img.library(filepath.Join(l.in, lib), from, l)
	}
	return loader
}

// library adds a shared library and those that it needs. A loader's name is the
// one that programs have in them, but for packages, whose programs do not use it.
func (img *image) library(name, neededBy string, l libs) {
	if l.in != libDir {
		name = filepath.Join(l.in, filepath.Base(name))
	}
	if img.made[name] || img.err != nil {
		return
	}
	for _, dir := range l.from {
		from := filepath.Join(dir, filepath.Base(name))
		if _, err := os.Stat(from); err == nil {
			img.program(name, from, l)
			return
		}
	}
	img.fail(fmt.Errorf("%s needs %s, which is in none of %s", neededBy, filepath.Base(name), strings.Join(l.from, " ")))
}
