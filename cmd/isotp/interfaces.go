package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// interfaceNames are the first of the interfaces that frames were of.
type interfaceNames []string

// add adds a name, if it is new and there are not too many to be told.
func (n *interfaceNames) add(name string) {
	const most = 16
	if len(*n) < most && !slices.Contains(*n, name) {
		*n = append(*n, name)
	}
}

func (n interfaceNames) String() string { return strings.Join(n, ", ") }

// errNoInterface says that a log or a bus has no frames of an interface, but of others.
func errNoInterface(source, ifi string, others interfaceNames) error {
	return fmt.Errorf("%s has no frames of interface %s, but of %v", source, ifi, others)
}

// An interfaceChoice says which interfaces are wanted, and learns which there are.
type interfaceChoice struct {
	wanted []string // none: all
	found  []string // those of wanted that there are
	others interfaceNames
}

// wants reports whether the frames of an interface are wanted. It is called for each frame.
func (c *interfaceChoice) wants(ifi string) bool {
	switch {
	case len(c.wanted) == 0 || slices.Contains(c.found, ifi):
		return true
	case slices.Contains(c.wanted, ifi):
		c.found = append(c.found, ifi)
		return true
	}
	c.others.add(ifi)
	return false
}

// missing returns an error for each interface that is wanted and not there, if there are others.
func (c *interfaceChoice) missing(source string) error {
	there := append(interfaceNames(c.found), c.others...)
	var errs []error
	for _, ifi := range c.wanted {
		if len(there) > 0 && !slices.Contains(c.found, ifi) {
			errs = append(errs, errNoInterface(source, ifi, there))
		}
	}
	return errors.Join(errs...)
}
