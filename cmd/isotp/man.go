package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// A manCmd prints the manual page, of what --help and help print. The library that does this
// for kong has had one release, in 2022, and leaves out the long help and the topics.
type manCmd struct{}

func (*manCmd) Help() string {
	return `
Prints the manual page isotp(1), which has the help of all commands, for man and for
/usr/local/share/man/man1.

	isotp man | man -l -
`
}

// Examples implements exampler.
func (*manCmd) Examples() []string {
	return []string{"isotp man", "isotp man > isotp.1"}
}

// Run prints the page.
func (*manCmd) Run(k *kong.Context, s *streams) error {
	w := bufio.NewWriter(s.stdout)
	p := &manPage{Writer: w}
	p.write(k.Model)
	return w.Flush()
}

// A manPage writes roff, in the macros of man(7).
type manPage struct {
	io.Writer
	begun bool // a section, which needs no macro for its first paragraph
}

func (p *manPage) write(app *kong.Application) {
	fmt.Fprintf(p, ".TH ISOTP 1 \"\" %q \"User Commands\"\n", version())
	p.section("NAME")
	p.text(app.Name + " - sends and receives ISO-TP messages (ISO 15765-2) on CAN buses")
	p.section("SYNOPSIS")
	p.text(app.Name + " COMMAND [flags]")
	p.section("DESCRIPTION")
	about, statuses, _ := strings.Cut(description, "Exit status:")
	p.paragraphs(about)
	p.section("COMMANDS")
	var shared []*kong.Flag
	for _, command := range app.Leaves(true) {
		if flags := p.command(command); len(flags) > len(shared) {
			shared = flags
		}
	}
	p.section("PROTOCOL FLAGS")
	p.text("Commands that say so take these flags too. Zero is the default.")
	p.flags(shared)
	for _, topic := range []string{"addresses", "buses", "hex"} {
		p.section(strings.ToUpper(topic))
		p.paragraphs(topics[topic])
	}
	p.section("ENVIRONMENT")
	p.item(busVariable, "The bus of addresses and commands that name none.")
	p.section("EXIT STATUS")
	p.paragraphs(statuses)
}

// command writes a command. It returns its flags for the protocol, which it leaves out.
func (p *manPage) command(command *kong.Node) (protocol []*kong.Flag) {
	p.heading(".SS", command.Summary())
	p.text(command.Help)
	p.paragraphs(command.Detail)
	for _, arg := range command.Positional {
		p.item(arg.Summary(), arg.Help)
	}
	var own []*kong.Flag
	for _, f := range command.Flags {
		switch {
		case f.Hidden:
		case f.Group != nil:
			protocol = append(protocol, f)
		default:
			own = append(own, f)
		}
	}
	p.flags(own)
	if protocol != nil {
		p.text("It takes the PROTOCOL FLAGS.")
	}
	return protocol
}

func (p *manPage) section(name string) { p.heading(".SH", name) }

func (p *manPage) heading(macro, name string) {
	fmt.Fprintf(p, "%s %s\n", macro, roff(name))
	p.begun = true
}

// paragraph begins one.
func (p *manPage) paragraph() {
	if !p.begun {
		fmt.Fprintln(p, ".PP")
	}
	p.begun = false
}

func (p *manPage) flags(flags []*kong.Flag) {
	for _, f := range flags {
		p.item(f.String(), f.Help)
	}
}

// item writes a name with what it is below.
func (p *manPage) item(name, about string) {
	p.begun = false
	fmt.Fprintf(p, ".TP\n.B %s\n%s\n", roff(name), roff(about))
}

// paragraphs writes paragraphs; those that begin with a tab stay as they are, line by line.
func (p *manPage) paragraphs(text string) {
	for block := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		if !strings.HasPrefix(block, "\t") {
			p.text(block)
			continue
		}
		p.paragraph()
		fmt.Fprintf(p, ".RS 4\n.nf\n%s\n.fi\n.RE\n", roff(strings.ReplaceAll(block[1:], "\n\t", "\n")))
	}
}

// text writes a paragraph.
func (p *manPage) text(text string) {
	p.paragraph()
	fmt.Fprintln(p, roff(text))
}

// roff escapes text: no line of it is a request, and what looks like a minus is one.
func roff(text string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
