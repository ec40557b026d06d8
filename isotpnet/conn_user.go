package isotpnet

import (
	"io"
	"time"

	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/mux"
)

// A userConn is a backend: an endpoint of the engine on a bus.
type userConn struct {
	endpoint   *mux.Endpoint
	functional *mux.Endpoint // to Dialer.Functional; nil if there is none
	release    func() error  // of the bus; later callers get the first one's error

	sendOnly, listenOnly bool
}

var _ backend = (*userConn)(nil)

func (u *userConn) name() string { return backendUser }

func (u *userConn) send(p []byte, size int, functional bool) (int, error) {
	ep, single := u.endpoint, u.sendOnly
	if functional && !u.sendOnly {
		// Its N_AI is another one, so it does not wait for messages to the peer.
		ep, single = u.functional, true
	}
	switch {
	case u.listenOnly:
		return 0, ErrListenOnly
	case ep == nil:
		return 0, ErrNoFunctional
	case single && len(p) > ep.Format().MaxSingle():
		return 0, &MessageTooLongError{int64(len(p)), int64(ep.Format().MaxSingle()), limitSingle}
	}
	n, err := ep.SendSplit(p, size)
	return n, protocolError(err)
}

func (u *userConn) sendFrom(r io.Reader, size int64) error {
	format := u.endpoint.Format()
	switch {
	case u.listenOnly:
		return ErrListenOnly
	case u.sendOnly && size > int64(format.MaxSingle()):
		return &MessageTooLongError{size, int64(format.MaxSingle()), limitSingle}
	}
	return protocolError(u.endpoint.SendFrom(r, uint32(size)))
}

func (u *userConn) read(p []byte, stream bool) (n int, end bool, err error) {
	how := engine.ReadMessages
	if stream {
		how = engine.ReadStreams
	}
	n, info, err := u.receive(p, how)
	return n, info.End, err
}

func (u *userConn) readMessage(p []byte) (n int, info MessageInfo, end bool, err error) {
	n, i, err := u.receive(p, engine.ReadMessages)
	if err != nil {
		return n, MessageInfo{}, i.End, err
	}
	return n, newMessageInfo(u.endpoint, &i), i.End, nil
}

func (u *userConn) receive(p []byte, how engine.Reading) (n int, info engine.Info, err error) {
	if u.sendOnly {
		return 0, engine.Info{}, ErrSendOnly
	}
	n, info, err = u.endpoint.Receive(p, how)
	return n, info, protocolError(err)
}

func (u *userConn) open() (MessageInfo, error) {
	if u.sendOnly {
		return MessageInfo{}, ErrSendOnly
	}
	info, err := u.endpoint.Open()
	if err != nil {
		return MessageInfo{}, protocolError(err)
	}
	return newMessageInfo(u.endpoint, &info), nil
}

func (u *userConn) await() (MessageInfo, error) {
	if u.sendOnly {
		return MessageInfo{}, ErrSendOnly
	}
	info, err := u.endpoint.Await()
	if err != nil {
		return MessageInfo{}, protocolError(err)
	}
	return newMessageInfo(u.endpoint, &info), nil
}

func (u *userConn) discard() (int, error) { return u.endpoint.Drain() }

func (u *userConn) progress() (received, sent Progress) {
	r, s := u.endpoint.Progress()
	return Progress{int64(r.Done), int64(r.Size)}, Progress{int64(s.Done), int64(s.Size)}
}

func newMessageInfo(ep *mux.Endpoint, i *engine.Info) MessageInfo {
	info := MessageInfo{
		Size:       int64(i.Size),
		Rest:       i.Rest,
		Functional: i.Functional,
		First:      ep.Time(i.FrameFirst),
	}
	if i.Last != 0 {
		info.Last = ep.Time(i.FrameLast)
	}
	return info
}

func (u *userConn) setReadDeadline(t time.Time) error  { return u.endpoint.SetReadDeadline(t) }
func (u *userConn) setWriteDeadline(t time.Time) error { return u.endpoint.SetWriteDeadline(t) }

func (u *userConn) stats() Stats {
	s := u.endpoint.Stats()
	if u.functional != nil {
		f := u.functional.Stats()
		s.Add(&f)
	}
	stats := newStats(s)
	stats.BusDropped = u.endpoint.Dropped()
	return stats
}

func (u *userConn) close() error {
	if u.functional != nil {
		u.functional.Close()
	}
	first := u.endpoint.Close()
	err := u.release()
	if !first {
		return nil
	}
	return err
}

// closeEmpty is close if there is nothing to read and no message on its way. It
// reports whether it has closed the connection.
func (u *userConn) closeEmpty() bool {
	if u.endpoint.CloseEmpty() {
		u.release()
		return true
	}
	return false
}
