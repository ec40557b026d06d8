package ecu

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"example.com/isotp/internal/hextext"
)

// Responses say what is answered to certain requests. The zero Responses have an answer
// to none.
type Responses struct {
	exact  map[string][][]byte
	prefix []prefixed // the longest first
}

type prefixed struct {
	request []byte
	answers [][]byte
}

// ParseResponses reads a file of responses, one request a line:
//
//	# request : answer | next answer
//	22 F1 8C : 62 F1 8C 30 31 32 33
//	31 01 FF 00 : 7F 31 78 | 71 01 FF 00
//	2E* : 6E F1 90
//	85 02 : -
//
// Requests and answers are bytes as package hextext reads them, but for colons between
// bytes: a line has one colon. A request that ends with * stands for all requests that
// begin so; of several that fit a request, the longest decides. A minus means silence.
// An error names the line and what is wrong with it.
func ParseResponses(r io.Reader) (Responses, error) {
	rs := Responses{exact: make(map[string][][]byte)}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for number := 1; lines.Scan(); number++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := rs.add(line); err != nil {
			return Responses{}, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return rs, lines.Err()
}

func (rs *Responses) add(line string) error {
	left, right, ok := strings.Cut(line, ":")
	switch {
	case !ok:
		return fmt.Errorf("no colon in %q: want REQUEST : ANSWER", line)
	case strings.Contains(right, ":"): // it may be one between bytes
		return fmt.Errorf("more than one colon in %q: want REQUEST : ANSWER", line)
	}
	left = strings.TrimSpace(left)
	begin, isPrefix := strings.CutSuffix(left, "*")
	request, err := parseBytes(begin)
	if err != nil {
		return err
	}
	var answers [][]byte
	if strings.TrimSpace(right) != "-" {
		for text := range strings.SplitSeq(right, "|") {
			answer, err := parseBytes(text)
			if err != nil {
				return err
			}
			answers = append(answers, answer)
		}
	}
	if !isPrefix {
		if _, twice := rs.exact[string(request)]; twice {
			return fmt.Errorf("%q is there twice", left)
		}
		rs.exact[string(request)] = answers
		return nil
	}
	at := 0
	for at < len(rs.prefix) && len(rs.prefix[at].request) >= len(request) {
		if bytes.Equal(rs.prefix[at].request, request) {
			return fmt.Errorf("%q is there twice", left)
		}
		at++
	}
	rs.prefix = append(rs.prefix[:at], append([]prefixed{{request, answers}}, rs.prefix[at:]...)...)
	return nil
}

// parseBytes parses a request or an answer, which has at least one byte.
func parseBytes(text string) ([]byte, error) {
	b, err := hextext.Parse(text)
	if err == nil && len(b) == 0 {
		err = errors.New("a request or an answer is empty: want hexadecimal digits, or - for no answer")
	}
	return b, err
}

func (rs *Responses) find(request []byte) (answers [][]byte, ok bool) {
	if answers, ok = rs.exact[string(request)]; ok {
		return answers, true
	}
	for _, p := range rs.prefix {
		if bytes.HasPrefix(request, p.request) {
			return p.answers, true
		}
	}
	return nil, false
}
