package main

import (
	"fmt"

	"example.com/isotp/isotpnet"
)

// A job is what a command is about to do with messages. It decides which backend can do it.
type job struct {
	longest  int64 // longest message to be sent; 0: not known
	receives bool  // messages are received, with a warning for each that is given up
	streamed bool  // messages of any length are received, each while it arrives
}

// networkFor returns the network to take: the one asked for, unless that leaves the
// choice and the kernel, which sends and receives no message above limit, cannot do the
// job; then why says so. A limit of 0: there is no ISO-TP in the kernel.
func networkFor(asked string, j job, limit int64) (network, why string) {
	switch {
	case asked != messageNetwork || limit == 0:
		return asked, ""
	case j.longest > limit:
		return userNetwork, fmt.Sprintf("a message of %d bytes is to be sent, and the kernel sends at most %d (max_pdu_size of its module can_isotp)", j.longest, limit)
	case j.streamed:
		return userNetwork, fmt.Sprintf("messages of any length are to be received, and the kernel receives at most %d bytes (max_pdu_size of its module can_isotp)", limit)
	}
	return asked, ""
}

// kernelLimit is the longest message of the kernel, 0 if it has no ISO-TP.
func kernelLimit() int64 {
	info, err := isotpnet.ProbeKernel()
	if err != nil {
		return 0
	}
	return info.MaxMessageSize
}
