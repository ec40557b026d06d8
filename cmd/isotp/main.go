package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	_ "example.com/isotp/canbus/all" // a command line may name any bus
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The second signal is the system's to handle: it ends a process that hangs.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
