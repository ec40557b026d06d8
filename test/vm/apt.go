//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// install installs the Debian packages of those programs that are not there.
func install(ctx context.Context, programs map[string]string) error {
	var missing []string
	for program, pkg := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	need := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("these Debian packages are missing, and only root can install them with apt-get: %s", need)
	}
	fmt.Fprintln(os.Stderr, "kernel: installing", need)
	return persist(ctx, "installing", func() error {
		// apt-get fails also if it cannot reach a source of packages that we do not
		// need.
		updateErr := command(ctx, "apt-get", slices.Concat(patience, []string{"update", "-qq"})...)
		install := slices.Concat(patience, []string{"install", "-y", "-qq", "--no-install-recommends"}, missing)
		if err := command(ctx, "apt-get", install...); err != nil {
			return errors.Join(err, updateErr)
		}
		return nil
	})
}

// patience are options of apt-get, for when other programs run it at the same time, and for
// a bad network.
var patience = []string{
	"-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=5", "-o", "Acquire::http::Timeout=60",
}

// apt runs apt-get and apt-cache for one suite, with lists and a state of its
// own, in which no package is installed. The system's are not touched.
type apt struct{ options []string }

func (c *cache) apt(ctx context.Context, suite string) (*apt, error) {
	dir := filepath.Join(c.dir, "apt", suite)
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	debian, security := mirrors(ctx)
	const keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
	if _, err := os.Stat(keys); err != nil {
		return nil, fmt.Errorf("%w (it is in the Debian package debian-archive-keyring)", err)
	}
	sources := fmt.Sprintf("deb [signed-by=%s] %s %s main\n", keys, debian, suite)
	if suite != "sid" && !strings.HasSuffix(suite, "-backports") {
		sources += fmt.Sprintf("deb [signed-by=%s] %s %s-security main\n", keys, security, suite)
	}
	list := filepath.Join(dir, "sources.list")
	if err := os.WriteFile(list, []byte(sources), 0o644); err != nil {
		return nil, err
	}
	a := &apt{append(slices.Clone(patience),
		"-o", "Dir::Etc::sourcelist="+list, "-o", "Dir::Etc::sourceparts=-",
		"-o", "Dir::State="+dir, "-o", "Dir::State::lists="+filepath.Join(dir, "lists"),
		"-o", "Dir::State::status=/dev/null", "-o", "Dir::Cache="+filepath.Join(dir, "cache"),
		"-o", "APT::Architecture=amd64", "-o", "APT::Sandbox::User=", "-o", "APT::Update::Error-Mode=any",
		"-o", "Acquire::Languages=none", "-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
	)}
	return a, a.run(ctx, dir, "apt-get", "update", "-qq")
}

// mirrors returns the Debian mirror that this system is set up for, where it is,
// and that of the security updates.
func mirrors(ctx context.Context) (debian, security string) {
	debian, security = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)",
		"Created-By: Packages", "Origin: Debian").Output()
	if err != nil {
		return
	}
	for line := range strings.Lines(string(out)) {
		uri, release, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case strings.HasSuffix(release, "-security"):
			security = uri
		case path.Base(uri) == "debian":
			debian = uri
		}
	}
	return
}

// run runs apt-get or apt-cache in dir.
func (a *apt) run(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], append(a.options, args[1:]...)...)
	cmd.Dir = dir
	return quiet(cmd)
}

// search returns the suite's packages whose names match.
func (a *apt) search(ctx context.Context, pattern string) ([]string, error) {
	args := append(a.options, "search", "--names-only", pattern)
	out, err := exec.CommandContext(ctx, "apt-cache", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("apt-cache search %s: %w", pattern, err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(line, " - ")
		names = append(names, name)
	}
	return names, nil
}

// packageVersion returns the version of a package's file.
func packageVersion(ctx context.Context, deb string) (string, error) {
	out, err := exec.CommandContext(ctx, "dpkg-deb", "-f", deb, "Version").Output()
	if err != nil {
		return "", fmt.Errorf("dpkg-deb -f %s: %w", deb, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// depends returns those packages that pkg depends on directly whose names match.
func (a *apt) depends(ctx context.Context, pkg, pattern string) ([]string, error) {
	args := append(a.options, "depends", "--important", pkg)
	out, err := exec.CommandContext(ctx, "apt-cache", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("apt-cache depends %s: %w", pkg, err)
	}
	match := regexp.MustCompile(pattern)
	var names []string
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "); ok && match.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

func command(ctx context.Context, name string, args ...string) error {
	return quiet(exec.CommandContext(ctx, name, args...))
}

// quiet runs a command, and returns its output with the error if it fails.
func quiet(cmd *exec.Cmd) error {
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}
