package main

import (
	"bytes"
	"context"
	"encoding/json"
	"expvar"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/isotpnet"
	"example.com/isotp/test/ecutest"
)

// The ECU is asked twice, and does not answer a third time.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ecutest.Serve(t, "virtual:metrics/7E8:7E0", "", "")
		m, err := dial(t.Context(), "virtual:metrics/7E0:7E8")
		if err != nil {
			t.Fatal(err)
		}
		defer m.conn.Close() // ask may return before it has
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if err := ask(ctx, m.conn); err != nil {
			t.Error(err)
		}
		var out bytes.Buffer
		m.write(&out)
		for _, want := range []string{
			"# HELP isotp_messages_sent_total Whole messages sent.\n# TYPE isotp_messages_sent_total counter\nisotp_messages_sent_total 2\n",
			"\nisotp_messages_received_total 2\n",
			"\nisotp_bytes_received_total 40\n",
			"\nisotp_long_messages_total 2\n",
			"\n# TYPE isotp_errors_total counter\n",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, &out)
			}
		}
		var vars struct{ MessagesReceived int }
		if err := json.Unmarshal([]byte(expvar.Func(m.vars).String()), &vars); err != nil || vars.MessagesReceived != 2 {
			t.Errorf("expvar: %+v, %v", vars, err)
		}
	})
}

// The labels are the codes' texts.
func TestErrorsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := dial(t.Context(), "virtual:metrics/7E0:7E8")
		if err != nil {
			t.Fatal(err)
		}
		defer m.conn.Close()
		if _, err := m.conn.Write(make([]byte, 100)); err == nil {
			t.Fatal("a message without flow control is sent")
		}
		var out bytes.Buffer
		m.write(&out)
		if want := "\nisotp_errors_total{code=\"" + isotpnet.CodeTimeoutBs.String() + "\"} 1\n"; !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	})
}
