package isotpnet_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/isotp/isotpnet"
)

// Streams whose Writes run into deadlines, whose ends close early, and whose
// messages the bus loses: what is read is what was written, from the beginning and
// without a hole. io.EOF comes after all of it. If a reader gets no io.EOF, both sides
// learn of an error.
func TestRandomStreams(t *testing.T) {
	const worlds, sessions = 400, 50
	var sum streamCounts
	t.Run("worlds", func(t *testing.T) {
		inRandomWorlds(t, worlds, func(w *randomWorld) { testRandomStreams(w, sessions, &sum) })
	})
	t.Logf("%d streams, %d of them complete, %d broken; %d Writes, %d ended by a deadline",
		sum.opened.Load(), sum.complete.Load(), sum.broken.Load(), sum.writes.Load(), sum.late.Load())
}

type streamCounts struct{ opened, complete, broken, writes, late atomic.Int64 }

// A streamSide is what one end of a stream has done.
type streamSide struct {
	wrote    []byte // what Write has counted
	finished bool   // it has ended its direction, and everything was counted
	read     []byte
	end      bool  // it has read io.EOF
	err      error // what has ended it
	ended    time.Time
	left     bool // it has closed without reading to the end
}

func testRandomStreams(w *randomWorld, sessions int, sum *streamCounts) {
	t := w.t
	server := tapEnd(newTap(t, w.n), ecuAddr, w.config)
	if w.rng.IntN(3) == 0 {
		server.dialer.Config.BlockSize = pick(w.rng, 0, 8, 16)
	}
	ln := server.listen(t)
	var mu sync.Mutex
	accepted := make(map[uint64]*streamSide)
	var servers sync.WaitGroup
	rng := w.program()
	servers.Go(func() {
		for {
			c, err := ln.AcceptStream()
			if err != nil {
				return
			}
			seed := rng.Uint64()
			servers.Go(func() {
				var name [8]byte
				if _, err := io.ReadFull(c, name[:]); err != nil {
					c.Close()
					return
				}
				id := binary.BigEndian.Uint64(name[:])
				s := &streamSide{read: name[:]}
				mu.Lock()
				if accepted[id] != nil {
					t.Errorf("%v: a second stream says that it is %X", w, id)
				}
				accepted[id] = s
				mu.Unlock()
				useStream(w, c, s, id, 1, rand.New(rand.NewPCG(seed, 1)), sum)
			})
		}
	})

	tap := newTap(t, w.n)
	client := tapEnd(tap, testerAddr, w.config)
	// A client with a stream that is there all the time answers those that it has lost,
	// another is gone some day: then its streams end only when it was asked in vain.
	there := w.rng.IntN(2) == 0
	var always *isotpnet.StreamConn
	if there {
		always = client.dial(t)
	}
	dialled := make(map[uint64]*streamSide)
	for done := 0; done < sessions; {
		var clients sync.WaitGroup
		for range 1 + w.rng.IntN(4) {
			id := w.seed<<16 | uint64(done) | 0xABCD<<48
			done++
			rng := w.program()
			s := new(streamSide)
			dialled[id] = s
			clients.Go(func() {
				c, err := client.tryDial(context.Background())
				if err != nil {
					s.err = err
					return
				}
				sum.opened.Add(1)
				name := binary.BigEndian.AppendUint64(nil, id)
				n, err := c.Write(name)
				s.wrote = name[:n]
				if s.err = err; err != nil {
					c.Close()
					return
				}
				useStream(w, c, s, id, 0, rng, sum)
			})
		}
		clients.Wait()
		switch w.rng.IntN(6) {
		case 0: // the pair is opened anew
			time.Sleep(10 * time.Second)
		case 1: // the program is started anew
			if !there {
				tap.Close()
				tap = newTap(t, w.n)
				client = tapEnd(tap, testerAddr, w.config)
			}
		}
	}
	time.Sleep(5 * time.Minute)
	if there {
		always.Close()
	}
	ln.Close()
	servers.Wait()

	for id, s := range dialled {
		checkStreamSides(w, id, s, accepted[id], there, sum)
		delete(accepted, id)
	}
	for id := range accepted {
		t.Errorf("%v: no client has opened the stream %X", w, id)
	}
}

// useStream writes and reads, at the same time, and closes c.
func useStream(w *randomWorld, c *isotpnet.StreamConn, s *streamSide, id, side uint64, rng *rand.Rand, sum *streamCounts) {
	defer c.Close()
	reader := make(chan struct{})
	var readErr error
	go func() {
		defer close(reader)
		buf := make([]byte, 5000)
		for {
			n, err := c.Read(buf)
			s.read = append(s.read, buf[:n]...)
			if err != nil {
				readErr, s.ended = err, time.Now()
				return
			}
		}
	}()
	writeErr := writeRandomly(w, c, s, id, side, rng, sum)
	if writeErr == nil && rng.IntN(8) == 0 {
		s.left = true
		if rng.IntN(2) == 0 {
			c.SetLinger(0)
		}
		c.Close()
		<-reader
		s.finished = false
		return
	}
	if writeErr == nil {
		writeErr = c.CloseWrite()
		s.finished = writeErr == nil
	}
	// No keep-alive takes longer than this.
	const patience = 3 * time.Minute
	c.SetReadDeadline(time.Now().Add(patience))
	<-reader
	s.end = readErr == io.EOF
	if !s.end {
		s.err = readErr
	}
	if writeErr != nil {
		s.err = writeErr
	}
	if errors.Is(readErr, os.ErrDeadlineExceeded) {
		w.t.Errorf("%v: stream %X, side %d: neither the end nor an error in %v (writing: %v)", w, id, side, patience, writeErr)
	}
}

// writeRandomly writes up to six times. Each Write has other bytes, so that those
// that it has not counted must not be read.
func writeRandomly(w *randomWorld, c *isotpnet.StreamConn, s *streamSide, id, side uint64, rng *rand.Rand, sum *streamCounts) error {
	const header = 7 // of a message of a stream
	for k := range uint64(rng.IntN(7)) {
		p := make([]byte, pick(rng, w.cut-header, w.cut-header, 2*(w.cut-header), 1+rng.IntN(2*w.cut)))
		fill(p, id, side<<32|k)
		c.SetWriteDeadline(deadline(rng))
		n, err := c.Write(p)
		s.wrote = append(s.wrote, p[:n]...)
		sum.writes.Add(1)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			sum.late.Add(1)
		case err != nil:
			return err
		case n < len(p):
			w.t.Errorf("%v: Write: %d of %d, nil", w, n, len(p))
		}
		if rng.IntN(4) == 0 {
			time.Sleep(time.Duration(rng.Int64N(int64(20 * time.Millisecond))))
		}
	}
	c.SetWriteDeadline(time.Time{})
	return nil
}

// checkStreamSides checks what the two ends of a stream have read. accepted is nil if
// the server does not know of it.
func checkStreamSides(w *randomWorld, id uint64, dialled, accepted *streamSide, there bool, sum *streamCounts) {
	if accepted == nil {
		if dialled.err == nil && !dialled.left {
			w.t.Errorf("%v: stream %X: the server knows nothing of it, and the client of no error", w, id)
		}
		return
	}
	for _, d := range []struct {
		name     string
		from, to *streamSide
	}{{"client to server", dialled, accepted}, {"server to client", accepted, dialled}} {
		problem := ""
		switch {
		case !bytes.HasPrefix(d.from.wrote, d.to.read):
			problem = fmt.Sprintf("what was read differs from what was written at byte %d", firstDifference(d.from.wrote, d.to.read))
		case d.to.end && len(d.to.read) < len(d.from.wrote):
			problem = "io.EOF came before the end"
		case d.to.end && !d.from.finished && !d.from.left:
			problem = "io.EOF, but the writer has not ended it"
		case d.to.err != nil && d.from.err == nil && !d.from.left && !d.from.end:
			problem = "the writer knows nothing of the error"
		}
		if problem != "" {
			w.t.Errorf("%v\nstream %X, %s: %s: %d bytes written (%v), %d read (%v)", w, id, d.name, problem, len(d.from.wrote), d.from.err, len(d.to.read), d.to.err)
		}
	}
	// The side that knows of a loss tells the other. If that message is lost, the other
	// asks, after 15 s at the latest, and again if the question is lost.
	apart := dialled.ended.Sub(accepted.ended).Abs()
	if there && w.lose < 0.01 && dialled.err != nil && accepted.err != nil && !dialled.end && !accepted.end && apart > 31*time.Second {
		w.t.Errorf("%v: stream %X: one side learned of the error %v after the other: %v; %v", w, id, apart, dialled.err, accepted.err)
	}
	if dialled.end && accepted.end {
		sum.complete.Add(1)
	}
	if dialled.err != nil || accepted.err != nil {
		sum.broken.Add(1)
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
