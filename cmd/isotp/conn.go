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
	Address string        `arg:"" help:"BUS/SEND:LISTEN, as vcan0/7E0:7E8: SEND is the identifier to send on, LISTEN the peer's. More: isotp help addresses."`
	Network string        `default:"isotp" enum:"isotp,isotp:user,isotp:kernel,isotp-stream,isotp-stream:user,isotp-stream:kernel" placeholder:"NET" help:"isotp, isotp:user or isotp:kernel (${default}: the kernel's ISO-TP sockets, where it has them and they can do the job, else the engine of this program)."`
	Timeout time.Duration `placeholder:"TIME" help:"Longest time for each message, as 500ms or 2s, or with --stream for the connection and for each part of it; 0: no limit."`
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
// lost says which messages came and were not received whole, and which lines of a log were
// no frames.
func (f *connFlags) withConn(ctx context.Context, s *streams, j job, functional isotpnet.Addr, do func(*isotpnet.Conn) error) (lost, err error) {
	addr, err := parseAddress(f.Address)
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
		return nil, opening(ctx, err)
	}
	defer closeAfter(ctx, conn)()

	err = do(conn)
	if closeErr := conn.Close(); err == nil {
		err = closeErr
	}
	stats := conn.Stats()
	s.finish(trace, stats, f.Stats)
	return errors.Join(notReceived(stats), log.failed()), interrupted(ctx, err)
}

// notReceived says how many messages were not received whole, and how many frames the bus
// dropped, which may have been those of others.
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
