// Metrics shows how a connection does: as expvar has it, and as Prometheus reads it. It asks an
// ECU for its VIN every second.
//
//	go run ./examples/metrics can0/7E0:7E8
//
// Without hardware there is a simulated ECU; both are on a bus of multicast datagrams if they are
// not told another:
//
//	go run ./cmd/isotp ecu udp:239.74.163.2:43113/7E8:7E0    (in another terminal)
//	go run ./examples/metrics                                (in another)
//	curl http://127.0.0.1:9107/metrics http://127.0.0.1:9107/debug/vars
package main

import (
	"context"
	"expvar"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"time"

	_ "example.com/isotp/canbus/all" // the user names the bus
	"example.com/isotp/isotpnet"
)

// Metrics are what a connection has done. Most of it is in its Stats; a Trace adds what they
// do not count.
type metrics struct {
	conn *isotpnet.Conn
	long atomic.Int64 // messages received that had a First Frame
}

// trace returns what a Config needs to have all counted.
func (m *metrics) trace() *isotpnet.Trace {
	return &isotpnet.Trace{
		MessageStarted: func(isotpnet.TraceEvent) { m.long.Add(1) },
	}
}

// A counter is one number, under Prometheus' name.
type counter struct {
	name, help string
	value      uint64
}

func (m *metrics) counters() []counter {
	s := m.conn.Stats()
	return []counter{
		{"isotp_frames_sent_total", "CAN frames sent.", s.FramesSent},
		{"isotp_frames_received_total", "CAN frames received.", s.FramesReceived},
		{"isotp_messages_sent_total", "Whole messages sent.", s.MessagesSent},
		{"isotp_messages_received_total", "Whole messages received.", s.MessagesReceived},
		{"isotp_bytes_sent_total", "Bytes of messages sent.", s.BytesSent},
		{"isotp_bytes_received_total", "Bytes of messages received.", s.BytesReceived},
		{"isotp_sends_aborted_total", "Messages that were sent in part.", s.SendsAborted},
		{"isotp_receptions_aborted_total", "Messages that were received in part.", s.ReceptionsAborted},
		{"isotp_wait_frames_total", "Times that the peer has asked to wait.", s.WaitFramesReceived},
		{"isotp_bus_dropped_total", "Frames that the bus has dropped.", s.BusDropped},
		{"isotp_long_messages_total", "Messages that have begun with a First Frame.", uint64(m.long.Load())},
	}
}

// ServeHTTP writes all counters as Prometheus reads them (text format 0.0.4).
func (m *metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	m.write(w)
}

func (m *metrics) write(w io.Writer) {
	for _, c := range m.counters() {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s counter\n%s %d\n", c.name, c.help, c.name, c.name, c.value)
	}
	const errors = "isotp_errors_total"
	fmt.Fprintf(w, "# HELP %s Errors of the protocol, by code.\n# TYPE %s counter\n", errors, errors)
	occurred := m.conn.Stats().Errors
	for _, code := range slices.Sorted(maps.Keys(occurred)) {
		fmt.Fprintf(w, "%s{code=%q} %d\n", errors, code, occurred[code])
	}
}

// vars returns what expvar shows.
func (m *metrics) vars() any { return m.conn.Stats() }

// ask asks for the VIN until ctx ends or the bus is lost.
func ask(ctx context.Context, c *isotpnet.Conn) error {
	defer context.AfterFunc(ctx, func() { c.Close() })()
	answer := make([]byte, 4095)
	for {
		c.SetDeadline(time.Now().Add(time.Second))
		_, err := c.Write([]byte{0x22, 0xF1, 0x90})
		if err == nil {
			_, err = c.Read(answer)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case isotpnet.Final(err):
			return err
		case err != nil:
			log.Print(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// dial returns a connection that is counted.
func dial(ctx context.Context, address string) (*metrics, error) {
	m := new(metrics)
	d := isotpnet.Dialer{Config: isotpnet.Config{Trace: m.trace()}}
	c, err := d.DialContext(ctx, "isotp", address)
	if err != nil {
		return nil, err
	}
	m.conn = c.(*isotpnet.Conn)
	return m, nil
}

func main() {
	address := "udp:239.74.163.2:43113/7E0:7E8"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	m, err := dial(ctx, address)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/metrics", m)
	expvar.Publish("isotp", expvar.Func(m.vars)) // at /debug/vars
	go func() { log.Fatal(http.ListenAndServe("127.0.0.1:9107", nil)) }()
	if err := ask(ctx, m.conn); err != nil {
		log.Fatal(err)
	}
}
