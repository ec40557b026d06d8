// Package netns tells the network namespaces of Linux apart, of which each thread of a
// process may have its own: runtime.LockOSThread and then setns or unshare. Names of
// network interfaces, addresses and multicast groups mean what they mean in one of them.
// Sockets stay in the one that they were made in, whichever thread uses them.
package netns

import "strconv"

// Current returns what names the namespace of the calling thread. It is the same text for
// all where there is one only.
func Current() string { return current() }

// Interface returns what names the network interface of that name in the calling thread's
// namespace, under whatever name: it goes by its index. One that is not there goes by its
// name.
func Interface(name string) string {
	if i, ok := index(name); ok {
		name = strconv.Itoa(i)
	}
	return "interface " + name + " of " + Current()
}

// Away reports whether the calling thread is in another namespace than a goroutine that
// it starts.
func Away() bool {
	there := make(chan string)
	go func() { there <- current() }()
	return <-there != current()
}

// A Namespace is one to come back to from any thread. The nil Namespace is that of all
// threads.
type Namespace struct {
	name string
	handle
}

// Hold returns the namespace of the calling thread; nil if a goroutine that it starts
// has the same.
func Hold() (*Namespace, error) {
	if !Away() {
		return nil, nil
	}
	h, err := open()
	if err != nil {
		return nil, err
	}
	return &Namespace{current(), h}, nil
}

// Do calls f on a thread that is in the namespace. To enter it takes CAP_SYS_ADMIN, as to
// get there in the first place.
func (n *Namespace) Do(f func() error) error {
	if n == nil || n.name == current() {
		return f()
	}
	result := make(chan error)
	go func() { result <- n.run(f) }()
	return <-result
}

// Close ends what Hold began.
func (n *Namespace) Close() {
	if n != nil {
		n.handle.close()
	}
}
