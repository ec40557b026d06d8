package slcan

import (
	"os"
	"path/filepath"
	"strings"
)

// markInUse marks the ports that a program has open.
func markInUse(list []Port) {
	if len(list) == 0 {
		return
	}
	open := openDevices()
	for i := range list {
		name, err := filepath.EvalSymlinks(list[i].Name)
		list[i].InUse = err == nil && open[name]
	}
}

// openDevices returns the devices that programs have open, as far as this user may know.
func openDevices() map[string]bool {
	open := map[string]bool{}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, "/dev/") {
			open[to] = true
		}
	}
	return open
}
