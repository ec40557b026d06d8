// Package slcan is a CAN adapter on a serial line that speaks slcan, the text
// protocol of Lawicel's CAN232 and CANUSB, which CANable and many others speak too.
// It works on every operating system, without drivers. Importing it makes
// [canbus.Open] know the scheme "slcan":
//
//	import _ "example.com/isotp/canbus/slcan"
//
//	c, err := isotpnet.Dial("isotp", "slcan:/dev/ttyACM0@500000/7E0:7E8")
//
// Names are slcan:PORT@BITRATE: slcan:/dev/ttyACM0@500000, on Windows
// slcan:COM3@500000. A serial port of another computer, which ser2net or socat gives
// out as plain TCP, is slcan:tcp:HOST:PORT@500000, with IPv6
// slcan:tcp:[fe80::1%eth0]:3333@500000; it has 5 s to be reached. The bit rate is one of
// 10000, 20000, 50000, 83300, 100000, 125000, 250000, 500000, 750000, 800000 and 1000000
// (the commands S0 to S9, see below), or s and the digits of the adapter's timing
// registers: slcan:/dev/ttyUSB0@s031C. What may follow:
//
//	,data=2000000   CAN FD: the bit rate of the data phase, 1000000, 2000000, 4000000
//	                or 5000000, with the commands of CANable 2 (d, D, b, B and Y)
//	,baud=1000000   the speed of the serial line, 115200 without; USB adapters do
//	                not care
//	,listen         listen only: nothing is sent, no acknowledgement either
//	,wait=5s        how long an adapter that does not answer is asked again, 3s
//	                without; 0 asks it once
//	,family=canable what the adapter's commands mean, where it does not tell:
//	                lawicel, canable or canable2.5
//	,flush=50ms     how much longer Close waits than the frames take on the wire,
//	                20ms without
//
// A port that a program has open is not open to others. [Ports] lists the ports that may be
// adapters'.
//
// # Which adapter it is
//
// [Open] asks the adapter for its version (V), until it tells: an Arduino restarts when
// its port is opened, and hears nothing for 2 s. An adapter that answers otherwise is asked
// for a second more, and then taken for one that does not tell. If it has not answered when
// the wait is over, Open takes it for one that never answers, and logs a warning.
//
// Adapters do not agree on the commands S7 and S9, and some ignore without a word what
// they do not know. So Open asks for the version behind each command, and does not take
// a bit rate for another: what the adapter does not have is an error, and what cannot be
// told needs the option family.
//
//	adapter                   version          S7       S9      listen only
//	Lawicel, most others      V1013            800000   error   L
//	CANable 1                 ...canable-fw    750000   none    M1, O
//	CANable 2                 ...canable2-fw   750000   83300   M1, O
//	CANable 2.5 (ElmueSoft)   +Board...        800000   83300   M1, O
//	another, or none          ...              refused  if it answers  L; if that is unknown M1, O
//
// As published, CANable 2 makes about 1400000 of S7 (a warning is logged), and CANable
// 1 and 2 forget M1 when the channel opens: they acknowledge frames all the same. Some
// programs for Arduinos call themselves V1013 and set 500000 for S7.
//
// # What is on the wire
//
// Adapters have a queue, and do not tell when a frame has left it. They only answer each
// frame when it is in the queue, or is refused:
//
//	adapter                             to a frame         so a frame that is refused
//	CAN232, CANUSB, Arduinos, others    z, Z or CR; BEL    comes back as refused
//	CANable 2.5, version 100 on         #; # and a digit   comes back as refused
//	CANable 1 of 2019                   CR; BEL            comes back as refused
//	CANable 1 of 2021, CANable 2        nothing            is lost silently
//	some                                BEL alone          is counted and logged
//
// So the Bus keeps an account of up to 64 frames that the adapter has not answered.
// Each comes back from ReadFrames with the flag Echo when it has been answered, or with
// Echo and Refused, in order. An answer does not say which frame it belongs to, and a
// single one that is lost, or one too many, would spoil all that follow. Therefore the
// Bus sends V behind a refusal, and when a frame has no answer after 100 ms: if as many
// answers as frames have come before the version does, all is well, else all frames in
// the account come back as refused. Behind a refusal it asks for the adapter's status
// (F) instead, where the adapter has one: an error frame tells what it says, as another
// does of what CANable 2.5 reports of its own.
//
// Which frames an adapter answers shows with the first one. From one that does not, a
// frame comes back as soon as it has been written. The Bus itself sends no faster than
// the wire can, with what it hears of others, or the adapter's queue would overflow.
//
// [Bus.Close], and [Bus.Flush], wait until the adapter has answered all frames, or a V
// behind them; then for the time that they take on the wire from then on, and 20 ms: an
// adapter stops at once when its channel is closed, and throws its queue away. They wait
// for one second more than the frames take, at most. Where the wire is busy with frames
// of others that go first and that the adapter does not show, the margin (flush=) has to
// be longer. With bit rates by timing registers the time of the wire is known only
// where they are the four digits of an SJA1000.
//
// So, with isotpnet: a Write that returns nil has had all its frames taken by an adapter
// that answers frames; that takes one round trip on USB for its last frame, 1 to 2 ms
// with most, 16 ms with FTDI chips whose latency timer was not set. Behind Close they
// are on the wire, if the wire works: that an adapter waits for an acknowledgement in
// vain only its status tells.
//
// # What is lost
//
// When the adapter is gone, every call fails with [canbus.GoneError], which says why, and
// of how many frames it is not known that the adapter had them; it is net.ErrClosed to
// errors.Is. The Bus loses received frames only if ReadFrames is not
// called while frames are written; it counts them ([Bus.Dropped]). Otherwise it holds the
// adapter up. What the adapter then loses only its status tells, if it has one: ReadFrames
// returns that as an error frame (see above). [Bus.Refused] counts frames that were
// refused, and [Bus.Malformed] lines that are no frames.
package slcan
