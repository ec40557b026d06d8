package kernel

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// The kernel's timers, which nothing changes.
const (
	ReplyTimeout = time.Second     // N_Bs and N_Cr
	EchoTimeout  = 2 * time.Second // N_As
)

// The longest message, in bytes, where the module has no parameter max_pdu_size that can
// be read.
const (
	fixedLimit   = 66000 // before Linux 6.4
	defaultLimit = 8300  // the parameter's default, from 6.4 on
)

// A Running is what Probe finds out about the running kernel.
type Running struct {
	Release    string // as uname -r prints it
	Version    Version
	MaxMessage int64 // the longest that it sends and receives, in bytes
}

// A Version has the first two numbers of a kernel's version.
type Version struct{ Major, Minor int }

// Linux returns a version.
func Linux(major, minor int) Version { return Version{major, minor} }

// Before reports whether v is older than w.
func (v Version) Before(w Version) bool {
	return v.Major < w.Major || v.Major == w.Major && v.Minor < w.Minor
}

// oldest is the first kernel whose sockets say when a message is sent: poll does since 6.3,
// and in Debian's and the stable 6.1 since 6.1.25.
var oldest = Linux(6, 1)

// parseVersion returns the version in a release such as 6.12.107-amd64, the zero Version if
// there is none.
func parseVersion(release string) Version {
	fields := strings.FieldsFunc(release, func(r rune) bool { return r < '0' || r > '9' })
	if len(fields) < 2 {
		return Version{}
	}
	major, err1 := strconv.Atoi(fields[0])
	minor, err2 := strconv.Atoi(fields[1])
	if errors.Join(err1, err2) != nil {
		return Version{}
	}
	return Version{major, minor}
}

// limitOf returns the longest message of a kernel whose parameter max_pdu_size has this
// text; "": it has none.
func limitOf(parameter string, v Version) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(parameter), 10, 64)
	switch {
	case err == nil && n > 0:
		return n
	case v.Before(Linux(6, 4)):
		return fixedLimit
	}
	return defaultLimit
}
