package engine

import "testing"

// A scenario is one row of a conformance table. Its name says what is sent or
// received, what it shows, and where ISO 15765-2:2016 says so.
type scenario struct {
	name   string
	config func(*Config)
	play   func(s *script)
}

func play(t *testing.T, scenarios []scenario) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			sc.play(newScript(t, sc.config))
		})
	}
}
