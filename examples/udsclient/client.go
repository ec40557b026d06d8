// Package udsclient asks an ECU over UDS (ISO 14229), one request at a time. It outlives
// what ECUs do: late answers, answers that are cut short, and "response pending" for ever.
// It is a sample: copy it, and change it to what you need.
package udsclient

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"example.com/isotp/isotpnet"
)

const (
	positive         = 0x40 // added to the service by a positive response
	negativeResponse = 0x7F
	responsePending  = 0x78
)

// A Client asks one ECU. Its fields are set before the first request.
type Client struct {
	// P2 is how long an answer may take to begin, and P2Star the same after the ECU has
	// said that its answer is pending. ISO 14229-2 has 50 ms and 5 s.
	P2, P2Star time.Duration
	// Patience is for sending a request, and for all of its answer, however often the ECU says
	// that it is pending.
	Patience time.Duration

	conn   *isotpnet.Conn
	answer []byte
}

// Dial returns a Client of the ECU at an address, as "can0/7E0:7E8".
func Dial(ctx context.Context, address string) (*Client, error) {
	// A time-out is one for the answer to begin, however long it is.
	d := isotpnet.Dialer{Config: isotpnet.Config{DeadlineAtFirstFrame: true}}
	c, err := d.DialContext(ctx, "isotp", address)
	if err != nil {
		return nil, err
	}
	return New(c.(*isotpnet.Conn)), nil
}

// New returns a Client over a connection.
func New(conn *isotpnet.Conn) *Client {
	return &Client{
		P2: time.Second, P2Star: 5 * time.Second, Patience: 30 * time.Second,
		conn: conn, answer: make([]byte, 4095),
	}
}

// Close closes the connection.
func (c *Client) Close() error { return c.conn.Close() }

// A NegativeResponse is an ECU's refusal.
type NegativeResponse struct {
	Service, Code byte
}

func (e *NegativeResponse) Error() string {
	return fmt.Sprintf("the ECU refuses service %02X: code %02X", e.Service, e.Code)
}

// Request sends a request, its service first, and returns what follows the service in the
// positive response, until the next call. The error is a *NegativeResponse if the ECU
// refuses, os.ErrDeadlineExceeded if it does not answer in time, and that of ctx if it ends first.
//
// The caller compares what the answer repeats of the request, as an identifier or a block's
// number: an answer of the same service that comes late enough looks like the next one's.
func (c *Client) Request(ctx context.Context, request ...byte) ([]byte, error) {
	if len(request) == 0 {
		return nil, errors.New("a request needs a service")
	}
	if _, err := c.conn.Drain(); err != nil { // answers that came too late for the request before
		return nil, err
	}
	c.conn.SetWriteDeadline(time.Now().Add(c.Patience)) // the ECU may put it off with WAITs
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		c.conn.SetDeadline(time.Unix(0, 1)) // long ago
		close(interrupted)
	})
	answer, err := c.exchange(ctx, request)
	if !stop() {
		<-interrupted // else it could be the next request that it interrupts
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = context.Cause(ctx)
		}
	}
	return answer, err
}

func (c *Client) exchange(ctx context.Context, request []byte) ([]byte, error) {
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	end := time.Now().Add(c.Patience)
	for wait := c.P2; ; {
		answer, err := c.read(ctx, time.Now().Add(wait), end)
		switch {
		case err != nil:
			return nil, err
		case len(answer) > 0 && answer[0] == request[0]+positive:
			return answer[1:], nil
		case len(answer) == 3 && answer[0] == negativeResponse && answer[1] == request[0]:
			if answer[2] != responsePending {
				return nil, &NegativeResponse{answer[1], answer[2]}
			}
			wait = c.P2Star
		} // else it answers another request
	}
}

// read returns the next answer, if it begins before both times.
func (c *Client) read(ctx context.Context, begin, end time.Time) ([]byte, error) {
	if end.Before(begin) {
		begin = end
	}
	c.conn.SetReadDeadline(begin)
	if err := ctx.Err(); err != nil { // it may have ended before the deadline was set
		return nil, os.ErrDeadlineExceeded
	}
	n, info, err := c.conn.ReadMessage(c.answer)
	if err == nil && info.Rest > 0 {
		return nil, fmt.Errorf("the ECU answers with %d bytes, more than %d", info.Size, len(c.answer))
	}
	return c.answer[:n], err
}
