package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"example.com/isotp/internal/ecu"
	"example.com/isotp/isotpnet"
)

func TestVIN(t *testing.T) {
	for responses, want := range map[string]string{
		"":                      "VIN WVWZZZ1JZXW000001\n<nil>",
		"22* : 62 F190 41 42":   "VIN AB\n<nil>",
		"22* : 62 F190":         "VIN \n<nil>",
		"22* : 62":              "the ECU answers , which is not the record F190",
		"22* : 62 F1":           "the ECU answers F1, which is not the record F190",
		"22* : 62 F191 41":      "the ECU answers F1 91 41, which is not the record F190",
		"22* : 7F 22 33":        "the ECU refuses service 22: code 33",
		"22* : -":               "the ECU does not answer",
		"22* : 7F2278 | 62F190": "VIN \n<nil>",
	} {
		synctest.Test(t, func(t *testing.T) {
			parsed, err := ecu.ParseResponses(strings.NewReader(responses))
			if err != nil {
				t.Fatal(err)
			}
			ln, err := new(isotpnet.ListenConfig).ListenAddr(t.Context(), "isotp", isotpnet.MustParseAddr("virtual:vin/7E8:7E0"))
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			defer serving.Wait()
			defer ln.Close()
			serving.Go(func() { (&ecu.ECU{VIN: "WVWZZZ1JZXW000001", Responses: parsed}).Serve(ln) })
			var out bytes.Buffer
			err = run(t.Context(), &out, "virtual:vin/7E0:7E8")
			if got := fmt.Sprintf("%s%v", &out, err); got != want {
				t.Errorf("%s: %q, want %q", responses, got, want)
			}
		})
	}
}
