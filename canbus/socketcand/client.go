package socketcand

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// clientQueue is how many bytes of frames may wait to be written to a client.
	clientQueue = 1 << 20
	// answersQueue is how many bytes more may wait before no more of its commands are read.
	answersQueue = 64 << 10
	// chunkLen is how many bytes are written at once.
	chunkLen = 32 << 10

	unknownCommand = "unknown command"
)

// A client is a client's connection. One goroutine executes the client's commands, and
// another writes answers and frames to it.
type client struct {
	server *Server
	conn   net.Conn
	lex    lexer
	buf    []byte
	rest   []byte

	// raw, late, sent and fences are guarded by shared.mu.
	raw    bool     // it hears frames
	late   bool     // it has held up a bus for too long
	sent   uint64   // how many frames it has sent
	fences []uint64 // for each < echo > without an answer, the value of sent when it came

	// mu guards what follows. changed is signalled when out, dropped, ending or gone has
	// changed.
	mu       sync.Mutex
	changed  sync.Cond
	roomMade func() // called when there is room, if the bus waits for its readers
	out      []byte // to be written
	dropped  uint64 // how many frames were dropped
	told     uint64 // how many of these the client was told of
	unsent   uint64 // how many of its frames were refused
	logged   uint64 // how many of these were logged
	ending   bool   // nothing more is added to out
	gone     bool   // nothing more is written
}

func newClient(s *Server, conn net.Conn) *client {
	c := &client{server: s, conn: conn, buf: make([]byte, 16<<10)}
	c.changed.L = &c.mu
	return c
}

func (c *client) address() string { return c.conn.RemoteAddr().String() }

// serve speaks with a client until the connection ends, and returns why; nil if the client
// has ended it.
func (c *client) serve() error {
	var writing sync.WaitGroup
	writing.Go(c.write)
	defer writing.Wait()
	defer c.finish()
	err := c.speak()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (c *client) speak() error {
	c.say("< hi >")
	c.conn.SetReadDeadline(time.Now().Add(openTime))
	bus, err := c.open()
	if err != nil {
		return err
	}
	defer bus.leave(c)
	c.say("< ok >")
	c.server.info("client has come", "address", c.address(), "bus", bus.name)
	for {
		words, err := c.element()
		if err != nil {
			return errors.Join(bus.err(), err)
		}
		c.execute(bus, words)
	}
}

// open waits for the command to open a bus, and executes it.
func (c *client) open() (*shared, error) {
	for {
		words, err := c.element()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("no bus opened within %v", openTime)
			c.refuse(err.Error())
		}
		if err != nil {
			return nil, err
		}
		if command(words) != "open" || len(words) != 2 {
			c.refuse(unknownCommand)
			continue
		}
		c.conn.SetReadDeadline(time.Time{})
		bus, err := c.join(words[1])
		if err != nil {
			c.refuse("could not open bus")
		}
		return bus, err
	}
}

// join adds the client to a bus.
func (c *client) join(name string) (*shared, error) {
	for {
		bus, err := c.server.share(name)
		if err != nil || bus.join(c) {
			return bus, err
		}
		c.server.forget(bus) // the bus has just ended
	}
}

func (c *client) execute(bus *shared, words []string) {
	switch command(words) {
	case "rawmode":
		bus.listen(c)
	case "echo":
		bus.fence(c)
	case "send", "fdsend":
		f, err := parseSend(words)
		if err == nil {
			err = bus.write(c, f)
		}
		if err != nil {
			c.notSent(err.Error())
		}
	default:
		c.refuse(unknownCommand)
	}
}

func command(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// element returns the words of the next element. It waits until there is room for the
// answers to it.
func (c *client) element() ([]string, error) {
	c.mu.Lock()
	for len(c.out) > clientQueue+answersQueue && !c.gone && !c.ending {
		c.changed.Wait()
	}
	c.mu.Unlock()
	for {
		words, rest, done := c.lex.next(c.rest)
		c.rest = rest
		if done {
			return words, nil
		}
		n, err := c.conn.Read(c.buf)
		if n == 0 && err != nil {
			return nil, err
		}
		c.rest = c.buf[:n]
	}
}

// say queues an element that the client must get.
func (c *client) say(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		c.out = append(c.out, text...)
		c.changed.Broadcast()
	}
}

// refuse answers a command with an error, in words.
func (c *client) refuse(why string) { c.say("< error " + strings.Map(plainText, why) + " >") }

// notSent tells the client that a frame will not be sent. The error has words that no
// client takes for an error frame.
func (c *client) notSent(why string) {
	c.refuse("not sent: " + why)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsent++
}

// plainText replaces characters that would end an element.
func plainText(r rune) rune {
	if r == '<' || r == '>' {
		return '\''
	}
	return r
}

// tell queues a frame for the client, or drops it if there is no room.
func (c *client) tell(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.gone || c.ending:
	case len(c.out)+len(frame) > clientQueue:
		c.dropped++
	default:
		c.out = append(c.out, frame...)
		c.changed.Broadcast()
	}
}

// miss counts frames that the bus has dropped; write tells the client.
func (c *client) miss(frames uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped += frames
	c.changed.Broadcast()
}

// hasRoom reports whether there is room for a batch of frames.
func (c *client) hasRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone || len(c.out) <= clientQueue/2
}

func (c *client) droppedFrames() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped
}

// onRoom sets a function that is called each time when write has made room.
func (c *client) onRoom(call func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.roomMade = call
}

// finish closes the connection when all has been written, after lastWords at the latest.
func (c *client) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ending {
		c.ending = true
		c.conn.SetWriteDeadline(time.Now().Add(lastWords))
		c.changed.Broadcast()
	}
}

// write is the goroutine that writes to the client.
func (c *client) write() {
	defer c.stop()
	var text []byte
	for {
		var more bool
		if text, more = c.next(text); !more {
			return
		}
		for rest := text; len(rest) > 0; {
			n, err := c.conn.Write(rest[:min(len(rest), chunkLen)])
			if err != nil {
				return
			}
			rest = rest[n:]
		}
	}
}

// next waits for text to write, and returns it. It takes the text that was written, whose
// array is used again.
func (c *client) next(written []byte) (text []byte, more bool) {
	c.mu.Lock()
	for len(c.out) == 0 && c.dropped == c.told && !c.ending {
		c.changed.Wait()
	}
	text, c.out = c.out, written[:0]
	dropped, unsent := c.dropped-c.told, c.unsent-c.logged
	c.told, c.logged = c.dropped, c.unsent
	roomMade := c.roomMade
	c.changed.Broadcast()
	c.mu.Unlock()
	if roomMade != nil {
		roomMade()
	}
	if dropped > 0 {
		// The dropped frames would have come behind those in text.
		text = appendDropped(append(text, '\n'), dropped)
		c.server.warn("frames dropped, for a slow client or by the bus", "address", c.address(), "frames", dropped)
	}
	if unsent > 0 {
		c.server.warn("frames of a client not sent", "address", c.address(), "frames", unsent)
	}
	return text, len(text) > 0
}

// stop closes the connection when write ends.
func (c *client) stop() {
	c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone, c.out = true, nil
	c.changed.Broadcast()
}
