// Package stream is the protocol of isotp-stream, connections over ISO-TP, as a
// state machine: it has no goroutine, no lock, no clock and does no I/O. Whoever
// owns an [Endpoint] brings it what happens (a message came, it is this late) and
// afterwards asks what is to be done: which message to send ([Endpoint.Poll]),
// when to come back ([Endpoint.PollTimeout]) and whom to wake
// ([Endpoint.TakeEvents]).
//
// What follows is enough to write a peer in another language.
//
// # The transport
//
// Two endpoints exchange messages of at most 4095 bytes, in the order of sending.
// Messages may be lost, and may come twice. What comes may also be made of two
// messages: the first frames of one and the last of another, which is as long.
// ISO-TP over one pair of addresses is such a transport: neither a Consecutive Frame
// nor a flow control says which message it belongs to, so that a message that was
// given up, or whose end was lost, can be completed by the frames of the next one.
// Nor has it an acknowledgement of a message's end, or a close. All that is added
// here.
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
// 14. Longer messages have a LEN of 15, and their number of bytes in LENGTH, itself
// included: 17 to 4095. A message of another length than it says was damaged on
// the way (nothing but CAN's CRC protects an N_PCI) and is ignored, as if it had
// been lost; so is one with a LEN below 5.
//
// The kinds, and their payload. What a payload has beyond it is ignored.
//
//	0  OPEN    VERSION(1) WINDOW(1)   only from who opens a session
//	1  ACCEPT  VERSION(1) WINDOW(1)   only from who accepts it
//	2  DATA    1 byte or more of the stream
//	3  END     none                   the end of the stream in this direction
//	4  WINDOW  LIMIT(2)
//	5  RESET   REASON(1)
//	6  PING    LIMIT(2)               answered by PONG
//	7  PONG    LIMIT(2)
//
// All but DATA fit in a Single Frame of classic CAN, so that they never wait for
// flow control; and so does a DATA with 2 bytes. That is so where a Single Frame has
// room for 7 bytes. With an address that takes the first byte of each frame (extended
// and mixed addressing) it has room for 6.
//
// # The check
//
// A message that without it is longer than a Single Frame of classic CAN with the
// address it is sent to (7 bytes, or 6 with an address byte) ends in a CHECK. The
// length alone decides, not how many frames there are: on CAN FD a message of 62
// bytes with a CHECK goes in one frame, and has it all the same, as the receiver does
// not know how long the sender's frames are. OPEN and RESET never have one. Their
// header is in the First Frame, so what it says was said; and all versions know them.
//
// CHECK is the CRC-32 of IEEE 802.3 over all bytes of the message before it, header
// included: polynomial 04C11DB7, reflected (EDB88320), initial value and final XOR
// FFFFFFFF; that of the nine ASCII characters 123456789 is CBF43926. It is written big
// endian, as all numbers here. For example the opener of session BEEF sends the bytes
// 01 to 03, and in another message the bytes 01 to 06, with the SEQ 0102 and 0103:
//
//	2C BEEF 0102 010203 61378DEE
//	2F BEEF 0103 0011 010203040506 95BA13DF
//
// A message whose CHECK is wrong, or which has none and would have to, is ignored as
// if it had been lost. So what one message has begun and another has completed is
// never data, and is noticed as any loss is.
//
// # Sessions
//
// Many sessions live side by side over one pair. Each is named by the SESSION that
// its opener has chosen, and by who that was: FROM is 0 in the messages of the
// opener, 1 in those of the acceptor. Hence both sides can open sessions at the
// same time, even with the same number.
//
// The opener chooses SESSION and its first SEQ at random. It sends OPEN, and again
// after 0.1, 0.2, 0.4, 0.8 s and then each second, until ACCEPT or RESET comes or
// it gives up and sends a RESET. The acceptor answers each OPEN of a session with
// ACCEPT, whose SEQ is its own first one, chosen at random too; it may send DATA
// right after the first. If it has no room for more sessions now it does not answer,
// and if it does not accept any it answers RESET.
//
// An OPEN for a session that is there, but with another first SEQ, comes from an
// opener that was restarted: the old session ends with an error, without a RESET,
// and a new one begins. An ACCEPT for an open session, but with another first SEQ,
// comes from an acceptor that was: the opener answers RESET. While it waits for
// ACCEPT an opener ignores all but ACCEPT and RESET.
//
// # Sequence numbers
//
// Each direction is numbered from its first SEQ on, modulo 65536. DATA and END carry
// their own number, OPEN and ACCEPT always the first; WINDOW, PING and PONG, which
// have none, that of the next DATA or END. RESET has a SEQ of the other direction:
// that of the message which it answers, or else of the next DATA or END expected; or
// from an opener that has had no ACCEPT, that of its OPEN. A RESET with another SEQ,
// one that was not used in this session, is for an earlier session with the same
// number, and is ignored.
//
// Hence every message tells whether one was lost before it: its SEQ is ahead of
// what is expected. Then data is missing, the receiver sends RESET, and the session
// is an error on both sides. A SEQ up to 16 behind is that of a message that came
// twice, which is ignored; one further behind is a loss too. A sender whose DATA or
// END (or ACCEPT) is followed by nothing for a second sends a PING: so a loss at the
// end is noticed as well. PONG says that there was none.
//
// A message that the transport has certainly not delivered, because it was given
// up before its last frame was sent, keeps its number for the next one, which may be
// the same again or another. Here this is done only before its first frame was sent:
// what has begun goes on to its end. A message whose frames were used up by another
// is a loss.
//
// # Windows
//
// Nobody sends more than the peer has room for. LIMIT is how many bytes of the
// stream the peer may have sent since the session began (payloads of DATA only),
// in units of 256 bytes, modulo 65536; it never goes back. It begins with the
// WINDOW of OPEN or ACCEPT, in the same unit. No more than 65280 bytes beyond what
// was received may be granted, so that there are never so many DATA on their way
// that their loss would look like a repetition. Who gets more than the limit ends
// the session with RESET.
//
// A receiver sends WINDOW when it has room again for 3/4 of its window. A WINDOW
// can be lost: who has had to wait for a second sends PING, and goes on doing so
// after 1, 2, 4, 8 and then each 15 s.
//
// # The end
//
// After END nothing is sent in this direction but WINDOW, PING, PONG and RESET. A
// session is over when both directions have ended. Who has closed both directions
// on his side and has sent END ignores what still belongs to the session until it
// is over, but answers DATA with RESET: nobody will read them.
//
// RESET ends both directions at once. A message, other than OPEN and RESET, of a
// session that is unknown is answered by RESET; not more than some 100 times a
// second. The REASONs are those of type [Reason]; unknown ones are as good as
// others.
//
// A PING that is not answered is repeated; 9 in a row without any message from the
// peer end the session. In an idle session a PING is sent after 15 s (keep-alive)
// or never, as each side likes.
//
// # Versions
//
// This is version 2. OPEN has the version that the opener would speak; who does
// not know it answers RESET with the reason BadVersion and, after it, the highest
// version that it does know (1 byte). An opener that knows that version may begin
// again with it; this one does not, and its error names both. ACCEPT has the version
// of the OPEN. A future version may change all but this: the header, OPEN and its
// repetition, and RESET.
//
// Version 1 had no CHECK, and is not spoken any more.
package stream
