package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	figuresFile = "docs/figures.md"
	readme      = "README.md"
)

const preamble = `# Figures

` + "`make figures`" + ` writes this file; nothing here is written by hand. ` + "`make figures SECTIONS=\"memory wire\"`" + `
writes only those sections anew. [CONTRIBUTING.md](../CONTRIBUTING.md) says how to compare two commits.
`

// A section is a part of the file.
type section struct {
	name  string // on the command line
	title string
	write func(context.Context, options) (text string, err error)
}

var sections = []section{
	{"memory", "In memory", memory},
	{"wire", "On a bus as slow as a real one", wire},
	{"stmin", "STmin on this machine", stminHere},
	{"idle", "STmin on an idle machine", stminIdle},
	{"sockets", "Linux's sockets", sockets},
}

// figures writes the named sections anew, or all.
func figures(ctx context.Context, o options, names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(sections, func(s section) bool { return s.name == name }) {
			return fmt.Errorf("there is no section %q", name)
		}
	}
	for _, s := range sections {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "section", s.name)
		from, err := origin(ctx)
		if err != nil {
			return err
		}
		text, err := s.write(ctx, o)
		if err != nil {
			return fmt.Errorf("section %s: %w", s.name, err)
		}
		if strings.Contains(text, "| "+missing+" |") {
			fmt.Fprintln(os.Stderr, "some figures are missing")
		}
		// A run may take long, so each section is written as soon as it is there.
		if err := edit(figuresFile, func(file string) string { return replace(file, s.title, from+"\n\n"+text) }); err != nil {
			return err
		}
	}
	written, err := os.ReadFile(figuresFile)
	if err != nil {
		return err
	}
	return edit(readme, func(file string) string { return refresh(file, string(written)) })
}

// edit changes the text of a file.
func edit(file string, change func(string) string) error {
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(file, []byte(change(string(text))), 0o644)
}

// replace returns the file with another text in the section of that title. It leaves the
// other sections as they are, and puts all in order.
func replace(file, title, text string) string {
	var out strings.Builder
	out.WriteString(preamble)
	for _, s := range sections {
		body := textOf(file, s.title)
		if s.title == title {
			body = strings.TrimSpace(text)
		}
		if body != "" {
			fmt.Fprintf(&out, "\n## %s\n\n%s\n", s.title, body)
		}
	}
	return out.String()
}

// textOf returns the text of a section of the file.
func textOf(file, title string) string {
	_, text, _ := strings.Cut(file, "\n## "+title+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	return strings.TrimSpace(text)
}

// refresh returns the README with the figures of the file in each row of a table that both
// have.
func refresh(readme, figures string) string {
	rows := map[string]string{}
	for line := range strings.Lines(figures) {
		rows[label(line)] = line
	}
	var out strings.Builder
	for line := range strings.Lines(readme) {
		if row, ok := rows[label(line)]; ok && label(line) != "" {
			line = row
		}
		out.WriteString(line)
	}
	return out.String()
}

// label returns what a row of a table begins with, or "".
func label(line string) string {
	cells := strings.Split(line, " | ")
	if len(cells) < 2 || !strings.HasPrefix(line, "| ") {
		return ""
	}
	return cells[0]
}
