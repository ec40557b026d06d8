package pcan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// registers are BTR0 and BTR1 for the bit rates that PCAN-Basic has constants for
// (PCAN_BAUD_1M to PCAN_BAUD_5K).
var registers = map[int]uint16{
	1_000_000: 0x0014, 800_000: 0x0016, 500_000: 0x001C, 250_000: 0x011C, 125_000: 0x031C, 100_000: 0x432F,
	95_238: 0xC34E, 83_333: 0x852B, 50_000: 0x472F, 47_619: 0x1414, 33_333: 0x8B2F, 20_000: 0x532F,
	10_000: 0x672F, 5_000: 0x7F7F,
}

// A segment is how a bit is made of quanta: one, and those before and behind the sample
// point.
type segment struct{ prescaler, before, behind int }

func (s segment) quanta() int { return 1 + s.before + s.behind }

func (s segment) rate(clock int) int { return clock / (s.prescaler * s.quanta()) }

// Limits of a segment: those of bits at the nominal rate, and in the data phase.
var (
	nominalLimits = segment{1024, 256, 128}
	dataLimits    = segment{1024, 32, 16}
)

// clocks are what CAN_InitializeFD knows, in Hz; the one that PEAK and the standards for
// vehicles recommend comes first.
var clocks = []int{80_000_000, 60_000_000, 40_000_000, 30_000_000, 24_000_000, 20_000_000}

// The sample points that CiA 601-3 recommends, in thousandths of a bit.
const (
	samplePoint     = 800
	fastSamplePoint = 750 // of data phases above fastRate
	fastRate        = 2_000_000
)

// divide makes bits of a rate with that prescaler, and reports whether it can.
func divide(clock, prescaler, rate, point int, limits segment) (s segment, ok bool) {
	if clock%(prescaler*rate) != 0 {
		return s, false
	}
	quanta := clock / (prescaler * rate)
	before := (quanta*point+500)/1000 - 1
	s = segment{prescaler, before, quanta - 1 - before}
	return s, 1 <= s.before && s.before <= limits.before && 1 <= s.behind && s.behind <= limits.behind
}

// timingOf makes the text for CAN_InitializeFD. Both rates have one prescaler, as small as
// possible, which CiA recommends.
func timingOf(bitrate, dataBitrate int) (string, error) {
	point := samplePoint
	if dataBitrate > fastRate {
		point = fastSamplePoint
	}
	for _, clock := range clocks {
		for prescaler := 1; prescaler <= nominalLimits.prescaler; prescaler++ {
			nominal, ok := divide(clock, prescaler, bitrate, samplePoint, nominalLimits)
			if !ok {
				continue
			}
			if data, ok := divide(clock, prescaler, dataBitrate, point, dataLimits); ok {
				return formatTiming(clock, nominal, data), nil
			}
		}
	}
	return "", fmt.Errorf("no clock of the adapters makes %d and %d bit/s (the names and numbers of CAN_InitializeFD instead of the bit rate may: @f_clock=80000000,nom_brp=...)", bitrate, dataBitrate)
}

func formatTiming(clock int, nominal, data segment) string {
	list := []string{fmt.Sprintf("f_clock=%d", clock)}
	for _, x := range []struct {
		prefix string
		segment
	}{{"nom", nominal}, {"data", data}} {
		list = append(list, fmt.Sprintf("%s_brp=%d,%s_tseg1=%d,%s_tseg2=%d,%s_sjw=%d",
			x.prefix, x.prescaler, x.prefix, x.before, x.prefix, x.behind, x.prefix, min(x.before, x.behind)))
	}
	return strings.Join(list, ",")
}

// timingKeys are the names in the text for CAN_InitializeFD, and the highest value of each.
// f_clock_mhz may stand for f_clock.
var timingKeys = map[string]int{
	"f_clock": 80_000_000, "f_clock_mhz": 80,
	"nom_brp": 1024, "nom_tseg1": 256, "nom_tseg2": 128, "nom_sjw": 128,
	"data_brp": 1024, "data_tseg1": 32, "data_tseg2": 16, "data_sjw": 16,
	"nom_sam": 1, "data_ssp_offset": 127,
}

// parseTiming returns the bit rates of a text for CAN_InitializeFD.
func parseTiming(text string) (bitrate, dataBitrate int, err error) {
	values := make(map[string]int)
	for _, field := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		highest, known := timingKeys[key]
		if !known {
			return 0, 0, fmt.Errorf("timing %q: %q is not a name of CAN_InitializeFD, as f_clock, nom_brp, nom_tseg1, nom_tseg2, nom_sjw, data_brp, data_tseg1, data_tseg2 or data_sjw", text, key)
		}
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil || n < 0 || n > highest {
			return 0, 0, fmt.Errorf("timing %q: %s is %q, not a number up to %d", text, key, value, highest)
		}
		values[key] = n
	}
	clock := values["f_clock"]
	if clock == 0 {
		clock = values["f_clock_mhz"] * 1_000_000
	}
	if !slices.Contains(clocks, clock) {
		return 0, 0, fmt.Errorf("timing %q: the clock is %d Hz, not 80000000, 60000000, 40000000, 30000000, 24000000 or 20000000", text, clock)
	}
	for _, key := range []string{"nom_brp", "nom_tseg1", "nom_tseg2", "nom_sjw", "data_brp", "data_tseg1", "data_tseg2", "data_sjw"} {
		if values[key] == 0 {
			return 0, 0, fmt.Errorf("timing %q: %s is missing, or 0", text, key)
		}
	}
	nominal := segment{values["nom_brp"], values["nom_tseg1"], values["nom_tseg2"]}
	data := segment{values["data_brp"], values["data_tseg1"], values["data_tseg2"]}
	return nominal.rate(clock), data.rate(clock), nil
}
