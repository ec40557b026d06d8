package scan

import (
	"fmt"
	"strings"
	"testing"
)

// text is the addresses of targets: all, or the first two and the last.
func text(t Targets) string {
	var list []string
	for i := range t.Len() {
		if i < 2 || i == t.Len()-1 {
			list = append(list, t.At(i).String())
		}
	}
	return fmt.Sprintf("%d: %s", t.Len(), strings.Join(list, " "))
}

func TestTargets(t *testing.T) {
	fixed := func(s string) (Targets, error) { return ParseFixed(s, 0xF1) }
	mixed := func(s string) (Targets, error) { return ParseMixed(s, 0xF1) }
	for _, c := range []struct {
		parse      func(string) (Targets, error)
		text, want string
	}{
		{ParseIDs, "000-7FF", "2048: 000 001 7FF"},
		{ParseIDs, "7e0", "1: 7E0"},
		{ParseIDs, "7E0, 7DF,18DA00F1-18DA01F0", "258: 7E0 7DF 18DA01F0"},
		{ParseIDs, "00000000-1FFFFFFF", "536870912: 00000000 00000001 1FFFFFFF"},
		{ParseWithBytes, "6F1", "256: 6F1#00 6F1#01 6F1#FF"},
		{ParseWithBytes, "6F1-6F2#10-11", "4: 6F1#10 6F1#11 6F2#11"},
		{ParseWithBytes, "18DA10F1#5", "1: 18DA10F1#05"},
		{fixed, "00-FF", "256: 18DA00F1 18DA01F1 18DAFFF1"},
		{fixed, "10,33", "2: 18DA10F1 18DA33F1"},
		{mixed, "10-11#99-9A", "4: 18CE10F1#99 18CE10F1#9A 18CE11F1#9A"},
		{mixed, "7E0#99", "1: 7E0#99"},
		{mixed, "10", "256: 18CE10F1#00 18CE10F1#01 18CE10F1#FF"},
	} {
		if c.want == "536870912: 00000000 00000001 1FFFFFFF" {
			got, err := c.parse(c.text)
			if err != nil || got.Len() != 1<<29 || got.At(1<<29-1).String() != "1FFFFFFF" {
				t.Errorf("%s: %v, %v", c.text, got, err)
			}
			continue
		}
		got, err := c.parse(c.text)
		if err != nil {
			t.Error(err)
			continue
		}
		if text(got) != c.want {
			t.Errorf("%s is %s, want %s", c.text, text(got), c.want)
		}
		for i := range got.Len() {
			if j, err := got.Index(got.At(i).String()); j != i || err != nil {
				t.Fatalf("%s: index of number %d is %d, %v", c.text, i, j, err)
			}
		}
	}
}

func TestBadTargets(t *testing.T) {
	fixed := func(s string) (Targets, error) { return ParseFixed(s, 0xF1) }
	for _, c := range []struct {
		parse      func(string) (Targets, error)
		text, want string
	}{
		{ParseIDs, "", `"" is not an identifier of 3 hexadecimal digits (11 bits) or 8 (29 bits), as 7E0 or 18DA10F1`},
		{ParseIDs, "7E", `"7E" is not an identifier of 3 hexadecimal digits (11 bits) or 8 (29 bits), as 7E0 or 18DA10F1`},
		{ParseIDs, "+E0", `"+E0" is not an identifier of 3 hexadecimal digits (11 bits) or 8 (29 bits), as 7E0 or 18DA10F1`},
		{ParseIDs, "800", "identifier 800 is above 7FF (29 bits take 8 digits)"},
		{ParseIDs, "20000000", "identifier 20000000 is above 1FFFFFFF"},
		{ParseIDs, "7E0-18DA10F1", "7E0-18DA10F1 has identifiers of 11 and of 29 bits: want two ranges"},
		{ParseIDs, "7E8-7E0", "7E8-7E0 begins behind its end: want 7E0-7E8"},
		{ParseWithBytes, "6F1#", `"" is not a byte of two hexadecimal digits nor a range of them, as F1 or 00-FF`},
		{ParseWithBytes, "6F1#FF-00", `"FF-00" is not a byte of two hexadecimal digits nor a range of them, as F1 or 00-FF`},
		{fixed, "100", `"100" is not a byte of two hexadecimal digits nor a range of them, as F1 or 00-FF`},
	} {
		if _, err := c.parse(c.text); fmt.Sprint(err) != c.want {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
	ids, _ := ParseIDs("7E0-7E7")
	for text, want := range map[string]string{
		"7E8":     "7E8 is not among the addresses to be probed",
		"7E0#10":  "7E0#10 is not among the addresses to be probed",
		"7E0-7E1": `"7E0-7E1" is not one address, as 7A0, 18DA10F1 or 6F1#42`,
		"x":       `"x" is not one address, as 7A0, 18DA10F1 or 6F1#42`,
	} {
		if _, err := ids.Index(text); fmt.Sprint(err) != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// No text panics, and what is parsed can be written and found again.
func FuzzTargets(f *testing.F) {
	for _, text := range []string{"000-7FF", "18DA00F1-18DAFFF1,7DF", "6F1#00-FF", "10-20", "10#99", "7E8-7E0", "#", "-", ","} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) (Targets, error){
			ParseIDs, ParseWithBytes,
			func(s string) (Targets, error) { return ParseFixed(s, 0xF1) },
			func(s string) (Targets, error) { return ParseMixed(s, 0xF1) },
		} {
			targets, err := parse(text)
			if err != nil {
				continue
			}
			for _, i := range []int64{0, targets.Len() / 2, targets.Len() - 1} {
				a := targets.At(i)
				j, err := targets.Index(a.String())
				if err != nil || targets.At(j) != a {
					t.Fatalf("%q: number %d is %v, found at %d, %v", text, i, a, j, err)
				}
			}
		}
	})
}
