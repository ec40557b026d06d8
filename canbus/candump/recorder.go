package candump

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"example.com/isotp/canbus"
)

const (
	defaultQueueLen = 65536
	// interval is the time between syncs, between attempts while writing fails, and
	// between reports of lost frames.
	interval = time.Second
	// hold is how long frames that were read wait for a write to the bus that is under way:
	// they may be the answer to its frames, which stand before them in the log.
	hold = 10 * time.Millisecond
)

// RecorderOptions are the options of a [Recorder]. The zero value is one file that grows
// without limit.
type RecorderOptions struct {
	// MaxSize is how many bytes a file may have. When the next line does not fit, the
	// file gets a number of six digits behind its name, and a new file is begun:
	// drive.log.000001 is the oldest. 0: no limit. Negative: an error.
	MaxSize int64
	// MaxFiles is how many files there may be, with the one that is being written; the
	// oldest are removed. 0: no limit. Negative: an error. It needs MaxSize.
	MaxFiles int
	// Sync is how often the file is synced to the disk, if something was written. 0:
	// every second; negative: never, which leaves it to the operating system.
	Sync time.Duration
	// QueueLen is how many frames may wait in memory. 0: 65536, which are 8 MB. Negative:
	// an error.
	QueueLen int
	// OnError, if not nil, is called with each error, one at a time. A *[LostError] tells
	// of frames that are lost, and a *[DroppedError] of those that a bus has dropped, each
	// at most once a second. OnError must not call Close.
	OnError func(error)
}

func (o *RecorderOptions) setDefaults() error {
	switch {
	case o.MaxSize < 0:
		return fmt.Errorf("candump: MaxSize %d is negative (0 is no limit)", o.MaxSize)
	case o.MaxFiles < 0:
		return fmt.Errorf("candump: MaxFiles %d is negative (0 is no limit)", o.MaxFiles)
	case o.MaxFiles > 0 && o.MaxSize == 0:
		return fmt.Errorf("candump: MaxFiles %d without MaxSize (set both)", o.MaxFiles)
	case o.QueueLen < 0:
		return fmt.Errorf("candump: QueueLen %d is negative (0 means %d)", o.QueueLen, defaultQueueLen)
	}
	if o.QueueLen == 0 {
		o.QueueLen = defaultQueueLen
	}
	return nil
}

// Stats count frames.
type Stats struct {
	Recorded uint64 // the operating system has them
	Waiting  int    // in memory
	Lost     uint64 // not recorded
	Dropped  uint64 // dropped by the buses before they could be recorded (see canbus.DropCounter)
}

// A LostError tells of frames that were not recorded.
type LostError struct {
	Frames uint64
	Err    error // why
}

func (e *LostError) Error() string {
	return fmt.Sprintf("candump: %d frames were not recorded: %v", e.Frames, e.Err)
}

// Unwrap returns Err.
func (e *LostError) Unwrap() error { return e.Err }

// A DroppedError tells of frames that a bus has dropped before they could be recorded,
// because they were not read in time.
type DroppedError struct {
	Frames uint64
	Bus    string // its name in the log
}

func (e *DroppedError) Error() string {
	return fmt.Sprintf("candump: %d frames were not recorded: %s has dropped them, as they were not read in time", e.Frames, e.Bus)
}

var (
	errRefused   = errors.New("the bus has not sent it")
	errQueueFull = errors.New("writing is too slow, or fails, and the queue is full")
	errClosed    = errors.New("the recorder was closed")
)

// A Recorder writes a log. It is safe for concurrent use, by any number of buses.
type Recorder struct {
	o    RecorderOptions
	log  *logFile
	kick chan struct{} // holds a token when something has changed
	over chan struct{} // closed by Close
	done chan struct{} // closed when the scribe has ended
	once sync.Once

	mu      sync.Mutex // guards what follows
	queue   []record   // by seq
	held    int        // how many frames the scribe has taken and not yet written
	seq     uint64
	writes  []write   // calls under way that write to a bus
	taken   uint64    // the highest seq that the scribe has taken
	takenAt time.Time // when
	stats   Stats
	why     error             // why the last frames were lost
	dropped map[string]uint64 // by bus: dropped frames that OnError was not told of yet
	news    []error           // errors that OnError was not told yet
	ended   bool              // Close was called
	last    error             // the error of writing or closing at the end
}

// A record is a frame that is to be recorded.
type record struct {
	seq   uint64
	frame canbus.Frame
	bus   string
}

// A write is a call under way that writes to a bus. Its frames stand in the log before all
// frames that were read since it began.
type write struct {
	seq   uint64
	begun time.Time
}

// Create begins a log, or goes on with one that is there already. It cuts off and reports
// half a line at the file's end, as a crash may leave it. It does not touch a file that is
// no log: it returns an error. If the file is moved or deleted later, the next sync notices
// and reports that, and begins a new file. Two Recorders cannot write one file.
func Create(file string, o RecorderOptions) (*Recorder, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	log := &logFile{path: file, maxSize: o.MaxSize, maxFiles: o.MaxFiles, noSync: o.Sync < 0, rename: os.Rename}
	cut, err := log.begin()
	if err != nil {
		return nil, err
	}
	return newRecorder(log, o, cut), nil
}

// NewRecorder writes a log to w, as a pipe to another program. It does not close w.
// MaxSize, MaxFiles and Sync are for files: they must be 0.
func NewRecorder(w io.Writer, o RecorderOptions) (*Recorder, error) {
	if o.MaxSize != 0 || o.MaxFiles != 0 || o.Sync != 0 {
		return nil, fmt.Errorf("candump: MaxSize %d, MaxFiles %d and Sync %v are for files, see Create", o.MaxSize, o.MaxFiles, o.Sync)
	}
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	return newRecorder(&logFile{w: w}, o, nil), nil
}

func newRecorder(log *logFile, o RecorderOptions, news error) *Recorder {
	r := &Recorder{
		o:    o,
		log:  log,
		kick: make(chan struct{}, 1),
		over: make(chan struct{}),
		done: make(chan struct{}),
	}
	log.report = r.tell
	if news != nil {
		r.tell(news)
	}
	go (&scribe{Recorder: r}).run()
	return r
}

// Record records frames of a bus of that name, in which spaces become _. A frame
// whose time is not known (see [canbus.Timed]) gets the time of now. A frame that is not
// valid (see [canbus.Frame.Validate]; error frames are valid here) is lost, and counted.
// Record leaves out a frame of our own that the bus has refused ([canbus.Refused]): it was
// never sent. Record never waits for the disk.
func (r *Recorder) Record(frames []canbus.Frame, bus string) {
	if len(frames) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	now := time.Now().UnixNano()
	for len(frames) > 0 {
		good, bad := valid(frames)
		added := r.insert(r.seq, good)
		for i := range added {
			added[i].frame, added[i].bus = frames[i], bus
			if !frames[i].Has(canbus.Timed) {
				added[i].frame.Stamp(now)
			}
		}
		if bad != nil {
			good++
		}
		if bad != nil && bad != errRefused {
			r.lose(1, bad)
		}
		frames = frames[good:]
	}
}

// valid returns how many frames can be recorded, and what is wrong with the next.
func valid(frames []canbus.Frame) (int, error) {
	for i := range frames {
		f := frames[i]
		if f.Has(canbus.Echo | canbus.Refused) {
			return i, errRefused
		}
		if f.Has(canbus.ErrorFrame) {
			f.Flags = canbus.Extended // the error class has up to 29 bits
		}
		if err := f.Validate(); err != nil {
			return i, err
		}
	}
	return len(frames), nil
}

// begin is called before a call that writes to a bus.
func (r *Recorder) begin() (seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	r.writes = append(r.writes, write{r.seq, time.Now()})
	return r.seq
}

// end is called after it, and records the frames that it has written.
func (r *Recorder) end(seq uint64, frames []canbus.Frame, bus string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := 0
	for r.writes[i].seq != seq {
		i++
	}
	at := r.writes[i].begun
	r.writes = append(r.writes[:i], r.writes[i+1:]...)
	if r.taken > seq && at.Before(r.takenAt) {
		at = r.takenAt // the call took so long that frames behind it are written already
	}
	if earliest := time.Now().Add(-hold); at.Before(earliest) {
		at = earliest
	}
	added := r.insert(seq, len(frames))
	for i := range added {
		added[i].frame, added[i].bus = frames[i], bus
		added[i].frame.Stamp(at.UnixNano())
		added[i].frame.Flags |= canbus.Echo
	}
	r.wake() // frames may have waited for this write
}

// insert makes room for up to n frames in the queue, and counts those that it has no room
// for as lost. Under mu.
func (r *Recorder) insert(seq uint64, n int) []record {
	if n == 0 {
		return nil
	}
	old := len(r.queue)
	room := r.o.QueueLen - r.held - old
	switch {
	case r.ended:
		room = 0
		r.lose(n, errClosed)
	case room < n:
		room = max(room, 0)
		r.lose(n-room, errQueueFull)
	default:
		room = n
	}
	if room > 0 {
		r.queue = append(r.queue, make([]record, room)...)
	}
	i := old
	for i > 0 && r.queue[i-1].seq > seq {
		i--
	}
	copy(r.queue[i+room:], r.queue[i:old])
	added := r.queue[i : i+room]
	for k := range added {
		added[k].seq = seq
	}
	r.wake()
	return added
}

func (r *Recorder) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// lose counts lost frames. Under mu.
func (r *Recorder) lose(n int, why error) {
	r.stats.Lost += uint64(n)
	r.why = why
}

// drop counts frames that a bus has dropped.
func (r *Recorder) drop(n uint64, bus string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Dropped += n
	if r.dropped == nil {
		r.dropped = make(map[string]uint64)
	}
	r.dropped[bus] += n
	r.wake()
}

// tell queues an error for OnError.
func (r *Recorder) tell(err error) {
	const most = 100 // OnError may be slow
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.news) < most {
		r.news = append(r.news, err)
	}
	r.wake()
}

// Stats returns what was counted.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Waiting = len(r.queue) + r.held
	return s
}

// Close writes the frames that wait, syncs the file unless Sync is negative, and closes it.
// It waits for the disk. Frames that cannot be written now are lost. Its error is a
// *[LostError] if frames were lost at any time. Wrapped buses go on; their frames are lost
// from now on, and counted. A second Close returns the same error.
func (r *Recorder) Close() error {
	r.once.Do(func() {
		r.mu.Lock()
		r.ended = true
		r.mu.Unlock()
		close(r.over)
	})
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stats.Lost > 0 {
		return &LostError{r.stats.Lost, r.why}
	}
	return r.last
}
