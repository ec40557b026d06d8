package slcan

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// patience is how long an adapter may take to answer a command, and to take
	// the command that closes the channel.
	patience = 200 * time.Millisecond
	// between is how long it takes at most from one answer to the next, as hello asks
	// every patience.
	between = patience + patience/2
	// versionTime is how long an adapter is asked again that answers, and not with its
	// version: across a network that may come later than another answer.
	versionTime = time.Second
	// longPatience is how long an adapter that has told its version may take to tell it
	// again. An answer that comes after that would be taken for that to the next command.
	longPatience = 2 * time.Second
	// quiet is how long an adapter must be silent before its answer counts as complete.
	quiet = 20 * time.Millisecond
)

// said is a line that is no frame, while the adapter is set up.
type said struct {
	text string
	end  byte
}

// isAnswer reports whether the line can be the answer to a command, and whether the adapter
// has obeyed the command.
func (s said) isAnswer() (is, ok bool) { return isAnswer([]byte(s.text), s.end) }

// A reply is an adapter's answer to a command.
type reply struct {
	answered, refused bool
	status            string // the answer to F
}

// setUpWithin calls setUp, and ends it when ctx ends. If it fails, it ends the Bus.
func (b *Bus) setUpWithin(ctx context.Context, o *Options) error {
	interrupt := context.AfterFunc(ctx, b.shutDown)
	err := b.setUp(o)
	if err == nil && interrupt() {
		return nil
	}
	interrupt()
	b.shutDown()
	if ctx.Err() != nil {
		return fmt.Errorf("slcan: open %s: %w", b.name, ctx.Err())
	}
	return err
}

// setUp finds out what the adapter is, sets it up and opens the channel.
func (b *Bus) setUp(o *Options) error {
	if err := b.hello(orDefault(o.Wait, defaultWait)); err != nil {
		return err
	}
	if b.family = o.Family; b.family == "" {
		b.family = familyOf(b.version)
	}
	// First close a channel that is open, and end the modes of another program.
	first := []string{"C"}
	switch b.family {
	case FamilyCANable:
		first = append(first, "M0")
	case FamilyCANable25:
		first = append(first, "MEFS") // report errors, give reasons in answers, send ESI
	}
	for _, command := range first {
		if _, err := b.ask(command); err != nil {
			return err
		}
	}
	for _, set := range []func(*Options) error{b.setBitrate, b.setDataBitrate} {
		if err := set(o); err != nil {
			return err
		}
	}
	b.forget() // frames of a channel that another program has left open
	if err := b.open(o.ListenOnly); err != nil {
		return err
	}
	if b.version != "" && b.family != FamilyCANable && b.family != FamilyCANable25 {
		r, err := b.ask("F")
		if b.hasStatus = r.status != ""; b.hasStatus {
			b.hearStatus(r.status)
		}
		return err
	}
	return nil
}

// hello asks the adapter for its version, until it answers.
func (b *Bus) hello(wait time.Duration) error {
	deadline := time.Now().Add(wait)
	answered := false
	var candidate string // a text that comes twice is the version, whatever it looks like
	for asked := 1; ; asked++ {
		// An end of line alone would have some adapters send their last frame again.
		// The first C ends what stands in the adapter's buffer.
		if err := b.send([]byte("C\rV\r")); err != nil {
			return err
		}
		h, err := b.hearHello(candidate)
		switch {
		case err != nil:
			return err
		case h.version != "":
			b.version = h.version
			return b.settle(asked)
		case h.another != "":
			candidate = h.another
		}
		now := time.Now()
		if h.answered && !answered {
			answered = true
			if enough := now.Add(versionTime); enough.Before(deadline) {
				deadline = enough
			}
		}
		switch {
		case now.Before(deadline):
		case answered:
			return b.hush(asked)
		default:
			b.log.Warn("slcan: the adapter does not answer: it is taken for one that never does; one that needs more time to start needs wait=TIME, 0 asks it once",
				"port", b.name, "wait", wait)
			return nil
		}
	}
}

// A heard is what the adapter has said when it was asked for its version.
type heard struct {
	version  string
	another  string // a text that may be the version
	answered bool   // a command
}

// hearHello listens until the adapter has told its version, for patience at most.
func (b *Bus) hearHello(candidate string) (h heard, err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		s, err := b.listen(timer)
		if err != nil || s == nil {
			return h, err
		}
		if looksLikeVersion(s.text) || s.text != "" && s.text == candidate {
			h.version = s.text
			return h, nil
		}
		if is, _ := s.isAnswer(); is {
			h.answered = true
		} else if _, err := parseLine([]byte(s.text)); err != nil && len(s.text) > 2 {
			h.another = s.text
		}
	}
}

// hush waits for what else the adapter says to hello: that must not be taken for the answer
// to a later command.
func (b *Bus) hush(asked int) error {
	timer := time.NewTimer(between)
	defer timer.Stop()
	for range 100 {
		s, err := b.listen(timer)
		if err != nil || s == nil {
			return err
		}
		if looksLikeVersion(s.text) {
			b.version = s.text
			return b.settle(asked)
		}
		timer.Reset(between)
	}
	return nil
}

// settle waits for the answers to all commands of hello. Some adapters send the answer to
// the command behind the version: settle sets tail then.
func (b *Bus) settle(asked int) error {
	timer := time.NewTimer(between)
	defer timer.Stop()
	for n := 1; n < asked; {
		s, err := b.listen(timer)
		if err != nil || s == nil {
			if err != nil {
				return err
			}
			break
		}
		if s.text == b.version {
			n++
			timer.Reset(between)
		}
	}
	timer.Reset(quiet)
	for range 10 {
		s, err := b.listen(timer)
		if err != nil || s == nil {
			return err
		}
		if is, _ := s.isAnswer(); is {
			b.tail = 1
		}
	}
	return nil
}

// ask sends a command and waits for the answer. If the adapter tells its version, ask also
// asks for that behind the command: when the version comes there will be no answer any more.
func (b *Bus) ask(command string) (r reply, err error) {
	sent := time.Now()
	text, wait := command+"\r", patience
	if b.version != "" {
		text, wait = text+"V\r", longPatience
	}
	if err := b.send([]byte(text)); err != nil {
		return r, err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for tail := -1; tail != 0; {
		s, err := b.listen(timer)
		if err != nil || s == nil {
			return r, err
		}
		is, ok := s.isAnswer()
		switch {
		case tail > 0:
			if is {
				tail--
			}
		case b.version != "" && s.text == b.version:
			b.roundTrip = max(b.roundTrip, time.Since(sent))
			tail = b.tail
		case is:
			r.answered = true
			r.refused = r.refused || !ok
			if b.version == "" {
				return r, nil
			}
		case len(s.text) == 3 && s.text[0] == 'F':
			r.status = s.text[1:]
		}
	}
	return r, nil
}

// listen returns the next line that is no frame; nil once the timer has run out.
func (b *Bus) listen(timer *time.Timer) (*said, error) {
	select { // look at the timer first: a flood of lines would never let it end
	case <-timer.C:
		timer.Reset(0)
		return nil, nil
	default:
	}
	select {
	case s := <-b.said:
		return &s, nil
	case <-timer.C:
		timer.Reset(0)
		return nil, nil
	case <-b.life.Over():
		return nil, b.life.Err()
	}
}

// must calls ask, and returns an error if the adapter refuses the command.
func (b *Bus) must(command, why string) (reply, error) {
	r, err := b.ask(command)
	if err == nil && r.refused {
		err = fmt.Errorf("slcan: the adapter on %s refuses the command %s%s", b.name, command, why)
	}
	return r, err
}

func (b *Bus) setBitrate(o *Options) error {
	if o.Registers != "" {
		if b.family == FamilyCANable {
			return fmt.Errorf("slcan: the adapter on %s (%s) has no timing registers: it ignores the command s", b.name, b.describe())
		}
		_, err := b.must("s"+o.Registers, "")
		return err
	}
	if err := b.checkBitrate(o.Bitrate); err != nil {
		return err
	}
	if o.Bitrate == 750_000 && strings.Contains(b.version, "canable2") {
		b.log.Warn("slcan: CANable 2's own firmware is far from 750000 with the command S7 (about 1400000)", "port", b.name, "version", b.version)
	}
	r, err := b.must(bitrates[o.Bitrate], fmt.Sprintf(" (bit rate %d)", o.Bitrate))
	if err == nil && o.Bitrate == 83_300 && !r.answered && b.family != FamilyCANable && b.family != FamilyCANable25 {
		err = b.unknownRate(o.Bitrate)
	}
	return err
}

// checkBitrate returns an error for a bit rate that the adapter's command would not set.
func (b *Bus) checkBitrate(bitrate int) error {
	var of []string
	switch bitrate {
	case 750_000:
		of = []string{FamilyCANable}
	case 800_000:
		of = []string{FamilyLawicel, FamilyCANable25}
	case 83_300:
		if b.isCANable1() {
			return fmt.Errorf("slcan: the adapter on %s (%s) has no bit rate 83300: it ignores the command S9", b.name, b.describe())
		}
		return nil
	default:
		return nil
	}
	switch {
	case b.family == "":
		return b.unknownRate(bitrate)
	case !slices.Contains(of, b.family):
		other := 750_000 + 800_000 - bitrate
		return fmt.Errorf("slcan: the adapter on %s (%s) has no bit rate %d: its command S7 is %d (family=%s if it is another adapter than it says)", b.name, b.describe(), bitrate, other, of[0])
	}
	return nil
}

func (b *Bus) unknownRate(bitrate int) error {
	return fmt.Errorf("slcan: whether the adapter on %s (%s) has the bit rate %d is not known: adapters mean different ones by the commands S7 and S9; family=%s, family=%s or family=%s tells (S7: 800000, 750000, 800000; S9: 83300 with the last two)",
		b.name, b.describe(), bitrate, FamilyLawicel, FamilyCANable, FamilyCANable25)
}

func (b *Bus) setDataBitrate(o *Options) error {
	if o.DataBitrate == 0 {
		return nil
	}
	command := dataBitrates[o.DataBitrate]
	if b.isCANable1() {
		return fmt.Errorf("slcan: the adapter on %s (%s) has no CAN FD", b.name, b.describe())
	}
	r, err := b.must(command, fmt.Sprintf(" (data bit rate %d)", o.DataBitrate))
	if err == nil && !r.answered && b.family == FamilyCANable && command != "Y2" && command != "Y5" {
		err = fmt.Errorf("slcan: the adapter on %s (%s) has no data bit rate %d (2000000 or 5000000): it ignores the command %s", b.name, b.describe(), o.DataBitrate, command)
	}
	return err
}

// isCANable1 reports whether the adapter is the first CANable, which ignores what it
// does not know.
func (b *Bus) isCANable1() bool {
	return b.family == FamilyCANable && strings.Contains(strings.ToLower(b.version), "canable-fw")
}

// open opens the channel.
func (b *Bus) open(listenOnly bool) error {
	if !listenOnly {
		_, err := b.must("O", "")
		return err
	}
	const why = " (listen only)"
	switch b.family {
	case FamilyLawicel:
		_, err := b.must("L", why)
		return err
	case FamilyCANable, FamilyCANable25:
		if _, err := b.must("M1", why); err != nil {
			return err
		}
		_, err := b.must("O", "")
		return err
	}
	r, err := b.ask("L")
	if err != nil || r.answered && !r.refused {
		return err
	}
	// The adapter does not know L, or it answers nothing. If it knows L the channel is open
	// now, and O does nothing.
	r, err = b.ask("M1")
	if err == nil && r.refused {
		err = fmt.Errorf("slcan: the adapter on %s (%s) refuses the commands L and M1 (listen only)", b.name, b.describe())
	}
	if err != nil {
		return err
	}
	_, err = b.must("O", "")
	return err
}

// describe names the adapter, for errors.
func (b *Bus) describe() string {
	switch {
	case b.version == "":
		return "it does not tell its version"
	case len(b.version) > 60:
		return fmt.Sprintf("version %.60q...", b.version)
	}
	return fmt.Sprintf("version %q", b.version)
}

// looksLikeVersion reports whether a text looks like a version: it begins with V or +, or
// has spaces, as no frame has.
func looksLikeVersion(text string) bool {
	if len(text) < 2 {
		return false
	}
	return text[0] == 'V' || text[0] == 'v' || text[0] == '+' || strings.ContainsAny(text, " \t")
}

// familyOf returns the family of an adapter with that version; "" if it is not known.
func familyOf(version string) string {
	switch lower := strings.ToLower(version); {
	case strings.HasPrefix(version, "+") && strings.Contains(lower, "slcan:"):
		return FamilyCANable25
	case strings.Contains(lower, "canable"), strings.Contains(lower, "cantact"):
		return FamilyCANable
	case len(version) == 5 && version[0]|0x20 == 'v':
		return FamilyLawicel
	}
	return ""
}
