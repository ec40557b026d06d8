//go:build linux

package main

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"example.com/isotp/test/wine/winetest"
)

// Windows is a folder of Windows for one program and those that it starts, as Wine has it: two drives,
// and files with the registry. What no program changes is not copied from the folder that setup has made.
// A folder has a wineserver of its own, which is what Windows' kernel is, and makes the sockets too. So
// they are in the network namespace of the first program.
type windows struct {
	dir  string
	wine string // the program
}

// cacheDir is where setup has put things.
func cacheDir() (string, error) {
	if dir := os.Getenv("ISOTPNET_WINE"); dir != "" {
		return dir, nil
	}
	user, err := os.UserCacheDir()
	return filepath.Join(user, "isotpnet-wine"), err
}

func newWindows() (*windows, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "isotpnet-wine-")
	if err != nil {
		return nil, err
	}
	w := &windows{dir, filepath.Join(cache, "wine64")}
	if err := w.fill(filepath.Join(cache, "windows")); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return w, nil
}

// fill makes the folder from the one that setup has made.
func (w *windows) fill(from string) error {
	drive, users := filepath.Join(w.dir, "drive_c"), filepath.Join("drive_c", "users")
	devices := filepath.Join(w.dir, "dosdevices")
	err := cmp.Or(
		os.Mkdir(drive, 0o755),
		os.Mkdir(devices, 0o755),
		os.Symlink("../drive_c", filepath.Join(devices, "c:")),
		os.Symlink("/", filepath.Join(devices, "z:")),
		os.CopyFS(filepath.Join(w.dir, users), os.DirFS(filepath.Join(from, users))),
	)
	if err != nil {
		return err
	}
	// With this Wine knows that nothing has to be brought up to date.
	for _, name := range []string{"system.reg", "user.reg", "userdef.reg", ".update-timestamp"} {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(w.dir, name), content, 0o644)
		}
		if err != nil {
			return err
		}
	}
	folders, err := os.ReadDir(filepath.Join(from, "drive_c"))
	if err != nil {
		return err
	}
	for _, f := range folders {
		if f.Name() == "users" {
			continue
		}
		if err := os.Symlink(filepath.Join(from, "drive_c", f.Name()), filepath.Join(drive, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// command is a command that runs a program of Windows. It ends with the thread that starts it.
func (w *windows) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(w.wine, append([]string{program}, args...)...)
	cmd.Env = w.environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (w *windows) environment() []string {
	return append(os.Environ(),
		"WINEPREFIX="+w.dir,
		winetest.Under+"=1",
		"WINEDEBUG="+cmp.Or(os.Getenv("WINEDEBUG"), "-all"),
		// No .NET, browser or menus are asked for, and no debugger after a crash. That one library is ours.
		"WINEDLLOVERRIDES=mscoree,mshtml,winemenubuilder.exe,winedbg.exe=;bcryptprimitives=n",
		"DISPLAY=",
	)
}

// close ends all programs, and removes the folder.
func (w *windows) close() error {
	server := exec.Command(filepath.Join(filepath.Dir(w.wine), "wineserver"), "--kill")
	server.Env = w.environment()
	server.Run() // fails if all have ended by themselves
	return os.RemoveAll(w.dir)
}
