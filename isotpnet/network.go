package isotpnet

import "net"

// A network is what the name of a network means.
type network struct {
	stream  bool   // it carries connections as TCP's, not messages
	backend string // the backend that must be used; empty: the better one that can
}

const (
	messageNetwork = "isotp"
	streamNetwork  = "isotp-stream"
)

// networks are all networks that there are.
var networks = map[string]network{
	"isotp":               {},
	"isotp:user":          {backend: backendUser},
	"isotp:kernel":        {backend: backendKernel},
	"isotp-stream":        {stream: true},
	"isotp-stream:user":   {stream: true, backend: backendUser},
	"isotp-stream:kernel": {stream: true, backend: backendKernel},
}

func parseNetwork(name string) (network, error) {
	n, ok := networks[name]
	if !ok {
		return n, net.UnknownNetworkError(name)
	}
	return n, nil
}

// isStream reports whether a network carries connections as TCP's.
func isStream(name string) bool { return networks[name].stream }

// backendOf returns the backend that a network names, or "".
func backendOf(name string) string { return networks[name].backend }

// checkMessages, checkPackets and checkStreams refuse networks that are unknown, or that
// cannot do what is asked of them.
func checkMessages(name string) error {
	return checkNetwork(name, false, "carries connections as TCP's: use Dial and Listen, or DialStream and ListenStream")
}

func checkPackets(name string) error {
	return checkNetwork(name, false, "carries connections as TCP's, which have no packets: use Listen, or isotp")
}

func checkStreams(name string) error {
	return checkNetwork(name, true, "carries messages; connections as TCP's are on "+streamNetwork)
}

func checkNetwork(name string, stream bool, instead string) error {
	n, err := parseNetwork(name)
	if err == nil && n.stream != stream {
		err = &networkError{name, instead}
	}
	return err
}

// parse parses an address, or a list of them. The network is looked at first: what an
// address of an unknown network means is not known.
func parse[T any](network, address string, parse func(string) (T, error)) (addr T, err error) {
	if _, err := parseNetwork(network); err != nil {
		return addr, err
	}
	return parse(address)
}

// A networkError says that a network is known, but cannot do what is asked of it. To
// errors.As it is a net.UnknownNetworkError, which package net has for "tcp" in ListenPacket.
type networkError struct{ network, what string }

func (e *networkError) Error() string { return "network " + e.network + " " + e.what }

func (e *networkError) Unwrap() error { return net.UnknownNetworkError(e.network) }
