#include "wire.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CONTROLLERS 8

static struct controller *controllers[MAX_CONTROLLERS];
static int number_of_controllers;
static uint64_t writes;            // since the library was loaded
static bool real_time;             // frames take as long as their bits
static uint64_t pace;              // microseconds that each frame takes else
static uint64_t busy;              // until when the wire is
static uint64_t last;              // the time of the frame before
static bool acknowledged = true;   // by nodes that are not ours

// An inbox.

void inbox_open(struct inbox *in, int capacity) {
    in->frames = calloc((size_t)capacity, sizeof *in->frames);
    if (in->frames == NULL)
        abort();
    in->capacity = capacity;
    in->first = in->count = 0;
}

void inbox_close(struct inbox *in) {
    inbox_clear(in);
    free(in->frames);
    in->frames = NULL;
    in->capacity = 0;
}

void inbox_clear(struct inbox *in) {
    in->first = in->count = 0;
    clear_event(in->event);
}

bool inbox_put(struct inbox *in, const struct frame *f) {
    if (in->count == in->capacity)
        return false;
    in->frames[(in->first + in->count) % in->capacity] = *f;
    if (in->count++ == 0)
        set_event(in->event);
    wake();
    return true;
}

bool inbox_take(struct inbox *in, struct frame *f) {
    if (in->count == 0)
        return false;
    *f = in->frames[in->first];
    in->first = (in->first + 1) % in->capacity;
    if (--in->count == 0)
        clear_event(in->event);
    return true;
}

// The bus.

static bool takes_part(const struct controller *c) {
    return c->on && !c->pulled && c->state != BUS_OFF;
}

static void set_state(struct controller *c, enum bus_state state) {
    static const uint8_t errors[] = {0, 96, 128, 255};
    c->transmit_errors = errors[state];
    if (c->state == state)
        return;
    c->state = state;
    c->changed(c);
    wake();
}

// understands returns whether c makes out the frames of a sender: the bit rates are the
// same, and a frame of CAN FD needs a controller that has it.
static bool understands(const struct controller *c, const struct controller *sender, const struct frame *f) {
    if ((f->flags & FRAME_FD) && !c->fd)
        return false;
    if (sender == NULL || (f->flags & FRAME_ERROR))
        return true;
    return c->bitrate == sender->bitrate && (!(f->flags & FRAME_BRS) || c->data_bitrate == sender->data_bitrate);
}

// deliver gives a frame to all on the bus. A controller that cannot make it out sees an
// error in its place.
static void deliver(struct controller *from, struct frame f, void *sender, uint64_t time) {
    f.time = last = time > last ? time : last;
    for (int i = 0; i < number_of_controllers; i++) {
        struct controller *c = controllers[i];
        if (!takes_part(c))
            continue;
        if (c == from) {
            c->arrived(c, &f, sender);
        } else if (understands(c, from, &f)) {
            c->arrived(c, &f, NULL);
        } else {
            struct frame error = {.id = STUFF_ERROR, .flags = FRAME_ERROR, .time = f.time};
            c->arrived(c, &error, NULL);
        }
    }
}

// heard returns whether some node acknowledges the frames of c.
static bool heard(const struct controller *c) {
    if (acknowledged)
        return true;
    for (int i = 0; i < number_of_controllers; i++) {
        struct controller *other = controllers[i];
        if (other != c && takes_part(other) && !other->silent && other->bitrate == c->bitrate)
            return true;
    }
    return false;
}

// duration returns for how many microseconds a frame is on the wire, with as many stuff
// bits as its length may need.
static uint64_t duration(const struct controller *c, const struct frame *f) {
    if (!real_time)
        return pace;
    uint64_t bytes = f->flags & FRAME_REMOTE ? 0 : 8 * f->length, extended = f->flags & FRAME_EXTENDED ? 20 : 0;
    if (!(f->flags & FRAME_FD)) {
        uint64_t stuffed = 34 + extended + bytes;
        return (stuffed + stuffed / 4 + 13) * 1000000 / c->bitrate + 1;
    }
    uint64_t nominal = (17 + extended) * 5 / 4 + 14, data = (5 + bytes) * 5 / 4 + 32;
    return nominal * 1000000 / c->bitrate + data * 1000000 / (f->flags & FRAME_BRS ? c->data_bitrate : c->bitrate) + 2;
}

// next returns the controller whose frame was written first of those that can be sent. It
// sets *end to when that frame has left: it begins when it is due and the wire is free.
static struct controller *next(uint64_t *end) {
    struct controller *best = NULL;
    uint64_t t = now(), first = FOREVER;
    *end = FOREVER;
    for (int i = 0; i < number_of_controllers; i++) {
        struct controller *c = controllers[i];
        if (c->waiting == 0 || c->held || c->silent || !takes_part(c))
            continue;
        if (!heard(c)) {
            set_state(c, ERROR_PASSIVE); // it tries again and again
            continue;
        }
        const struct outgoing *o = &c->outgoing[c->first];
        uint64_t free = o->due > busy ? o->due : busy;
        uint64_t start = free > t ? free : t;
        if (best == NULL || start < first || (start == first && o->order < best->outgoing[best->first].order)) {
            best = c;
            first = start;
            *end = free + duration(c, &o->frame);
        }
    }
    return best;
}

// carry is the thread that moves frames from the queues of controllers to the bus.
static void carry(void) {
    lock();
    for (;;) {
        uint64_t end;
        struct controller *c = next(&end);
        if (end > now()) {
            wait_until(end);
            continue;
        }
        struct outgoing o = c->outgoing[c->first];
        c->first = (c->first + 1) % MAX_OUTGOING;
        c->waiting--;
        busy = end;
        if (c->state == ERROR_PASSIVE && !acknowledged)
            set_state(c, ERROR_ACTIVE);
        deliver(c, o.frame, o.sender, end);
        wake();
    }
}

static void set_defaults(struct controller *c) {
    c->pulled = false;
    c->pull_code = 0;
    c->state = ERROR_ACTIVE;
    c->transmit_errors = c->receive_errors = 0;
    c->transmit_queue = 128;
    c->refuse = c->lose = c->pull_after = 0;
    c->held = false;
    c->delay = 0;
    c->calls = 0;
    c->waiting = 0;
}

void wire_lock(void) {
    lock();
    if (number_of_controllers > 0)
        return;
    fake_library_start();
    start(carry);
}

void wire_add(struct controller *c) {
    if (number_of_controllers == MAX_CONTROLLERS)
        abort();
    set_defaults(c);
    controllers[number_of_controllers++] = c;
}

static void pull(struct controller *c, int code, bool announced) {
    c->pulled = true;
    c->pull_code = code;
    c->waiting = 0;
    if (announced)
        c->changed(c);
    wake();
}

void wire_call(struct controller *c) {
    c->calls++;
    if (c->pull_after > 0 && --c->pull_after == 0)
        pull(c, 0, false);
}

bool wire_write(struct controller *c, const struct frame *f, void *sender) {
    if (c->refuse > 0) {
        c->refuse--;
        return false;
    }
    if (c->waiting >= c->transmit_queue)
        return false;
    struct outgoing *o = &c->outgoing[(c->first + c->waiting++) % MAX_OUTGOING];
    *o = (struct outgoing){.frame = *f, .sender = sender, .order = ++writes, .due = now() + c->delay};
    wake();
    return true;
}

bool wire_lost(struct controller *c) {
    if (c->lose == 0)
        return false;
    c->lose--;
    return true;
}

void wire_start(struct controller *c) {
    c->waiting = 0;
    c->state = ERROR_ACTIVE;
    c->transmit_errors = c->receive_errors = 0;
    wake();
}

void wire_clear(struct controller *c, void *sender) {
    int kept = 0;
    for (int i = 0; i < c->waiting; i++) {
        struct outgoing *o = &c->outgoing[(c->first + i) % MAX_OUTGOING];
        if (sender != NULL && o->sender != sender)
            c->outgoing[(c->first + kept++) % MAX_OUTGOING] = *o;
    }
    c->waiting = kept;
    wake();
}

static const uint8_t lengths[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64};

int dlc_length(int dlc) { return dlc >= 0 && dlc < 16 ? lengths[dlc] : -1; }

int length_dlc(int length) {
    for (int dlc = 0; dlc < 16; dlc++)
        if (lengths[dlc] == length)
            return dlc;
    return -1;
}

// The faults, for tests. README.md says what each does. They return 0, or -1 if there is
// no such channel or the value is out of range.

// FAULT sets something of one channel.
#define FAULT(statement)                                                                                               \
    do {                                                                                                               \
        wire_lock();                                                                                                   \
        struct controller *c = fake_controller(channel);                                                               \
        if (c != NULL) {                                                                                               \
            statement;                                                                                                 \
            wake();                                                                                                    \
        }                                                                                                              \
        unlock();                                                                                                      \
        return c == NULL ? -1 : 0;                                                                                     \
    } while (0)

API int fake_hold(int channel, int on) { FAULT(c->held = on != 0); }
API int fake_pull(int channel, int code, int announced) { FAULT(pull(c, code, announced != 0)); }
API int fake_plug(int channel) { FAULT(c->pulled = false); }

API int fake_refuse(int channel, int writes) {
    if (writes < 0)
        return -1;
    FAULT(c->refuse = writes);
}

API int fake_lose(int channel, int frames) {
    if (frames < 0)
        return -1;
    FAULT(c->lose = frames);
}

API int fake_delay(int channel, int microseconds) {
    if (microseconds < 0)
        return -1;
    FAULT(c->delay = (uint64_t)microseconds);
}

API int fake_state(int channel, int state) {
    if (state < ERROR_ACTIVE || state > BUS_OFF)
        return -1;
    FAULT(set_state(c, (enum bus_state)state));
}

API int fake_pull_after(int channel, int calls) {
    if (calls < 0)
        return -1;
    FAULT(c->pull_after = calls);
}

API int fake_transmit_queue(int channel, int frames) {
    if (frames < 1 || frames > MAX_OUTGOING)
        return -1;
    FAULT(c->transmit_queue = frames);
}

// ANSWER returns something of one channel.
#define ANSWER(expression)                                                                                             \
    do {                                                                                                               \
        wire_lock();                                                                                                   \
        struct controller *c = fake_controller(channel);                                                               \
        int answer = c == NULL ? -1 : (int)(expression);                                                               \
        unlock();                                                                                                      \
        return answer;                                                                                                 \
    } while (0)

API int fake_calls(int channel) { ANSWER(c->calls); }
API int fake_waiting(int channel) { ANSWER(c->waiting); }
API int fake_bitrate(int channel) { ANSWER(c->bitrate); }
API int fake_data_bitrate(int channel) { ANSWER(c->data_bitrate); }
API int fake_mode(int channel) { ANSWER((c->on ? 1 : 0) | (c->silent ? 2 : 0) | (c->fd ? 4 : 0)); }

API int fake_send(uint32_t id, int flags, int length, const uint8_t *data) {
    if (flags < 0 || flags >= FRAME_ERROR || length < 0 || length > 64)
        return -1;
    struct frame f = {.id = id, .flags = (uint8_t)flags, .length = (uint8_t)length};
    if (data != NULL)
        memcpy(f.data, data, (size_t)length);
    wire_lock();
    deliver(NULL, f, NULL, now());
    unlock();
    return 0;
}

API int fake_flood(uint32_t id, int frames) {
    if (frames < 0)
        return -1;
    wire_lock();
    for (int i = 0; i < frames; i++) {
        struct frame f = {.id = id, .length = 4};
        f.data[0] = (uint8_t)(i >> 24);
        f.data[1] = (uint8_t)(i >> 16);
        f.data[2] = (uint8_t)(i >> 8);
        f.data[3] = (uint8_t)i;
        deliver(NULL, f, NULL, now());
    }
    unlock();
    return 0;
}

API int fake_error(int kind) {
    if (kind < BIT_ERROR || kind > CRC_ERROR)
        return -1;
    wire_lock();
    deliver(NULL, (struct frame){.id = (uint32_t)kind, .flags = FRAME_ERROR}, NULL, now());
    unlock();
    return 0;
}

API int fake_pace(int microseconds) {
    if (microseconds < 0)
        return -1;
    wire_lock();
    pace = (uint64_t)microseconds;
    unlock();
    return 0;
}

API int fake_real_time(int on) {
    wire_lock();
    real_time = on != 0;
    unlock();
    return 0;
}

API int fake_acknowledge(int on) {
    wire_lock();
    acknowledged = on != 0;
    wake();
    unlock();
    return 0;
}

API int fake_reset(void) {
    wire_lock();
    fake_library_reset();
    for (int i = 0; i < number_of_controllers; i++)
        set_defaults(controllers[i]);
    pace = busy = 0;
    real_time = false;
    acknowledged = true;
    wake();
    unlock();
    return 0;
}
