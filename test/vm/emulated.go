//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// emulate runs a stock kernel in an emulated machine. The machine's first serial
// port writes to the file console, its second to stdout, its third to results.
//
// The machine's time goes by its instructions, 2 ns each, and jumps ahead when
// it has nothing to do. So it does not matter how busy this computer is: with
// real time a machine stood still for a second now and then, which ends an
// ISO-TP message. And no test waits for time-outs.
//
// One processor: with two, this emulator loses a boot now and then. An oops
// is a panic, and a panic the machine's end.
func (k *kernel) emulate(ctx context.Context, initrd, console, results string) error {
	cmd := exec.CommandContext(ctx, qemu, "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "2G",
		"-icount", "shift=1,sleep=off", "-rtc", "clock=vm",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", filepath.Join(k.dir, "vmlinuz"), "-initrd", initrd,
		"-append", "console=ttyS0 quiet panic=-1 oops=panic mitigations=off",
		"-serial", "file:"+console, "-serial", "stdio", "-serial", "file:"+results)
	var complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = os.Stdout, &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", qemu, err, complaints.Bytes())
	}
	return nil
}
