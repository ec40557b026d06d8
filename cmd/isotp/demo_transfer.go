package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"time"

	"example.com/isotp/isotpnet"
	"golang.org/x/sync/errgroup"
)

// A transfer sends a file from one connection to another.
type transfer struct {
	sender, receiver *isotpnet.Conn
	trace            *tracer // the sender's
	size             int64
	sent, received   hash.Hash
	elapsed          time.Duration
}

func newTransfer(sender, receiver *isotpnet.Conn, trace *tracer) *transfer {
	return &transfer{
		sender: sender, receiver: receiver, trace: trace,
		sent: sha256.New(), received: sha256.New(),
	}
}

// run sends size bytes of the file, writes them to progress when they arrive, and
// closes the connections.
func (t *transfer) run(ctx context.Context, file io.Reader, progress io.Writer) error {
	// When one side fails, the other is ended too, which would wait for it.
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() {
		t.sender.Close()
		t.receiver.Close()
	})
	defer stop()

	start := time.Now()
	group.Go(func() error {
		n, err := io.Copy(t.sender, io.TeeReader(io.LimitReader(file, t.size), t.sent))
		if err == nil && n < t.size {
			err = fmt.Errorf("the file ended after %d of %d bytes", n, t.size)
		}
		return err
	})
	group.Go(func() error {
		_, err := io.CopyN(io.MultiWriter(t.received, progress), t.receiver, t.size)
		return err
	})
	err := group.Wait()
	t.elapsed = time.Since(start)

	t.sender.Close()
	t.receiver.Close()
	t.trace.wait(t.sender.Stats())
	return err
}

// verify compares what was received with what was sent.
func (t *transfer) verify() error {
	if !bytes.Equal(t.sent.Sum(nil), t.received.Sum(nil)) {
		return errMismatch
	}
	return nil
}
