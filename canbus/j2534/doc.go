// Package j2534 is a pass-thru adapter on Windows, as carmakers' programs use them: SAE J2534-1
// version 04.04. Its maker's library is loaded without cgo. Importing the package makes
// [canbus.Open] know the scheme "j2534":
//
//	import _ "example.com/isotp/canbus/j2534"
//
//	c, err := isotpnet.Dial("isotp", "j2534:openport@500000/7E0:7E8")
//
// This driver is experimental. It was tried against a simulated library, also under Wine, and not on
// hardware; in a program of 32 bits it was only compiled. If it works for you, or does not, tell the
// project which adapter you have, what [Bus.Version] and the errors say, and what isotp record wrote
// meanwhile.
//
// Names are j2534:NAME@BITRATE. NAME is a part of the adapter's name in the registry, in small or
// capital letters: openport means "Openport 2.0 J2534". It may be left out if one adapter is
// installed: j2534:@500000. [Adapters] and isotp link list those that are. The absolute path of a
// library does as well: j2534:C:\Windows\System32\op20pt32.dll@500000. Every adapter has the bit
// rates 125000, 250000 and 500000. What may follow:
//
//	,noecho   do not ask for echoes, see below
//
// Most libraries have 32 bits, and only a program of 32 bits can load them: a build with
// GOOS=windows GOARCH=386. A program of 64 bits finds them in the registry, too, and says so.
//
// On other systems there are no such libraries: nothing is loaded, and Open says what to use.
//
// # What is on the wire
//
// The Bus opens a channel of raw CAN: frames of classic CAN, with identifiers of 11 and of 29 bits,
// and the ISO-TP is that of this module. Version 04.04 has neither CAN FD nor remote frames, and
// WriteFrames refuses them. It asks for loopback. Then a frame comes back from ReadFrames with
// the flag Echo when it has left, and up to 64 frames are in flight. A frame that a later one has
// overtaken was not sent: it comes back with Echo and Refused. Where there are no echoes the Bus
// sends no faster than the wire can. If writes wait for echoes that never come, although others get
// the frames, say noecho.
//
// [Bus.Flush], and [Bus.Close], wait for the echoes of all frames. If none comes for a second
// longer than the frames take, no other node acknowledges them, perhaps. Where there are no echoes
// they wait as long as the frames take on the wire, and 20 ms.
//
// Such a library has no event: it is asked for messages, and waits for one for a millisecond. That
// is how long a frame may wait to be written, too; what is received is not late. One
// thread makes all calls, because libraries need not bear more. So a library has one Bus at a
// time in a program.
//
// # What is lost
//
// When the adapter is pulled out, every call fails with [canbus.GoneError], which says how many
// frames are in doubt, as soon as the library tells. The Bus holds up to 4096 frames that ReadFrames
// has not returned; it counts what does not fit ([Bus.Dropped]). If the adapter or the library has
// lost frames (ERR_BUFFER_OVERFLOW), that counts as one: they do not say how many. Echoes that may
// have been among them count as come.
//
// Version 04.04 does not tell of errors on the bus, nor of bus-off: there are no error frames. If
// 64 frames are in flight and no echo comes for two seconds, the Bus has the adapter throw away
// what it has to send. The frames come back as refused, and a warning is logged.
package j2534
