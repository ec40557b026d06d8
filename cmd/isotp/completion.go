package main

import (
	"fmt"
	"io"

	"github.com/alecthomas/kong"
)

// A completionCmd prints a script that makes a shell complete the command line. The scripts
// ask the program itself, by completeCmd, so that they need no change with it.
//
// The libraries that do this for kong have had no release for three years, and ask for more
// code around them than this.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (*completionCmd) Help() string {
	return `
Prints a script for the shell, which completes commands, flags, their values, files, and the
names of CAN interfaces. For the shell that runs:

	eval "$(isotp completion bash)"
	eval "$(isotp completion zsh)"
	isotp completion fish | source

For all shells to come:

	isotp completion bash > /etc/bash_completion.d/isotp
	isotp completion zsh > /usr/local/share/zsh/site-functions/_isotp
	isotp completion fish > ~/.config/fish/completions/isotp.fish
`
}

// Examples implements exampler.
func (*completionCmd) Examples() []string {
	return []string{"isotp completion bash", "isotp completion zsh > _isotp"}
}

// Run prints the script.
func (c *completionCmd) Run(s *streams) error {
	_, err := io.WriteString(s.stdout, completionScripts[c.Shell])
	return err
}

// A line of completeCmd is a candidate, perhaps with a tab and what it is. If there are none the shells
// complete files.
var completionScripts = map[string]string{
	// Bash cuts words at colons and equal signs, too, and replaces only what stands behind
	// the last of them.
	"bash": `_isotp() {
	local line="${COMP_LINE:0:COMP_POINT}" words last IFS=$' \t\n'
	read -ra words <<< "$line"
	[[ "$line" == *[[:space:]] ]] && words+=("")
	IFS=$'\n'
	COMPREPLY=($(isotp complete -- "${words[@]:1}" 2> /dev/null))
	COMPREPLY=("${COMPREPLY[@]%%$'\t'*}")
	last="${words[${#words[@]}-1]}"
	COMPREPLY=("${COMPREPLY[@]#"${last%"${last##*[:=]}"}"}")
	[[ "${COMPREPLY[0]}" == */ ]] && compopt -o nospace 2> /dev/null
	return 0
}
complete -o default -F _isotp isotp
`,
	"zsh": `#compdef isotp
_isotp() {
	local -a lines values shown
	lines=("${(@f)$(isotp complete -- "${(@)words[2,CURRENT]}" 2> /dev/null)}")
	values=("${(@)lines%%$'\t'*}")
	shown=("${(@)lines/$'\t'/  -- }")
	if [[ -z "$lines" ]]; then
		_files
	elif [[ "$values[1]" == */ ]]; then
		compadd -S '' -l -d shown -a values
	else
		compadd -l -d shown -a values
	fi
}
if [[ "$funcstack[1]" = _isotp ]]; then _isotp "$@"; else compdef _isotp isotp; fi
`,
	"fish": `function __isotp
	isotp complete -- (commandline -opc)[2..-1] (commandline -ct) 2> /dev/null
end
complete -c isotp -n 'count (__isotp) > /dev/null' -f -a '(__isotp)'
`,
}

// A completeCmd prints what the last of some words may become.
type completeCmd struct {
	Words []string `arg:"" optional:"" help:"The words of a command line; the last one is being typed."`
}

// Run prints the candidates.
func (c *completeCmd) Run(k *kong.Context, s *streams) error {
	for _, candidate := range complete(k.Model, c.Words) {
		line := candidate.text
		if candidate.about != "" {
			line += "\t" + candidate.about
		}
		if _, err := fmt.Fprintln(s.stdout, line); err != nil {
			return err
		}
	}
	return nil
}
