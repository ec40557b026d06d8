package isotpnet

import (
	"errors"
	"fmt"
	"strings"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/wire"
)

// ParseAddr makes an Addr of its text, of which [Addr] has the grammar. An error
// is a [*net.AddrError].
func ParseAddr(s string) (Addr, error) {
	bus, endpoint, err := splitBus(s)
	if err != nil {
		return Addr{}, addrError(s, err)
	}
	a, err := parseEndpoint(endpoint)
	if err != nil {
		return Addr{}, addrError(s, err)
	}
	return a.WithBus(bus), nil
}

// MustParseAddr is [ParseAddr] for texts known to be good. It panics on others.
func MustParseAddr(s string) Addr {
	a, err := ParseAddr(s)
	if err != nil {
		panic("isotpnet: MustParseAddr: " + err.Error())
	}
	return a
}

// ParseAddrs makes a list of Addr of the text that listeners take: one bus, and
// endpoints with commas between them, as in can0/7E8:7E0,7DF. All have the same
// bus, and none is there twice.
//
// Beside other endpoints, one without a colon is a functional address that is
// heard: 7DF is short for :7DF, as Mirror makes it of the tester's 7DF:.
func ParseAddrs(s string) ([]Addr, error) {
	bus, list, err := splitBus(s)
	if err != nil {
		return nil, addrError(s, err)
	}
	endpoints := strings.Split(list, ",")
	addrs := make([]Addr, 0, len(endpoints))
	seen := make(map[Addr]bool, len(endpoints))
	for _, endpoint := range endpoints {
		text := endpoint
		switch {
		case endpoint == "":
			return nil, addrError(s, errors.New("nothing before or after a comma: want for example 7E8:7E0,7DF"))
		case len(endpoints) > 1 && isHeardOnly(endpoint):
			text = ":" + endpoint
		}
		a, err := parseEndpoint(text)
		if err != nil {
			return nil, addrError(s, err)
		}
		if a = a.WithBus(bus); seen[a] {
			return nil, addrError(s, fmt.Errorf("%q is in the list twice", clip(endpoint)))
		}
		seen[a] = true
		addrs = append(addrs, a)
	}
	return addrs, nil
}

// isHeardOnly reports whether a list's endpoint is an identifier alone, perhaps
// with a byte.
func isHeardOnly(endpoint string) bool {
	return !strings.Contains(endpoint, ":") && isHex(firstWord(endpoint))
}

func splitBus(s string) (bus, endpoint string, err error) {
	i := strings.LastIndexByte(s, '/')
	switch {
	case s == "":
		return "", "", errors.New("empty address: want a bus and an endpoint, such as can0/7E0:7E8")
	case i < 0:
		return "", "", errors.New("no slash between bus and endpoint: want for example can0/7E0:7E8")
	case i == len(s)-1:
		return "", "", errors.New("no endpoint after the last slash: want for example can0/7E0:7E8")
	}
	return s[:i], s[i+1:], nil
}

func parseEndpoint(s string) (Addr, error) {
	if strings.Contains(s, ",") {
		return Addr{}, fmt.Errorf("%q is a list, which only listeners take: want one endpoint", clip(s))
	}
	switch firstWord(s) {
	case "obd", "obd29":
		return parseOBD(s)
	case "fixed", "mixed", "func":
		return parseFixed(s)
	}
	if heard, ok := strings.CutPrefix(s, ":"); ok && firstWord(heard) == "func" {
		a, err := parseFixed(heard)
		if err == nil && a.kind == KindGroup {
			err = fmt.Errorf("%q has no source address: want for example :func:33:F1, or func:33 for any source", s)
		}
		return a.Mirror(), err
	}
	return parseSides(s)
}

// firstWord is what stands before the first mark.
func firstWord(s string) string {
	if i := strings.IndexAny(s, ":@#"); i >= 0 {
		return s[:i]
	}
	return s
}

// parseOBD parses obd and obd29: ISO 15765-4's identifiers as the tester has
// them.
func parseOBD(s string) (Addr, error) {
	switch s {
	case "obd":
		return OBDAddr(""), nil
	case "obd29":
		return OBD29Addr(""), nil
	}
	return Addr{}, fmt.Errorf("%q has something after %s, which stands alone", clip(s), firstWord(s))
}

// parseFixed parses the forms that make identifiers of N_TA and N_SA:
// WORD[@UPPER]:[TA][:SA][#AE].
func parseFixed(s string) (Addr, error) {
	word := firstWord(s)
	head, addresses, _ := strings.Cut(s, ":")
	_, upperText, hasUpper := strings.Cut(head, "@")
	addresses, aeText, hasByte := strings.Cut(addresses, "#")
	taText, saText, hasSource := strings.Cut(addresses, ":")

	var form error
	switch {
	case strings.Contains(head, "#") || strings.Contains(saText, ":"):
		form = fmt.Errorf("%q has something that %s does not take", clip(s), word)
	case word == "fixed" && hasByte:
		form = fmt.Errorf("%q has a #, but normal fixed addressing has no address byte", clip(s))
	case word == "mixed" && !hasByte:
		form = fmt.Errorf("%q has no address extension, which mixed addressing puts after a #", clip(s))
	case word == "func" && taText == "":
		form = fmt.Errorf("%q has no target address", clip(s))
	case word != "func" && !hasSource, hasSource && saText == "":
		form = fmt.Errorf("%q has no source address", clip(s))
	}
	if form != nil {
		return Addr{}, fmt.Errorf("%w: want %s", form, fixedForms[word])
	}

	kind := KindPair
	switch {
	case word == "func" && hasSource:
		kind = KindFunctional
	case word == "func":
		kind = KindGroup
	case taText == "":
		kind = KindNode
	}
	n := Fixed{HasExtension: hasByte, Upper: kind.fixedUpper(hasByte)}
	var err error
	if hasUpper {
		if n.Upper, err = parseUpper(upperText); err != nil {
			return Addr{}, err
		}
	}
	for _, number := range []struct {
		is   bool
		what string
		text string
		to   *byte
	}{
		{taText != "", "target address", taText, &n.Target},
		{hasSource, "source address", saText, &n.Source},
		{hasByte, "address extension", aeText, &n.Extension},
	} {
		if !number.is {
			continue
		}
		if *number.to, err = parseByte(number.what, number.text); err != nil {
			return Addr{}, err
		}
	}
	a := n.addr(kind)
	return a, a.check()
}

// fixedForms are examples of what may follow a word.
var fixedForms = map[string]string{
	"fixed": "for example fixed:10:F1, or fixed::10 for the node 10 and any peer",
	"mixed": "for example mixed:10:F1#99, or mixed::10#99 for the node 10 and any peer",
	"func":  "for example func:33:F1 or func:33:F1#99, or func:33 for a group that is heard",
}

// parseSides parses [SEND]:[LISTEN], with an identifier on each side.
func parseSides(s string) (Addr, error) {
	const want = "want SEND:LISTEN, such as 7E0:7E8"
	send, listen, colon := strings.Cut(s, ":")
	switch {
	case !colon:
		return Addr{}, fmt.Errorf("no colon in %q: %s", clip(s), want)
	case send == "" && listen == "":
		return Addr{}, fmt.Errorf("nothing on either side of the colon: %s", want)
	case strings.Contains(listen, ":") && send != "" && !isHex(firstWord(send)):
		return Addr{}, fmt.Errorf("%q is no addressing mode: want fixed, mixed, func, or %s", clip(firstWord(send)), want[len("want "):])
	case strings.Contains(listen, ":"):
		return Addr{}, fmt.Errorf("more than one colon in %q: %s", clip(s), want)
	}
	var a Addr
	var err error
	if send != "" {
		a.kind = KindFunctional
		if a.tx, err = parseSide(send); err != nil {
			return Addr{}, err
		}
	}
	if listen != "" {
		a.kind = KindListenOnly
		if a.rx, err = parseSide(listen); err != nil {
			return Addr{}, err
		}
	}
	if send != "" && listen != "" {
		a.kind = KindPair
	}
	return a, a.check()
}

// parseSide parses ID[#BYTE].
func parseSide(s string) (wire.Address, error) {
	idText, byteText, hasByte := strings.Cut(s, "#")
	if idText == "" {
		return wire.Address{}, fmt.Errorf("no identifier before the # in %q: want for example 641#55", clip(s))
	}
	id, digits, err := parseHex("identifier", idText)
	if err != nil {
		return wire.Address{}, err
	}
	if digits > 3 && digits != 8 {
		return wire.Address{}, fmt.Errorf("identifier %q has %d digits: want 1 to 3 for 11 bits, or 8 for 29 bits",
			clip(idText), digits)
	}
	if digits != 8 && id > canbus.MaxStandardID {
		return wire.Address{}, fmt.Errorf("identifier %X is above 7FF, the highest of 11 bits (one of 29 bits is %08X)", id, id)
	}
	w := wire.Address{ID: id, Extended: digits == 8}
	if err := checkID(w); err != nil {
		return wire.Address{}, err
	}
	if hasByte {
		b, err := parseByte("address byte", byteText)
		if err != nil {
			return wire.Address{}, err
		}
		w = withByte(w, b)
	}
	return w, nil
}

// parseUpper parses the upper 16 of an identifier's 29 bits, which stand for
// can-isotp's physical_id>>16 and functional_id>>16.
func parseUpper(s string) (uint16, error) {
	v, digits, err := parseHex("upper half of the identifier", s)
	if err != nil {
		return 0, err
	}
	if digits != 4 {
		return 0, fmt.Errorf("upper half of the identifier %q has %d digits: want 4, such as 18DA", clip(s), digits)
	}
	if v > 0x1FFF {
		return 0, fmt.Errorf("upper half of the identifier %q is above 1FFF, the highest of 29 bits", s)
	}
	return uint16(v), nil
}

func parseByte(what, s string) (byte, error) {
	v, digits, err := parseHex(what, s)
	if err != nil {
		return 0, err
	}
	if digits > 2 {
		return 0, fmt.Errorf("%s %q has %d digits: want 1 or 2", what, clip(s), digits)
	}
	return byte(v), nil
}

// parseHex parses a hexadecimal number, with or without 0x, and counts its
// digits. The number is good up to 8 digits.
func parseHex(what, s string) (v uint32, digits int, err error) {
	d := s
	if len(d) >= 2 && d[0] == '0' && d[1]|0x20 == 'x' {
		d = d[2:]
	}
	if d == "" {
		return 0, 0, fmt.Errorf("%s %q has no digits", what, clip(s))
	}
	for _, c := range []byte(d) {
		switch {
		case '0' <= c && c <= '9':
			v = v<<4 | uint32(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			v = v<<4 | uint32(c|0x20-'a'+10)
		default:
			return 0, 0, fmt.Errorf("%s %q is not a hexadecimal number", what, clip(s))
		}
	}
	return v, len(d), nil
}

func isHex(s string) bool {
	_, _, err := parseHex("", s)
	return err == nil
}
