package main

import (
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"example.com/isotp/canbus/canlog"
	"github.com/alecthomas/kong"
)

// A candidate is what a word may become.
type candidate struct{ text, about string }

// complete returns what the last of the words of a command line may become.
func complete(app *kong.Application, words []string) (list []candidate) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	at := position{command: app.Node}
	for _, word := range words[:len(words)-1] {
		at.pass(word)
	}
	flag, _, isValue := strings.Cut(last, "=")
	switch {
	case at.flag != nil:
		list = valuesOf(at.flag.Value)
	case at.command.Name == "help":
		list = append(topicsOf(), commandsOf(app.Node)...)
	case isValue && at.find(flag) != nil:
		for _, c := range valuesOf(at.find(flag).Value) {
			list = append(list, candidate{flag + "=" + c.text, c.about})
		}
	case strings.HasPrefix(last, "-"):
		list = at.flags()
	default:
		list = append(commandsOf(at.command), at.positional()...)
	}
	return slices.DeleteFunc(list, func(c candidate) bool { return !strings.HasPrefix(c.text, last) })
}

// A position is how far a command line has come.
type position struct {
	command *kong.Node
	args    int        // how many positional arguments of the command there were
	flag    *kong.Flag // whose value comes next; nil: none does
}

// pass goes on behind a word.
func (p *position) pass(word string) {
	switch child := childOf(p.command, word); {
	case p.flag != nil:
		p.flag = nil
	case strings.HasPrefix(word, "-") && len(word) > 1:
		if f := p.find(word); f != nil && !f.IsBool() {
			p.flag = f
		}
	case child != nil:
		p.command = child
	default:
		p.args++
	}
}

func childOf(command *kong.Node, name string) *kong.Node {
	for _, child := range command.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

// all are the flags that may come.
func (p *position) all() (list []*kong.Flag) {
	for _, flags := range p.command.AllFlags(true) {
		list = append(list, flags...)
	}
	if d := p.command.DefaultCmd; d != nil {
		list = append(list, d.Flags...)
	}
	return list
}

// find returns the flag that is written so, nil if there is none.
func (p *position) find(word string) *kong.Flag {
	for _, f := range p.all() {
		if word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short) {
			return f
		}
	}
	return nil
}

func (p *position) flags() (list []candidate) {
	for _, f := range p.all() {
		list = append(list, candidate{"--" + f.Name, firstSentence(f.Help)})
	}
	return list
}

// positional are the values of the next positional argument.
func (p *position) positional() []candidate {
	args := p.command.Positional
	switch n := len(args); {
	case p.args < n:
		return valuesOf(args[p.args])
	case n > 0 && args[n-1].IsCumulative():
		return valuesOf(args[n-1])
	}
	return nil
}

// valuesOf are the values of a flag or argument; none for those that the shell knows more of,
// such as files.
func valuesOf(v *kong.Value) (list []candidate) {
	switch {
	case v.Enum != "":
		for _, value := range v.EnumSlice() {
			if value != "" {
				list = append(list, candidate{value, ""})
			}
		}
		return list
	case v.IsBool():
		return []candidate{{"true", ""}, {"false", ""}}
	case v.Target.Type() == reflect.TypeFor[canlog.Format]():
		for f := canlog.Candump; f <= canlog.PCAPNG; f++ {
			list = append(list, candidate{f.String(), ""})
		}
		return list
	case v.Target.Type() == reflect.TypeFor[generateKind]():
		return []candidate{{string(generateRandom), ""}, {string(generateCount), ""}}
	case v.Flag != nil:
		return nil
	}
	switch v.Name {
	case "address", "listen", "dial":
		return buses("/")
	case "bus", "source", "interface":
		return buses("")
	}
	return nil
}

// buses are the names of buses that are there, with what follows in an address.
func buses(end string) (list []candidate) {
	if name := os.Getenv(busVariable); name != "" {
		list = append(list, candidate{name + end, busVariable})
	}
	links, _ := canInterfaces() // that there are none is nothing to tell here
	for _, l := range links {
		list = append(list, candidate{l.Name + end, l.Kind + ", " + l.State})
	}
	return list
}

func commandsOf(command *kong.Node) (list []candidate) {
	for _, child := range command.Children {
		if !child.Hidden {
			list = append(list, candidate{child.Name, firstSentence(child.Help)})
		}
	}
	return list
}

func topicsOf() (list []candidate) {
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		list = append(list, candidate{topic, "topic"})
	}
	return list
}

// firstSentence is short enough to stand beside a name.
func firstSentence(help string) string {
	if i := strings.IndexAny(help, ".:;,("); i >= 0 {
		help = help[:i]
	}
	return strings.TrimSpace(help)
}
