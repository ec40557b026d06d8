//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// An archive is a cpio archive in the "newc" format, which the kernel unpacks as
// its first file system. It keeps the first error, and close returns that.
type archive struct {
	w    *bufio.Writer
	n    int64 // bytes written
	ino  int
	made map[string]bool
	err  error
}

func newArchive(w io.Writer) *archive {
	return &archive{w: bufio.NewWriter(w), made: map[string]bool{"/": true}}
}

// dir makes a directory and those above it, if they are not there. Names are absolute.
func (a *archive) dir(name string) {
	if name = path.Clean(name); a.made[name] {
		return
	}
	a.dir(path.Dir(name))
	a.entry(name, 0o040755, 0)
}

// file makes a file, and the directories above it, of size bytes of r.
func (a *archive) file(name string, mode fs.FileMode, size int64, r io.Reader) {
	if name = path.Clean(name); a.made[name] || a.err != nil {
		return
	}
	a.dir(path.Dir(name))
	a.entry(name, 0o100000|uint32(mode.Perm()), size)
	if a.err != nil {
		return
	}
	n, err := io.CopyN(a.w, r, size)
	a.n += n
	if err != nil {
		a.err = fmt.Errorf("%s: %w", name, err)
	}
	a.align()
}

// copy makes a file that has the content and the permissions of one here.
func (a *archive) copy(name, from string) {
	f, err := os.Open(from)
	if err != nil {
		a.fail(err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		a.fail(err)
		return
	}
	a.file(name, info.Mode(), info.Size(), f)
}

// tree makes a directory that has the content of one here, if there is one.
func (a *archive) tree(name, from string) {
	err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, p)
		if d.IsDir() {
			a.dir(path.Join(name, rel))
		} else {
			a.copy(path.Join(name, rel), p)
		}
		return a.err
	})
	if !os.IsNotExist(err) {
		a.fail(err)
	}
}

func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, 0)
	a.fail(a.w.Flush())
	return a.err
}

func (a *archive) entry(name string, mode uint32, size int64) {
	a.made[name] = true
	a.ino++
	if size > 1<<32-1 {
		a.fail(fmt.Errorf("%s: %d bytes are too many for an initramfs", name, size))
	}
	if name[0] == '/' {
		name = name[1:]
	}
	// magic, ino, mode, uid, gid, nlink, mtime, filesize, 2 + 2 device numbers,
	// namesize, check
	n, err := fmt.Fprintf(a.w, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.ino, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name)+1, 0, name)
	a.n += int64(n)
	a.fail(err)
	a.align()
}

// align fills up to a multiple of 4 bytes.
func (a *archive) align() {
	n, err := a.w.Write(make([]byte, -a.n&3))
	a.n += int64(n)
	a.fail(err)
}

func (a *archive) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}
