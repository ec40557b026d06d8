package engine

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// A model does what an engine should do, in the simplest way: it puts messages
// together from the frames that the engine gets, and checks what is read; and it
// cuts messages into frames and checks what is sent. What only time or room can
// tell (a reception was given up, a message refused) it learns from the engine's
// observations, which the conformance tests check.
type model struct {
	t   *testing.T
	e   Engine
	cfg Config
	now Time

	seen []Observation // during the last call

	// Receiving.
	current     *modelMessage
	queue       []*modelMessage
	reading     Reading
	readWaiting bool
	received    int // bytes of all frames

	// Sending.
	message    []byte // being sent
	supplied   int    // how much of it the engine was given
	handed     int    // how much of it is in frames
	sn         uint8
	awaitFC    bool
	granted    bool
	blockSize  int
	left       int // Consecutive Frames; negative: no end
	stmin      time.Duration
	lastCF     uint32 // the number of the newest Consecutive Frame
	cfOut      bool   // that is on its way, and STmin counts
	lastCFEnd  Time   // 0: unknown
	rng        *rand.Rand
	inFlight   []uint32
	nextNumber uint32

	// What is owed: no First Frame goes out before owedUntil, unless it has come.
	lastData  uint32 // the number of the newest frame of a message
	replyFrom Time   // since when its flow control is waited for; 0: it is on its way
	owed      uint32 // the number of the frame that a debt is about
	owedUntil Time   // the least that the engine has to wait
}

type modelMessage struct {
	size              int
	data              []byte
	frameSize         uint8
	sn                uint8
	read              int
	complete, begun   bool
	opened, undecided bool
	fail              Code
}

func newModel(t *testing.T, cfg Config, hasByte bool, seed uint64) *model {
	m := &model{t: t, cfg: cfg, now: start, rng: rand.New(rand.NewPCG(seed, 1))}
	send, listen := tester, ecu
	send.HasByte, listen.HasByte = hasByte, hasByte
	m.e.Init(&m.cfg, send, listen)
	m.e.Observe = func(o Observation) {
		m.seen = append(m.seen, o)
		if o.Kind == SendAborted {
			m.sendAborted(o.Code)
		}
	}
	// So that the numbers of frames wrap within some runs.
	m.e.handed = -(uint32(seed) % 64)
	m.nextNumber = m.e.handed
	return m
}

// settle has the engine do all that is to be done now, and checks that this ends.
func (m *model) settle() {
	m.t.Helper()
	for range 10 {
		m.seen = nil
		m.e.HandleTimeout(m.now)
		m.learn()
		m.poll()
		due, ok := m.e.PollTimeout()
		if !ok || due > m.now {
			m.check()
			return
		}
	}
	due, _ := m.e.PollTimeout()
	m.t.Fatalf("at %d the engine keeps asking to be called at %d", m.now, due)
}

// learn follows a call in which the engine may have given up a reception.
func (m *model) learn() {
	for _, o := range m.seen {
		if o.Kind == ReceptionAborted && m.current != nil {
			m.abort(o.Code)
		}
	}
	m.seen = nil
}

func (m *model) poll() {
	m.t.Helper()
	frames := make([]canbus.Frame, 1+m.rng.IntN(8))
	for range 1000 {
		n := m.e.PollTransmit(m.now, frames)
		if n == 0 {
			return
		}
		for i := range frames[:n] {
			m.transmitted(&frames[i])
		}
		for len(m.inFlight) > 40 {
			m.echo()
		}
	}
	m.t.Fatal("PollTransmit does not come to an end")
}

// transmitted checks a frame that the engine sends.
func (m *model) transmitted(f *canbus.Frame) {
	m.t.Helper()
	m.nextNumber++
	m.inFlight = append(m.inFlight, m.nextNumber)
	if m.cfg.ListenOnly {
		m.t.Fatalf("sent %v though it only listens", f)
	}
	if err := f.Validate(); err != nil {
		m.t.Fatal(err)
	}
	to := &m.e.format.Address
	if !to.Match(f) {
		m.t.Fatalf("sent %v to the wrong address", f)
	}
	var p wire.PDU
	if fault := p.Parse(f, to.Overhead()); fault != wire.OK {
		m.t.Fatalf("sent %v: fault %d", f, fault)
	}
	var want []byte
	switch p.Kind {
	case wire.FlowControl:
		if p.Status == wire.ContinueToSend && m.current == nil {
			m.t.Fatal("sent CTS without a reception")
		}
		return
	case wire.SingleFrame:
		want = m.message
		if m.handed != 0 || int(p.Length) != len(m.message) {
			m.t.Fatalf("sent %v, a Single Frame, for a message of %d bytes", f, len(m.message))
		}
	case wire.FirstFrame:
		want = m.message[:len(p.Data)]
		if m.handed != 0 || int(p.Length) != len(m.message) || int(f.Len) != m.cfg.FrameSize {
			m.t.Fatalf("sent %v, a First Frame, for a message of %d bytes", f, len(m.message))
		}
		m.awaitFC = true
		if m.now < m.owedUntil {
			m.t.Fatalf("sent a First Frame %v too early: a flow control is owed", m.owedUntil.Sub(m.now))
		}
	case wire.ConsecutiveFrame:
		want = m.message[m.handed:min(len(m.message), m.handed+len(p.Data))]
		m.consecutive(&p)
	}
	m.lastData, m.replyFrom = m.nextNumber, 0
	if !bytes.Equal(p.Data[:len(want)], want) || len(want) == 0 {
		m.t.Fatalf("sent %v, want the data % X", f, want)
	}
	m.handed += len(want)
	if m.handed > m.supplied {
		m.t.Fatalf("sent %d bytes of a message of which %d were given", m.handed, m.supplied)
	}
	if m.handed == len(m.message) {
		m.awaitFC = false
	}
}

// consecutive checks a Consecutive Frame's number and moment.
func (m *model) consecutive(p *wire.PDU) {
	m.t.Helper()
	switch {
	case m.handed == 0 || m.awaitFC || m.left == 0:
		m.t.Fatal("sent a Consecutive Frame without CTS")
	case p.SN != m.sn&0xF:
		m.t.Fatalf("sent SN %d, want %d", p.SN, m.sn&0xF)
	case m.cfOut:
		m.t.Fatal("sent a Consecutive Frame with the one before still on its way")
	case m.stmin > 0 && m.lastCFEnd != 0 && m.now < m.lastCFEnd.Add(m.stmin):
		m.t.Fatalf("sent a Consecutive Frame %v after the one before, STmin is %v", m.now.Sub(m.lastCFEnd), m.stmin)
	}
	m.sn++
	m.lastCF, m.lastCFEnd, m.cfOut = m.nextNumber, 0, m.stmin > 0
	if m.left > 0 {
		if m.left--; m.left == 0 {
			m.awaitFC = true
		}
	}
}

func (m *model) echo() {
	if len(m.inFlight) == 0 {
		return
	}
	n := m.inFlight[0]
	m.inFlight = m.inFlight[1:]
	m.seen = nil
	m.e.HandleTransmitted(m.now, n, n)
	m.learn()
	if n == m.lastData {
		m.replyFrom = m.now
	}
	if n == m.owed && m.now < m.owedUntil {
		m.owedUntil = m.now.Add(m.cfg.NBs)
	}
	if m.cfOut && n == m.lastCF {
		m.cfOut, m.lastCFEnd = false, m.now
	}
}

// send begins a message unless one is being sent.
func (m *model) send(n, given int) {
	if m.e.Sending() {
		return
	}
	m.message = make([]byte, n)
	for i := range m.message {
		m.message[i] = byte(m.rng.Uint32())
	}
	m.supplied = min(given, n)
	m.handed, m.sn, m.left = 0, 1, 0
	m.awaitFC, m.granted = false, false
	m.cfOut, m.lastCFEnd, m.stmin = false, 0, 0
	m.e.Send(m.now, uint32(n), m.message[:m.supplied:m.supplied])
}

func (m *model) supply(n int) {
	rest := m.message[m.supplied:]
	p := rest[:min(n, len(rest))]
	if m.e.Supply(p) {
		m.supplied += len(p)
	}
}

// sendAborted follows the end of a message that was not sent. Whatever the reason, the
// flow control that it waited for may still come, but for those that it was, and for
// N_Bs.
func (m *model) sendAborted(why Code) {
	if !m.awaitFC || why == BufferOverflow || why == InvalidFS {
		return
	}
	m.owed, m.owedUntil = m.lastData, m.now.Add(m.cfg.NBs)
	if m.replyFrom != 0 && why != WaitRefused && why != WaitOverrun {
		m.owedUntil = m.replyFrom.Add(m.cfg.NBs)
	}
}

// payment follows a flow control that the engine gets, and that answers no message
// being sent.
func (m *model) payment(p *wire.PDU) {
	switch {
	case m.now >= m.owedUntil:
	case p.Status == wire.Wait:
		m.owedUntil = m.now.Add(m.cfg.NBs)
	default:
		m.owedUntil = 0
	}
}

// flowControl follows a flow control that the engine gets.
func (m *model) flowControl(p *wire.PDU) {
	if p.Status == wire.Wait && m.awaitFC {
		m.replyFrom = m.now
	}
	if !m.e.Sending() || !m.awaitFC || p.Status != wire.ContinueToSend {
		return
	}
	if !m.granted || !m.cfg.FirstFlowControl {
		m.granted = true
		m.blockSize = int(p.BlockSize)
		m.stmin = m.cfg.OverrideSTmin
		if m.stmin < 0 {
			m.stmin = wire.DecodeSTmin(p.STmin)
		}
	}
	m.left = m.blockSize
	if m.left == 0 {
		m.left = -1
	}
	m.awaitFC = false
}

// frame gives the engine a frame and follows it.
func (m *model) frame(f *canbus.Frame, functional bool) {
	m.t.Helper()
	m.received += len(f.Payload())
	var p wire.PDU
	fault := p.Parse(f, m.e.listen)
	sending, awaited := m.e.Sending(), m.awaitFC && m.e.Sending()
	m.seen = nil
	m.e.HandleFrames(m.now, []canbus.Frame{*f}, functional)
	seen := m.seen
	m.seen = nil
	has := func(kind ObservationKind) bool {
		return slices.ContainsFunc(seen, func(o Observation) bool { return o.Kind == kind })
	}
	last := func() Observation {
		if len(seen) == 0 {
			return Observation{}
		}
		return seen[len(seen)-1]
	}
	switch {
	case fault != wire.OK, functional && p.Kind != wire.SingleFrame:
		if len(seen) != 1 || seen[0].Kind != FrameIgnored {
			m.t.Fatalf("%v should be ignored, but %+v", f, seen)
		}
	case p.Kind == wire.FlowControl:
		if !awaited && !m.cfg.ListenOnly {
			m.payment(&p)
		}
		if sending && m.e.Sending() {
			m.flowControl(&p)
		}
	case p.Kind == wire.SingleFrame:
		if !functional && m.current != nil {
			m.abort(InterruptedBySingleFrame)
		}
		if last().Kind == ReceptionAborted {
			m.loss(ReceiverFull)
			return
		}
		if !has(MessageReceived) {
			m.t.Fatalf("Single Frame %v was not taken: %+v", f, seen)
		}
		m.queue = append(m.queue, &modelMessage{size: len(p.Data), data: slices.Clone(p.Data), complete: true})
	case p.Kind == wire.FirstFrame:
		if m.current != nil {
			m.abort(InterruptedByFirstFrame)
		}
		if !has(MessageStarted) {
			if m.cfg.ListenOnly && last().Code == ReceiverFull {
				m.loss(ReceiverFull)
			} else if last().Kind == ReceptionAborted {
				m.report(last().Code)
			}
			return
		}
		m.current = &modelMessage{
			size: int(p.Length), data: slices.Clone(p.Data), frameSize: f.Len, sn: 1,
			undecided: p.Length > m.cfg.MaxMessageSize && m.reading == ReadUndecided,
		}
		if m.reading == ReadStreams {
			m.queue = append(m.queue, m.current)
		}
	case p.Kind == wire.ConsecutiveFrame:
		m.takeConsecutive(f, &p, seen)
	}
}

func (m *model) takeConsecutive(f *canbus.Frame, p *wire.PDU, seen []Observation) {
	m.t.Helper()
	c := m.current
	ignored := len(seen) == 1 && seen[0].Kind == FrameIgnored
	full := len(seen) == 1 && seen[0].Kind == ReceptionAborted && seen[0].Code == ReceiverFull
	switch {
	case c == nil || c.undecided,
		f.Len > c.frameSize,
		f.Len < c.frameSize && len(p.Data) < c.size-len(c.data):
		if !ignored {
			m.t.Fatalf("%v should be ignored, but %+v", f, seen)
		}
	case p.SN != c.sn&0xF:
		if len(seen) != 1 || seen[0].Code != WrongSN {
			m.t.Fatalf("%v has the wrong SN, but %+v", f, seen)
		}
		m.abort(WrongSN)
	case full:
		begun := c.begun
		m.abort(ReceiverFull)
		if !begun {
			m.loss(ReceiverFull)
		}
	default:
		if ignored {
			m.t.Fatalf("%v was ignored", f)
		}
		c.data = append(c.data, p.Data[:min(len(p.Data), c.size-len(c.data))]...)
		c.sn++
		if len(c.data) < c.size {
			return
		}
		if len(seen) != 1 || seen[0].Kind != MessageReceived || int(seen[0].Size) != c.size {
			m.t.Fatalf("a message of %d bytes is complete, but %+v", c.size, seen)
		}
		c.complete = true
		m.current = nil
		if !c.opened && !slices.Contains(m.queue, c) {
			m.queue = append(m.queue, c)
		}
	}
}

// abort: the reception was given up.
func (m *model) abort(why Code) {
	c := m.current
	m.current = nil
	if c.begun {
		c.fail = why
		return
	}
	m.remove(c)
	m.report(why)
}

// report tells a read that waits that its message will not come.
func (m *model) report(why Code) {
	if m.cfg.ReportAborted && m.readWaiting {
		m.readWaiting = false
		m.loss(why)
	}
}

func (m *model) remove(c *modelMessage) {
	m.queue = slices.DeleteFunc(m.queue, func(x *modelMessage) bool { return x == c })
}

func (m *model) loss(why Code) {
	if n := len(m.queue); n > 0 && m.queue[n-1].size == 0 && m.queue[n-1].fail == why {
		return
	}
	m.queue = append(m.queue, &modelMessage{fail: why})
}

// read reads up to n bytes and checks that they are those received.
func (m *model) read(n int) {
	m.t.Helper()
	p := make([]byte, n)
	n, info, ok := m.e.Read(p)
	m.readWaiting = !ok
	if len(m.queue) == 0 {
		if ok {
			m.t.Fatalf("read %d bytes, code %d, with nothing to read", n, info.Why)
		}
		return
	}
	c := m.queue[0]
	unread := c.data[c.read:]
	switch {
	case !ok:
		if len(unread) == 0 && c.fail == OK || len(p) == 0 && len(unread) > 0 {
			return
		}
		if c.complete || c.begun || c.fail != OK {
			m.t.Fatalf("nothing was read with %d bytes there", len(unread))
		}
	case info.Why != OK:
		if len(unread) > 0 || c.fail != info.Why || n != 0 || !info.End {
			m.t.Fatalf("read says code %d, want code %d after %d bytes", info.Why, c.fail, len(unread))
		}
		m.queue = m.queue[1:]
	default:
		want := unread[:min(len(p), len(unread))]
		if !bytes.Equal(p[:n], want) {
			m.t.Fatalf("read % X, want % X", p[:n], want)
		}
		c.begun = true
		c.read += n
		if int(info.Size) != c.size || info.Rest != len(unread)-n {
			m.t.Fatalf("info is %+v of a message of %d bytes with %d left", info, c.size, len(unread)-n)
		}
		if wantEnd := c.complete && c.read == c.size; info.End != wantEnd {
			m.t.Fatalf("end is %v, want %v", info.End, wantEnd)
		}
		if info.End {
			m.queue = m.queue[1:]
		}
	}
}

func (m *model) open() {
	m.t.Helper()
	if len(m.queue) > 0 && m.queue[0].opened {
		m.queue = m.queue[1:]
	}
	info, ok := m.e.Open()
	m.readWaiting = !ok
	if len(m.queue) == 0 {
		if ok {
			m.t.Fatalf("opened %+v, with nothing there", info)
		}
		return
	}
	c := m.queue[0]
	if !ok {
		m.t.Fatalf("nothing was opened with a message of %d bytes there", c.size)
	}
	if c.size == 0 {
		if info.Why != c.fail {
			m.t.Fatalf("Open says code %d, want %d", info.Why, c.fail)
		}
		m.queue = m.queue[1:]
		return
	}
	if info.Why != OK || int(info.Size) != c.size || info.Rest != len(c.data)-c.read {
		m.t.Fatalf("opened %+v, want %d bytes with %d there", info, c.size, len(c.data)-c.read)
	}
	c.begun, c.opened = true, true
}

func (m *model) setReading(how Reading) {
	if how == m.reading {
		return
	}
	m.reading = how
	m.seen = nil
	m.e.SetReading(m.now, how)
	if c := m.current; c != nil && how == ReadStreams {
		c.undecided = false
		if !c.opened && !slices.Contains(m.queue, c) { // opened and not there: skipped
			m.queue = append(m.queue, c)
		}
	}
	m.learn()
}

// check compares what the engine holds with what it may hold.
func (m *model) check() {
	m.t.Helper()
	q := &m.e.queue
	level, singles, held := 0, 0, 0
	for _, x := range q.items[q.head:] {
		if x.complete {
			level += x.cost()
			if x.single {
				singles += x.cost()
			}
		}
		held += x.unread()
	}
	if level != q.level || singles != q.singles {
		m.t.Fatalf("the queue counts %d, %d of them of Single Frames; it holds %d, %d", q.level, q.singles, level, singles)
	}
	rx := &m.e.rx
	if rx.state != receiveIdle {
		if !rx.msg.queued {
			held += rx.msg.unread()
		}
		most := int(m.cfg.MaxMessageSize)
		if rx.msg.streamed || rx.undecided {
			most = max(2*m.cfg.Window, 64)
		}
		if n := rx.msg.unread(); n > most {
			m.t.Fatalf("a reception holds %d bytes, at most %d are right", n, most)
		}
	}
	if held > m.received {
		m.t.Fatalf("%d bytes are held of %d received", held, m.received)
	}
	if q.singles > m.cfg.HardLimit {
		m.t.Fatalf("Single Frames hold %d, at most %d are right", q.singles, m.cfg.HardLimit)
	}
	if most := m.cfg.HardLimit + max(int(m.cfg.MaxMessageSize), 2*m.cfg.Window) + overhead; q.level-q.singles > most {
		m.t.Fatalf("the queue holds %d, at most %d are right", q.level, most)
	}
	if n := len(q.items) - q.head; n != len(m.queue) {
		m.t.Fatalf("the queue has %d messages, want %d", n, len(m.queue))
	}
}
