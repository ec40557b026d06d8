// Package stream is the protocol of isotp-stream, connections over ISO-TP, as a
// state machine: it has no goroutine, no lock, no clock and does no I/O. The owner of
// an [Endpoint] tells it what has happened (a message came, it is this late) and
// afterwards asks what to do: which message to send ([Endpoint.Poll]), when to call
// again ([Endpoint.PollTimeout]) and which sessions have news for their users
// ([Endpoint.TakeEvents]).
//
// What follows is enough to write a peer in another language.
//
// # The transport
//
// Two endpoints exchange messages of at most 4095 bytes, in the order of sending.
// Messages may be lost, and may come twice. A message that comes may also be made of
// two: of the first frames of one and the last frames of another of the same length.
// ISO-TP over one pair of addresses is such a transport: neither a Consecutive Frame
// nor a flow control says which message it belongs to, so that the frames of the next
// message can complete one that was aborted, or whose end was lost. Nor does ISO-TP
// acknowledge the end of a message, or close a connection. This protocol adds all that.
//
// # Messages
//
// Numbers are big endian. A message is a header of 5 bytes and a payload:
//
//	byte 0     FROM (bit 7), KIND (bits 6-4), LEN (bits 3-0)
//	byte 1-2   SESSION
//	byte 3-4   SEQ
//	byte 5-6   LENGTH, only if LEN is 15
//
// A message that does not fit in a Single Frame of classic CAN ends in a CHECK of 4
// bytes behind its payload: see below.
//
// LEN is how many bytes the message has, header and CHECK included, if these are 5 to
// 14. A longer message has a LEN of 15, and its number of bytes in LENGTH, the two bytes
// of LENGTH included: 17 to 4095. A message of another length than it says was damaged
// on the way (nothing but CAN's CRC protects an N_PCI). A receiver ignores it, as if it
// had been lost, and so it does one with a LEN below 5.
//
// The kinds of messages and their payloads follow. A receiver ignores further bytes of a
// payload.
//
//	0  OPEN    VERSION(1) WINDOW(1)   only from the opener of a session
//	1  ACCEPT  VERSION(1) WINDOW(1)   only from its acceptor
//	2  DATA    1 byte or more of the stream
//	3  END     none                   the end of the stream in this direction
//	4  WINDOW  LIMIT(2)
//	5  RESET   REASON(1)
//	6  PING    LIMIT(2)               answered by PONG
//	7  PONG    LIMIT(2)
//
// All but DATA fit in a Single Frame of classic CAN, so that they never wait for
// flow control; and so does a DATA with 2 bytes. This holds where a Single Frame has
// room for 7 bytes. If the address takes the first byte of each frame (extended and
// mixed addressing) a Single Frame has room for 6: then OPEN, ACCEPT, WINDOW, PING and
// PONG take two frames and a flow control.
//
// # The check
//
// A message that without it is longer than a Single Frame of classic CAN with the
// address it is sent to (7 bytes, or 6 with an address byte) ends in a CHECK. The
// length alone decides, not the number of frames: on CAN FD a message of 62 bytes goes
// in one frame, and has a CHECK all the same, because the receiver does not know how
// long the sender's frames are. OPEN and RESET never have one. Their whole header is in
// the First Frame, which is of one message; and all versions know them.
//
// CHECK is the CRC-32 of IEEE 802.3 over all bytes of the message before it, header
// included: polynomial 04C11DB7, reflected (EDB88320), initial value and final XOR
// FFFFFFFF; that of the nine ASCII characters 123456789 is CBF43926. It is written big
// endian, as all numbers here. For example the opener of session BEEF sends the bytes
// 01 to 03 with the SEQ 0102, and the bytes 01 to 06 with the SEQ 0103:
//
//	2C BEEF 0102 010203 61378DEE
//	2F BEEF 0103 0011 010203040506 95BA13DF
//
// A receiver ignores a message whose CHECK is wrong, or which lacks the CHECK that it
// should have, as if it had been lost. So a message that was begun by one and completed
// by another is never taken for data, and is noticed as any loss is.
//
// # Sessions
//
// Many sessions live side by side over one pair. The name of a session is the SESSION
// that its opener has chosen, and which side that was: FROM is 0 in the messages of the
// opener, 1 in those of the acceptor. Hence both sides can open sessions at the same
// time, even with the same number.
//
// The opener chooses SESSION and its first SEQ at random. It sends OPEN, and again
// after 0.1, 0.2, 0.4, 0.8 s and then each second, until ACCEPT or RESET comes or
// it gives up and sends a RESET. The acceptor answers each OPEN of a session with
// ACCEPT, whose SEQ is its own first one, chosen at random too; it may send DATA
// right after the first ACCEPT. An acceptor that has no room for more sessions now does
// not answer, and one that accepts no sessions answers RESET.
//
// An OPEN for a known session, but with another first SEQ, comes from an opener that
// was restarted: the old session ends with an error, without a RESET, and a new one
// begins. An ACCEPT for an open session, but with another first SEQ, comes from an
// acceptor that was restarted: the opener answers RESET. While an opener waits for
// ACCEPT it ignores all but ACCEPT and RESET.
//
// # Sequence numbers
//
// Each direction is numbered from its first SEQ on, modulo 65536. DATA and END carry
// their own number, OPEN and ACCEPT always the first. WINDOW, PING and PONG, which
// have no number, carry that of the next DATA or END. RESET has a SEQ of the other
// direction: that of the message which it answers, or else of the next DATA or END
// expected; but an opener that has had no ACCEPT sends the SEQ of its OPEN. A RESET
// whose SEQ was not used in this session is for an earlier session with the same number,
// and is ignored.
//
// Hence every message tells whether one was lost before it: then its SEQ is ahead of
// the one expected. Data is missing, the receiver sends RESET, and the session ends with
// an error on both sides. A SEQ up to 16 behind is that of a message that came twice,
// which is ignored; one further behind is a loss too. A sender that has sent nothing for
// a second after a DATA or END (or ACCEPT) sends a PING: so a loss at the end is noticed
// as well. PONG says that there was none.
//
// A message that the transport has certainly not delivered, because it was aborted
// before its last frame was sent, leaves its number to the next one, which may be the
// same again or another. This implementation takes a message back only before its first
// frame was sent, and else sends it to its end. A message whose frames have completed
// another message is a loss.
//
// # Windows
//
// A sender sends no more than the peer has room for. LIMIT is how many bytes of the
// stream the peer may have sent since the session began (payloads of DATA only),
// in units of 256 bytes, modulo 65536; it never goes back. It begins with the
// WINDOW of OPEN or ACCEPT, in the same unit. No more than 65280 bytes beyond what
// was received may be granted, so that there are never so many DATA on their way
// that their loss would look like a repetition. A receiver that gets more than its limit
// ends the session with RESET.
//
// A receiver sends WINDOW when it has room again for 3/4 of its window. A WINDOW
// can be lost: a sender that has waited for one for a second sends PING, and again
// after 1, 2, 4, 8 and then each 15 s.
//
// # The end
//
// After END nothing is sent in this direction but WINDOW, PING, PONG and RESET. A
// session is over when both directions have ended. A side that has closed both directions
// and has sent END ignores the messages of the session until it is over, but answers DATA
// with RESET: its bytes will not be read.
//
// RESET ends both directions at once. A side answers a message of an unknown session,
// other than OPEN and RESET, by RESET, but not more than some 100 times a second. The
// REASONs are those of type [Reason]; a RESET with another one ends the session, too.
//
// A PING that is not answered is repeated; 9 in a row without any message from the
// peer end the session. In an idle session each side sends a PING after 15 s
// (keep-alive), after another time, or never, as it likes.
//
// # Versions
//
// This is version 2. OPEN has the version that the opener would speak. An acceptor that
// does not know it answers RESET with the reason BadVersion and, after it, the highest
// version that it does know (1 byte). An opener that knows that version may begin
// again with it; this one does not, and its error names both. ACCEPT has the version
// of the OPEN. A future version may change everything but the header, OPEN and its
// repetition, and RESET.
//
// Version 1 had no CHECK. This package does not speak it.
package stream
