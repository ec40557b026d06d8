package api

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"example.com/isotp/canbus"
	"example.com/isotp/isotpnet"
)

// addressesDocument has pictures: the frames that a request and its answer make with an
// address, below a line such as "can0/7E0:7E8 asks can0/7E8:7E0".
const addressesDocument = root + "/docs/addresses.md"

var (
	pictureBlock = regexp.MustCompile("(?s)```frames\n(.*?)```")
	pictureTitle = regexp.MustCompile(`^(\S+) (asks|tells) (\S+)( on CAN FD)?( without padding)?\n`)
	pictureFrame = regexp.MustCompile(`(?m)^  ([0-9A-F]{3}|[0-9A-F]{8})  ([0-9A-F]{2}(?: [0-9A-F]{2})*)(?:   .*)?$`)
)

func TestPicturesShowTheFrames(t *testing.T) {
	text, err := os.ReadFile(addressesDocument)
	if err != nil {
		t.Fatal(err)
	}
	blocks := pictureBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 10 {
		t.Fatalf("%d pictures", len(blocks))
	}
	for _, block := range blocks {
		title := pictureTitle.FindStringSubmatch(block[1])
		if title == nil {
			t.Errorf("no title: %s", block[1])
			continue
		}
		t.Run(strings.TrimSpace(title[0]), func(t *testing.T) {
			p := picture{t: t, tester: title[1], asks: title[2] == "asks", ecu: title[3]}
			p.config.FD = title[4] != ""
			if title[5] != "" {
				p.config.Padding = isotpnet.NoPadding()
			}
			var shown []string
			for _, f := range pictureFrame.FindAllStringSubmatch(block[1], -1) {
				shown = append(shown, f[1]+"  "+f[2])
			}
			if lines := strings.Count(block[1], "\n") - 1; lines != len(shown) {
				t.Errorf("%d lines, of which %d show frames", lines, len(shown))
			}
			if want := strings.Join(p.frames(), "\n"); strings.Join(shown, "\n") != want {
				t.Errorf("the frames are\n%s", want)
			}
		})
	}
}

// A picture is a tester that asks an ECU, or tells it something that has no answer.
type picture struct {
	t           *testing.T
	tester, ecu string // their addresses, on any bus
	asks        bool
	config      isotpnet.Config
}

const pictureBus = "virtual:pictures"

// frames returns the frames of the exchange, in the text of a picture.
func (p *picture) frames() []string {
	ctx := p.t.Context()
	bus, err := canbus.Open(ctx, pictureBus)
	p.fail(err)
	defer bus.Close()
	stop := p.startECU(ctx)
	p.ask(ctx)
	stop()

	other, err := canbus.Open(ctx, pictureBus)
	p.fail(err)
	defer other.Close()
	end := canbus.Frame{ID: 0x7FF}
	_, err = other.WriteFrames([]canbus.Frame{end})
	p.fail(err)
	var frames []string
	for {
		var f [1]canbus.Frame
		_, err := bus.ReadFrames(f[:])
		p.fail(err)
		if f[0].ID == end.ID {
			return frames
		}
		id, _, _ := strings.Cut(f[0].String(), "#")
		frames = append(frames, fmt.Sprintf("%s  % X", id, f[0].Payload()))
	}
}

func (p *picture) fail(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

const pictureVIN = "WVWZZZ1JZ3W386752"

// answers are those of UDS and of OBD-II to the request for the VIN; TesterPresent wants
// none.
var answers = map[string]string{
	"\x22\xF1\x90": "\x62\xF1\x90" + pictureVIN,
	"\x09\x02":     "\x49\x02\x01" + pictureVIN,
}

// startECU starts an ECU that answers one request; stop waits until it has done so.
func (p *picture) startECU(ctx context.Context) (stop func()) {
	addrs, err := isotpnet.ParseAddrs(p.ecu)
	p.fail(err)
	for i := range addrs {
		addrs[i] = addrs[i].WithBus(pictureBus)
	}
	ln, err := (&isotpnet.ListenConfig{Config: p.config}).ListenAddr(ctx, "isotp", addrs...)
	p.fail(err)
	done := make(chan error, 1)
	go func() { done <- answerOne(ln) }()
	return func() {
		p.fail(<-done)
		ln.Close()
	}
}

func answerOne(ln *isotpnet.Listener) error {
	c, err := ln.AcceptConn()
	if err != nil {
		return err
	}
	defer c.Close()
	request := make([]byte, 8)
	n, err := c.Read(request)
	if answer := answers[string(request[:n])]; err == nil && answer != "" {
		_, err = c.Write([]byte(answer))
	}
	return err
}

// ask sends the tester's request, and reads the answer.
func (p *picture) ask(ctx context.Context) {
	addr := isotpnet.MustParseAddr(p.tester).WithBus(pictureBus)
	buf := make([]byte, 100)
	if addr.Kind() == isotpnet.KindOBD {
		c, err := (&isotpnet.ListenConfig{Config: p.config}).ListenPacketAddr(ctx, "isotp", addr)
		p.fail(err)
		defer c.Close()
		_, err = c.WriteTo([]byte("\x09\x02"), addr)
		p.fail(err)
		_, _, err = c.ReadFrom(buf)
		p.fail(err)
		return
	}
	c, err := (&isotpnet.Dialer{Config: p.config}).DialAddr(ctx, "isotp", addr)
	p.fail(err)
	defer c.Close()
	request := "\x3E\x80"
	if p.asks {
		request = "\x22\xF1\x90"
	}
	_, err = c.Write([]byte(request))
	p.fail(err)
	if p.asks {
		_, err = c.Read(buf)
		p.fail(err)
	}
}
