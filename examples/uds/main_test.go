package main

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"

	"example.com/isotp/test/ecutest"
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
			ecutest.Serve(t, "virtual:vin/7E8:7E0", "", responses)
			var out bytes.Buffer
			err := run(t.Context(), &out, "virtual:vin/7E0:7E8")
			if got := fmt.Sprintf("%s%v", &out, err); got != want {
				t.Errorf("%s: %q, want %q", responses, got, want)
			}
		})
	}
}
