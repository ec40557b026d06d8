//go:build linux

package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/isotp/test/netns"
)

const udp = "udp:239.74.163.2:43113"

// TestMain leaves these tests out of short runs, which do not install Wine. test/run installs it.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("not in short runs")
		return
	}
	netns.Main(m)
}

// programs are the command isotp for Linux and for Windows, in a network namespace that they share.
type programs struct {
	windows           *windows
	forLinux, forWine string
}

func build(t *testing.T) *programs {
	t.Helper()
	netns.Need(t)
	w, err := newWindows()
	if err != nil {
		t.Fatalf("%v: run test/wine/setup first", err)
	}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	p := &programs{w, filepath.Join(t.TempDir(), "isotp"), filepath.Join(t.TempDir(), "isotp.exe")}
	for goos, path := range map[string]string{"linux": p.forLinux, "windows": p.forWine} {
		cmd := exec.Command("go", "build", "-o", path, "example.com/isotp/cmd/isotp")
		cmd.Env = append(os.Environ(), "GOOS="+goos)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build for %s: %v\n%s", goos, err, out)
		}
	}
	return p
}

// linux and wine return a command that runs isotp.
func (p *programs) linux(args ...string) *exec.Cmd { return exec.Command(p.forLinux, args...) }
func (p *programs) wine(args ...string) *exec.Cmd  { return p.windows.command(p.forWine, args...) }

// begin starts a command that ends with the test, and waits until it says that it listens.
func begin(t *testing.T, cmd *exec.Cmd, ready *regexp.Regexp) {
	t.Helper()
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var said bytes.Buffer
	for buf := make([]byte, 1000); !ready.Match(said.Bytes()); {
		n, err := out.Read(buf)
		if said.Write(buf[:n]); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, &said)
		}
	}
	go io.Copy(io.Discard, out)
}

// listening waits until as many sockets of the namespace are bound to the group's port.
func listening(t *testing.T, n int) {
	t.Helper()
	for t.Context().Err() == nil {
		sockets, err := os.ReadFile("/proc/self/net/udp")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(sockets), fmt.Sprintf(":%04X 00000000:0000", 43113)) == n {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// output runs a command to its end, and returns what it prints.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, &stderr)
	}
	return stdout.String()
}

func TestWindowsSpeaksWithLinux(t *testing.T) {
	p := build(t)
	type command func(...string) *exec.Cmd
	for _, c := range []struct {
		name     string
		from, to command
	}{
		{"FromWindows", p.wine, p.linux},
		{"ToWindows", p.linux, p.wine},
	} {
		t.Run(c.name+"/Message", func(t *testing.T) {
			listening(t, 0)
			data := bytes.Repeat([]byte("0123456789\n"), 2000)
			recv := c.to("recv", "--timeout", "60s", "--count", fmt.Sprint((len(data)+4094)/4095), udp+"/7E8:7E0")
			var got bytes.Buffer
			recv.Stdout = &got
			if err := recv.Start(); err != nil {
				t.Fatal(err)
			}
			listening(t, 1)
			send := c.from("send", udp+"/7E0:7E8")
			send.Stdin = bytes.NewReader(data)
			output(t, send)
			if err := recv.Wait(); err != nil || !bytes.Equal(got.Bytes(), data) {
				t.Errorf("%d bytes of %d arrive: %v", got.Len(), len(data), err)
			}
		})
		t.Run(c.name+"/Request", func(t *testing.T) {
			begin(t, c.to("ecu", "--vin", "WVWZZZ1JZXW000001", udp+"/7E8:7E0"), regexp.MustCompile("listens on"))
			if got := output(t, c.from("request", udp+"/7E0:7E8", "22F190")); !strings.Contains(got, "WVWZZZ1JZXW000001") {
				t.Errorf("request prints %q", got)
			}
		})
	}
}

func TestDemoUnderWine(t *testing.T) {
	output(t, build(t).wine("demo"))
}

func TestSimulatedECUsUnderWine(t *testing.T) {
	if got := output(t, build(t).wine("obd", "--simulate", "8", "virtual:demo/obd")); strings.Count(got, "\n") != 8 {
		t.Errorf("obd prints %q", got)
	}
}
