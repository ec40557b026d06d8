package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/isotp/isotpnet"
)

// connFlags are what send and recv have in common.
type connFlags struct {
	Address string        `arg:"" help:"BUS/SEND:LISTEN, as vcan0/7E0:7E8: SEND is the identifier to send on, LISTEN the peer's."`
	Network string        `default:"isotp" placeholder:"NET" help:"isotp, isotp:user or isotp:kernel (${default}: the kernel's, where it has one that can do the job)."`
	Timeout time.Duration `placeholder:"TIME" help:"Longest time for each message, as 500ms or 2s; 0: no limit."`
	Stats   bool          `help:"Print what was counted on standard error at the end."`

	configFlags `embed:""`
}

// check checks what send and recv have in common.
func (f *connFlags) check(stream bool) error {
	if isStream(f.Network) && !stream {
		return fmt.Errorf("--network %s carries connections: it needs --stream", f.Network)
	}
	return checkTimeout(f.Timeout)
}

// withConn dials for a job and calls do, whose calls on the connection end when ctx does.
// lost tells what came and was not received whole, and what of a log could not be read.
func (f *connFlags) withConn(ctx context.Context, s *streams, j job, functional isotpnet.Addr, do func(*isotpnet.Conn) error) (lost, err error) {
	addr, err := isotpnet.ParseAddr(f.Address)
	if err != nil {
		return nil, err
	}
	d := isotpnet.Dialer{Config: f.config(), Functional: functional}
	trace := newTracer(&f.configFlags, &d.Config, s.stderr, addr.Bus())
	if j.receives {
		trace = trace.tellAborts(&f.configFlags, &d.Config, s.stderr, f.Address)
	}
	network, why := networkFor(f.Network, j, kernelLimit())
	if why != "" && d.Config.Logger != nil {
		d.Config.Logger.Debug("isotp: network chosen", "network", network, "why", why)
	}
	log, err := s.openNamedLog(ctx, addr.Bus())
	if err != nil {
		return nil, err
	}
	if log != nil {
		defer log.Close()
		d.Bus, addr = log, addr.WithBus("")
	}
	conn, err := d.DialAddr(ctx, network, addr)
	if err != nil {
		return nil, interrupted(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	err = do(conn)
	if closeErr := conn.Close(); err == nil {
		err = closeErr
	}
	stats := conn.Stats()
	trace.wait(stats)
	if f.Stats {
		printStats(s.stderr, stats)
	}
	return errors.Join(notReceived(stats), log.failed()), interrupted(ctx, err)
}

// notReceived tells of messages that were not received whole, and of frames that may have
// been those of others.
func notReceived(s isotpnet.Stats) error {
	var list []error
	if s.ReceptionsAborted > 0 {
		list = append(list, fmt.Errorf("%s given up before the end", count(s.ReceptionsAborted, "message")))
	}
	if s.BusDropped > 0 {
		list = append(list, fmt.Errorf("%s dropped by the bus", count(s.BusDropped, "received frame")))
	}
	return errors.Join(list...)
}

// interrupted makes an error that a signal has led to errInterrupted.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errInterrupted
	}
	return err
}
