package isotpnet

var _ streamBackend = (*kernelConn)(nil)

// sendTracked sends a message. What the kernel has taken cannot be recalled: the peer
// will get it, or notice that it is missing.
func (k *kernelConn) sendTracked(p []byte) (handed bool, err error) {
	handed, err = k.transmit(p)
	k.sent(len(p), handed, err)
	k.tell()
	return handed, err
}
