// Package candump records CAN buses to log files, and is the bus that plays a log.
// The files are those of candump -l, which can-utils and python-can write and read
// too:
//
//	(1700000000.123456) can0 7E0#021003
//	(1700000000.124011) can0 7E8#065003003201F4 T
//
// The T at the end, which candump has with the option -x, is that of frames sent by
// the recording program.
//
// # Playing a log
//
// Importing the package makes [canbus.Open] know the scheme "candump":
//
//	import _ "example.com/isotp/canbus/candump"
//
//	d := isotpnet.Dialer{Config: isotpnet.Config{ListenOnly: true}}
//	c, err := d.Dial("isotp", "candump:drive.log/7E0:7E8")
//
// Names are candump:FILE, or candump:- for standard input. What may follow:
//
//	,fast           as fast as the reader reads
//	,speed=10       ten times as fast as the log's own pace; 0.1: slower
//	,interface=can1 the frames of this interface only; a log may hold several
//	,maxpause=5s    make longer pauses as short as this, in the log's time
//
// A [Bus] begins with its first ReadFrames. Its first frame comes at once, and all
// others as long after it as the log says: a frame that the reader takes late does
// not delay those after it. Where the time runs backwards, because a clock was set
// or logs were joined, it stands still for one frame and goes on from there. A
// frame's Timestamp is the log's. The flag Echo is taken off: what was sent then was
// not sent by who listens now.
//
// A log waits for its reader, and its time is that of its frames (Waits and OwnTime of
// [canbus.Properties]): whether a message was complete in time does not depend on how
// fast it is played.
//
// Behind the last frame ReadFrames returns [ErrEnd], which is io.EOF to errors.Is; or,
// behind a log that has frames of other interfaces only, an [InterfaceError].
//
// # Lines
//
// Read are those that candump -l, python-can and [canbus.AppendLogLine] write, and what
// canplayer, log2asc and people's editors make of them (see [canbus.ParseLogLine]): a
// remark behind the frame, a byte order mark, CR LF, a last line without an end.
// Skipped are blank lines and those that do not begin with (, as comments and candump's
// own of dropped frames (DROPCOUNT). All others are a [LineError], which names the line;
// it is temporary, that is, the next ReadFrames goes on behind it, and counted
// ([Bus.Malformed]), as not all users of a bus look at such errors. A file whose
// beginning has no frame, and no comments only, is not opened.
//
// What is written to the Bus nobody hears, as if all others on the wire had lost
// their tongue: it is taken and counted ([Bus.Unheard]). So what receives a recorded
// message may send flow control, and a tester ask questions whose answers are in the
// log. To be sure to send nothing, use Config.ListenOnly.
//
// # Recording
//
// A [Recorder] writes one log. [Recorder.Wrap] gives a bus that does what another
// one does and records all that passes, in both directions; [Recorder.Listen]
// records a bus that one listens to; [Recorder.Record] takes frames from anywhere.
//
// None of them waits for the disk: frames wait in memory, of which
// RecorderOptions.QueueLen is the limit, for a goroutine that writes them at once.
// What [Stats] count as recorded the operating system has, and it survives a crash of
// the program. Against a crash of the computer it is synced once a second
// (RecorderOptions.Sync).
//
// What goes wrong is told to RecorderOptions.OnError and does not concern the buses.
// While the disk is full or gone, frames wait, and the recorder tries again every
// second; those that no longer fit in memory are lost, counted and reported. So are
// those that a bus drops because it is not read in time.
package candump
