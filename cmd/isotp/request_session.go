package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"example.com/isotp/isotpnet"
)

// A requester sends requests on a line, one after the other, and prints what comes.
type requester struct {
	line
	cmd   *requestCmd
	s     *streams
	times answerTimes

	requests int   // how many there were
	failures int   // how many of them got no positive answer
	first    error // that of the first of these
}

// defaultP2 is P2 of ISO 14229-2.
const defaultP2 = 50 * time.Millisecond

func newRequester(c *requestCmd, s *streams, l line) *requester {
	times := answerTimes{p2: defaultP2, p2Star: pendingTime, delay: c.DeltaP2, limit: c.Timeout}
	if c.P2 > 0 {
		times.p2 = c.P2
	}
	if c.P2Star > 0 {
		times.p2Star = c.P2Star
	}
	return &requester{line: l, cmd: c, s: s, times: times}
}

// askAll sends requests. The error is that of the first without a positive answer.
func (r *requester) askAll(requests [][]byte) error {
	for _, request := range requests {
		if err := r.ask(request); err != nil {
			return r.failed(err)
		}
	}
	return r.failed(nil)
}

// askLines sends the requests that stand on the lines of the input. A line that is no
// request does not end the session, as there may be people who have typed it.
func (r *requester) askLines(in io.Reader) error {
	err := hexLines(in, func(number int, request []byte, err error) error {
		if err != nil {
			r.requests++
			return r.fail(atLine(number, err))
		}
		return r.ask(request)
	})
	return r.failed(err)
}

// errStop ends a session; the reason was counted.
var errStop = errors.New("stopped")

// ask sends a request and prints what comes. It returns an error if that ends the session.
func (r *requester) ask(request []byte) error {
	r.requests++
	e := &exchange{requester: r, request: request, start: time.Now(), pending: make(map[isotpnet.Addr]int)}
	err := e.do()
	if e.unwritten == nil {
		e.unwritten = e.printEnd(err)
	}
	switch {
	case e.unwritten != nil:
		return e.unwritten
	case err != nil:
		return r.fail(fmt.Errorf("request %s: %w", clipHex(request), err))
	}
	return nil
}

// fail counts a request that got no positive answer, and tells of it at once if there may be
// more. It returns errStop if the session is to end.
func (r *requester) fail(err error) error {
	r.failures++
	if r.first == nil {
		r.first = err
	}
	switch {
	case isotpnet.Final(err), r.cmd.Stop:
		return errStop
	case len(r.cmd.Requests) != 1 && !isNegative(err): // a negative answer was printed
		r.s.warn(err)
	}
	return nil
}

// failed is the error of the session, which err has ended.
func (r *requester) failed(err error) error {
	switch {
	case err != nil && err != errStop:
		return err
	case r.failures == 0 || r.requests == 1:
		return r.first
	}
	return fmt.Errorf("%d of %d requests have failed; the first: %w", r.failures, r.requests, r.first)
}

// keepSession sends TesterPresent, which wants no answer, again and again until stop is
// called.
func (r *requester) keepSession(ctx context.Context, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ticker := time.NewTicker(every)
	var sending sync.WaitGroup
	sending.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := r.send([]byte{0x3E, 0x80}); err != nil && !errors.Is(err, net.ErrClosed) {
				r.s.warn(fmt.Errorf("tester present: %w", err))
			}
		}
	})
	return func() {
		ticker.Stop()
		cancel()
		sending.Wait()
	}
}
