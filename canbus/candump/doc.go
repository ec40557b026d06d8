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
//	,gap=10ms       that much between all frames, whatever the log says
//	,interface=can1 the frames of this interface only; a log may hold several
//	,maxpause=5s    make longer pauses as short as this, in the log's time
//
// A [Bus] begins with its first ReadFrames. The first frame comes at once, and all
// others as long after it as the log says: a frame that the reader takes late does
// not delay the frames after it. Where the time runs backwards, because a clock was set
// or logs were joined, it stands still for one frame and goes on from there. A
// frame's Timestamp is the log's, 0 included; its Channel is the number of its interface
// where the format numbers them, and their names are these numbers (see Options.Interface). The Bus clears the flag Echo: the program that sent the
// frame was another one.
//
// A log loses nothing: it waits for its reader, and its time is that of its frames (Waits
// and OwnTime of [canbus.Properties]). So whether a message was complete in time does not
// depend on how fast the log is played.
//
// Behind the last frame ReadFrames returns [ErrEnd], which is io.EOF to errors.Is. If the
// log has frames of other interfaces only, it returns an [InterfaceError].
//
// # Lines
//
// A Bus finds the format by content (see package canlog). Of candump's it reads the lines that
// candump -l, python-can and [canbus.AppendLogLine] write, and what canplayer, log2asc and text
// editors make of them (see [canbus.ParseLogLine]), and the lines that candump shows on a
// terminal. It skips other lines, such as comments and candump's own lines of dropped frames
// (DROPCOUNT). For a line or record that should be a frame and is none, ReadFrames returns a
// [LineError], which says where it is. It is temporary: the next ReadFrames goes on behind it.
// [Bus.Malformed] counts these lines, because not every program looks at
// temporary errors. Open refuses a file whose beginning has such lines, and no frame, or that is
// a log in no format that is known.
//
// Nothing hears the frames that are written to the Bus: it takes them and counts them
// ([Bus.Unheard]). So a program that receives a recorded message may send flow control, and
// a tester may send requests whose answers are in the log. To be sure to send nothing, use
// Config.ListenOnly.
//
// # Recording
//
// A [Recorder] writes one log. [Recorder.Wrap] returns a bus that does what another
// bus does, and records all frames in both directions; [Recorder.Listen] reads a bus and
// records it; [Recorder.Record] takes frames from anywhere.
//
// None of them waits for the disk: up to RecorderOptions.QueueLen frames wait in memory for
// a goroutine that writes them at once. The operating system has the frames that [Stats]
// count as recorded, so they survive a crash of the program. Once a second the file is
// synced to the disk, against a crash of the computer (RecorderOptions.Sync).
//
// A Recorder tells errors to RecorderOptions.OnError; the buses go on. While the disk is
// full or gone, frames wait, and the Recorder tries again every second. Frames that no
// longer fit in memory are lost, and so are frames that a bus drops because it is not read
// in time: [Stats] count both, and OnError is told of both.
package candump
