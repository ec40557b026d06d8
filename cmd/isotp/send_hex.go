package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"example.com/isotp/internal/hextext"
)

// hexMessages calls send for the message on each line of the input.
func hexMessages(in io.Reader, send func([]byte) error) error {
	return hexLines(in, func(number int, p []byte, err error) error {
		if err == nil {
			err = send(p)
		}
		return atLine(number, err)
	})
}

// hexLines calls do for each line of the input, with its number and the message on it, or
// with what is wrong with it, until do returns an error. Lines without digits are skipped.
func hexLines(in io.Reader, do func(number int, p []byte, err error) error) error {
	r := bufio.NewReader(in)
	for number := 1; ; number++ {
		line, readErr := r.ReadString('\n')
		if readErr != nil && readErr != io.EOF {
			return readErr
		}
		p, err := hextext.Parse(line)
		if err != nil || len(p) > 0 {
			if err := do(number, p, err); err != nil {
				return err
			}
		}
		if readErr == io.EOF {
			return nil
		}
	}
}

// atLine adds to an error that it is a line's of standard input.
func atLine(number int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("line %d of standard input: %w", number, err)
}

var errLooksHex = errors.New("standard input looks like bytes in hexadecimal digits, but is sent as text, character by character; --hex sends the bytes")

// input is standard input. At its end, unless --hex was given, it warns if all of it was
// bytes in hexadecimal digits.
func (c *sendCmd) input(ctx context.Context, s *streams) io.ReadCloser {
	in := s.input(ctx)
	if c.Hex {
		return in
	}
	return &guessedInput{ReadCloser: in, s: s}
}

// A guessedInput is standard input that is sent as it is.
type guessedInput struct {
	io.ReadCloser
	s     *streams
	guess hexGuess
}

func (i *guessedInput) Read(p []byte) (int, error) {
	n, err := i.ReadCloser.Read(p)
	i.guess.add(p[:n])
	if err == io.EOF && i.guess.isHex() {
		i.s.warn(errLooksHex)
		i.guess = hexGuess{other: true} // once
	}
	return n, err
}

// A hexGuess finds out whether a text is bytes in hexadecimal digits: then these bytes
// were most likely meant, and not the text.
type hexGuess struct {
	text  []byte // all of it, while it may be such bytes
	other bool   // it is something else, or longer than is worth keeping
}

// add adds the next part of the text.
func (g *hexGuess) add(p []byte) {
	const worthKeeping = 64 << 10
	if !g.other {
		g.text = append(g.text, p...)
		g.other = len(g.text) > worthKeeping || bytes.ContainsFunc(p, isNoHexText)
	}
	if g.other {
		g.text = nil
	}
}

func isNoHexText(r rune) bool {
	return !bytes.ContainsRune([]byte("0123456789abcdefABCDEFxX,.: \t\r\n"), r)
}

// isHex reports whether the text is such bytes, at least one.
func (g *hexGuess) isHex() bool {
	p, err := hextext.Parse(string(g.text))
	return err == nil && len(p) > 0
}
