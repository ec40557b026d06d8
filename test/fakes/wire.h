// The bus of a fake, the CAN controllers on it, and its faults. Each library has one
// bus in each process. All functions of this file are called with lock() held.

#ifndef WIRE_H
#define WIRE_H

#include "system.h"

enum {
    FRAME_EXTENDED = 1,
    FRAME_REMOTE = 2,
    FRAME_FD = 4,
    FRAME_BRS = 8,
    FRAME_ESI = 16,
    FRAME_ERROR = 32, // id is one of the kinds below
};

// The kinds of errors on a bus.
enum { BIT_ERROR, STUFF_ERROR, FORM_ERROR, CRC_ERROR };

struct frame {
    uint32_t id;
    uint8_t flags;
    uint8_t length; // of the data in bytes; of a remote frame what it asks for
    uint8_t data[64];
    uint64_t time; // when it was on the wire, by now()
    uint32_t mark; // the library's own
};

// An inbox holds what a program has not read yet. When it is no longer empty it
// signals its event.
struct inbox {
    struct frame *frames;
    int capacity, first, count;
    event_t event;
};

void inbox_open(struct inbox *in, int capacity);
void inbox_close(struct inbox *in); // leaves the event open
void inbox_clear(struct inbox *in);
bool inbox_put(struct inbox *in, const struct frame *f); // false if it is full
bool inbox_take(struct inbox *in, struct frame *f);      // false if it is empty

enum bus_state { ERROR_ACTIVE, ERROR_WARNING, ERROR_PASSIVE, BUS_OFF };

// Frames that wait to be sent.
struct outgoing {
    struct frame frame;
    void *sender;   // whose it is, for arrived
    uint64_t order; // of all writes on the bus
    uint64_t due;   // not sent before
};

#define MAX_OUTGOING 4096

struct controller {
    // What the hardware is. The library sets these once.
    bool fd_capable;
    // arrived is told of each frame on the wire, its own ones too: sender is what
    // wire_write was given then, else NULL.
    void (*arrived)(struct controller *c, const struct frame *f, void *sender);
    // changed is told of a new state, and of a pulled cable if that is announced.
    void (*changed)(struct controller *c);

    // How it is set up. The library sets these, and calls wire_start.
    bool on;     // takes part in the bus
    bool silent; // does not send, and does not acknowledge
    bool fd;     // sends and understands CAN FD
    uint32_t bitrate, data_bitrate;

    // How it is. The library reads these.
    enum bus_state state;
    uint8_t transmit_errors, receive_errors;
    bool pulled;   // its cable
    int pull_code; // what the calls return then; 0 for what is usual

    // The rest is the wire's.
    struct outgoing outgoing[MAX_OUTGOING];
    int first, waiting;
    int transmit_queue; // how many may wait
    int refuse;         // how many writes are refused
    int lose;           // how many frames are lost that it should receive
    bool held;          // sends nothing
    uint64_t delay;     // from a write to the wire, in microseconds
    int pull_after;     // how many calls from now the cable is pulled; 0 for never
    uint64_t calls;     // how many calls of the library were for it
};

// wire_lock is lock, and has the library add its controllers if it has not yet.
void wire_lock(void);

// wire_add puts a controller on the bus.
void wire_add(struct controller *c);

// wire_call counts a call of the library for this controller.
void wire_call(struct controller *c);

// wire_write queues a frame. It returns false if there is no room.
bool wire_write(struct controller *c, const struct frame *f, void *sender);

// wire_lost returns whether the frame that has arrived is to be lost.
bool wire_lost(struct controller *c);

// wire_start makes a controller error active, with an empty queue.
void wire_start(struct controller *c);

// wire_clear throws the frames away that wait to be sent: those of one sender, or all
// if it is NULL.
void wire_clear(struct controller *c, void *sender);

// dlc_length and length_dlc translate the DLC of a CAN FD frame; length_dlc returns -1
// for a length that no frame has.
int dlc_length(int dlc);
int length_dlc(int length);

// What each library has.
void fake_library_start(void); // adds its controllers
struct controller *fake_controller(int channel); // NULL if there is none
void fake_library_reset(void);                   // closes all that is open

#endif
