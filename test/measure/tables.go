package main

import (
	"fmt"
	"strings"
)

// A row is a line of a table: what it says of, and its cells.
type row struct {
	label string
	cells []cell
}

// A cell returns what a cell has in it.
type cell func(r results) string

// table writes rows as Markdown.
func table(r results, head []string, rows []row) string {
	var out strings.Builder
	fmt.Fprintf(&out, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, row := range rows {
		fmt.Fprintf(&out, "| %s", row.label)
		for _, c := range row.cells {
			fmt.Fprintf(&out, " | %s", c(r))
		}
		out.WriteString(" |\n")
	}
	return out.String()
}

// missing is in the cells of what was not measured.
const missing = "-"

// value is the median of a benchmark's values, as format writes it.
func value(name, unit string, format func(float64) string) cell {
	return func(r results) string {
		v, ok := r.median(name, unit)
		if !ok {
			return missing
		}
		return format(v)
	}
}

// ratio is how many times the median of one benchmark that of another is.
func ratio(name, other, unit string) cell {
	return func(r results) string {
		v, ok := r.median(name, unit)
		of, ok2 := r.median(other, unit)
		if !ok || !ok2 || of == 0 {
			return missing
		}
		return fmt.Sprintf("%.2f", v/of)
	}
}

// nanoseconds writes a time with three digits.
func nanoseconds(ns float64) string {
	unit := "ns"
	for _, larger := range []string{"us", "ms", "s"} {
		if ns < 999.5 {
			break
		}
		ns, unit = ns/1000, larger
	}
	return digits(ns) + " " + unit
}

// digits writes a positive number with three digits.
func digits(v float64) string {
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func bytes(v float64) string {
	if v < 1000 {
		return fmt.Sprintf("%.0f B", v)
	}
	return digits(v/1000) + " kB"
}

func plain(format string) func(float64) string {
	return func(v float64) string { return fmt.Sprintf(format, v) }
}
