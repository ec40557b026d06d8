// A fake of Kvaser's CANlib: canlib32.dll on Windows, libcanlib.so on Linux.
//
// Written from the published interface: Kvaser's CANlib help (kvaser.com/canlib-webhelp),
// and how python-can's kvaser interface calls it. `long` is the C compiler's: 64 bits on
// Linux, 32 on Windows. What Kvaser does not say is marked "a guess".

#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int status_t;

enum {
    OK = 0,
    ERR_PARAM = -1,
    ERR_NOMSG = -2,
    ERR_NOTFOUND = -3,
    ERR_NOCHANNELS = -5,
    ERR_TIMEOUT = -7,
    ERR_NOTINITIALIZED = -8,
    ERR_NOHANDLES = -9,
    ERR_INVHANDLE = -10,
    ERR_TXBUFOFL = -13,
    ERR_HARDWARE = -15,
    ERR_NOT_SUPPORTED = -19,
    ERR_NO_ACCESS = -31,
};

// The flags of a message.
enum {
    MSG_RTR = 0x1,
    MSG_STD = 0x2,
    MSG_EXT = 0x4,
    MSG_ERROR_FRAME = 0x20,
    MSG_TXACK = 0x40,
    MSGERR_HW_OVERRUN = 0x200,
    MSGERR_SW_OVERRUN = 0x400,
    FDMSG_FDF = 0x10000,
    FDMSG_BRS = 0x20000,
    FDMSG_ESI = 0x40000,
    MSG_LOCAL_TXACK = 0x10000000,
};

enum {
    OPEN_EXCLUSIVE = 0x8,
    OPEN_REQUIRE_EXTENDED = 0x10,
    OPEN_ACCEPT_VIRTUAL = 0x20,
    OPEN_OVERRIDE_EXCLUSIVE = 0x40,
    OPEN_REQUIRE_INIT_ACCESS = 0x80,
    OPEN_NO_INIT_ACCESS = 0x100,
    OPEN_ACCEPT_LARGE_DLC = 0x200,
    OPEN_CAN_FD = 0x400,
    OPEN_CAN_FD_NONISO = 0x800,
    OPEN_FLAGS = 0xFF8,
};

enum { DRIVER_OFF = 0, DRIVER_SILENT = 1, DRIVER_NORMAL = 4 };

enum {
    STAT_ERROR_PASSIVE = 0x1,
    STAT_BUS_OFF = 0x2,
    STAT_ERROR_WARNING = 0x4,
    STAT_ERROR_ACTIVE = 0x8,
    STAT_TX_PENDING = 0x10,
    STAT_RX_PENDING = 0x20,
    STAT_TXERR = 0x80,
    STAT_RXERR = 0x100,
    STAT_HW_OVERRUN = 0x200,
    STAT_SW_OVERRUN = 0x400,
};

#define RECEIVE_QUEUE 4096

struct statistics {
    unsigned long std_data, std_remote, ext_data, ext_remote, error_frames, bus_load, overruns;
};

struct timing {
    long bitrate;
    unsigned tseg1, tseg2, sjw; // quanta; a bit has one more than both segments
};

struct channel {
    struct controller controller; // the first field: a controller is its channel
    const char *name;
    uint32_t card, number_on_card, serial;
    bool is_virtual;

    bool fd;        // opened for CAN FD
    bool exclusive; // the handle that is open is the only one
    struct handle *initializer; // the handle that may set the bit rates; NULL if none is open
    struct timing nominal, data;
    struct statistics statistics;
};

// Two channels of one card for CAN FD, one without it, and a virtual one.
static struct channel channels[] = {
    {.name = "Kvaser USBcan Pro 2xHS v2", .serial = 10101, .controller.fd_capable = true},
    {.name = "Kvaser USBcan Pro 2xHS v2", .serial = 10101, .number_on_card = 1, .controller.fd_capable = true},
    {.name = "Kvaser Leaf Light v2", .card = 1, .serial = 20202},
    {.name = "Kvaser Virtual CAN Driver", .card = 2, .is_virtual = true, .controller.fd_capable = true},
};
#define CHANNELS (int)(sizeof channels / sizeof channels[0])

struct handle {
    struct channel *channel; // NULL if the handle is not open
    struct inbox inbox;
    bool on_bus, silent, extended, large_dlc;
    uint32_t txack;
    bool local_echo, local_txack, error_frames, report_access, reset_time;
    uint32_t timer_scale; // microseconds of one unit of a time
    uint64_t zero;        // what times count from
    uint32_t code[2], mask[2]; // the filters, of 11 and of 29 bits
    uint32_t overruns;         // since they were reset
    uint32_t mark;             // of overruns that no message has told of yet
};

#define HANDLES 32
static struct handle handles[HANDLES];
static bool initialized; // canInitializeLibrary was called

// What becomes of frames.

static uint32_t message_flags(const struct frame *f) {
    uint32_t flags = f->flags & FRAME_EXTENDED ? MSG_EXT : MSG_STD;
    if (f->flags & FRAME_ERROR)
        return MSG_ERROR_FRAME;
    return flags | (f->flags & FRAME_REMOTE ? MSG_RTR : 0) | (f->flags & FRAME_FD ? FDMSG_FDF : 0) |
           (f->flags & FRAME_BRS ? FDMSG_BRS : 0) | (f->flags & FRAME_ESI ? FDMSG_ESI : 0);
}

// put queues a message for a handle. The next one after a loss is marked.
static void put(struct handle *h, struct frame f, bool lost) {
    f.mark |= h->mark;
    if (!lost && inbox_put(&h->inbox, &f)) {
        h->mark = 0;
        return;
    }
    h->mark = lost ? MSGERR_HW_OVERRUN : MSGERR_SW_OVERRUN;
    h->overruns |= h->mark;
    h->channel->statistics.overruns++;
}

static bool passes(const struct handle *h, const struct frame *f) {
    int i = f->flags & FRAME_EXTENDED ? 1 : 0;
    return (h->mask[i] & (h->code[i] ^ f->id)) == 0;
}

static void count(struct statistics *s, const struct frame *f) {
    if (f->flags & FRAME_ERROR)
        s->error_frames++;
    else if (f->flags & FRAME_EXTENDED)
        f->flags & FRAME_REMOTE ? s->ext_remote++ : s->ext_data++;
    else
        f->flags & FRAME_REMOTE ? s->std_remote++ : s->std_data++;
}

// arrived gives a frame to the handles of a channel. The handle that has sent it gets
// an acknowledgement if it wants one, and the others the frame, as from the bus.
static void arrived(struct controller *c, const struct frame *f, void *sender) {
    struct channel *ch = (struct channel *)c;
    bool lost = sender == NULL && wire_lost(c);
    count(&ch->statistics, f);
    for (int i = 0; i < HANDLES; i++) {
        struct handle *h = &handles[i];
        if (h->channel != ch || !h->on_bus)
            continue;
        struct frame m = *f;
        m.mark = message_flags(f);
        if (f->flags & FRAME_ERROR) {
            if (!h->error_frames)
                continue;
            m.id = 0x800; // means nothing
        } else if (sender == h) {
            if (h->txack != 1)
                continue;
            m.mark |= MSG_TXACK;
        } else if (sender != NULL) {
            if (!h->local_echo)
                continue;
            m.mark |= h->local_txack ? (uint32_t)MSG_LOCAL_TXACK : 0;
        }
        if (f->flags & FRAME_ERROR || passes(h, f))
            put(h, m, lost);
    }
}

// changed: the errors that make a controller worse are seen as error frames.
static void changed(struct controller *c) {
    struct channel *ch = (struct channel *)c;
    struct frame error = {.flags = FRAME_ERROR, .time = now()};
    for (int i = 0; i < HANDLES; i++)
        if (c->pulled && handles[i].channel == ch)
            set_event(handles[i].inbox.event); // announced
    if (!c->pulled && c->state != ERROR_ACTIVE)
        arrived(c, &error, NULL);
}

// enter begins each function with a handle: it takes the lock, and finds the handle. It
// sets *status if that is not open, or if the channel's cable is pulled.
static struct handle *enter(int hnd, status_t *status) {
    wire_lock();
    if (hnd < 0 || hnd >= HANDLES || handles[hnd].channel == NULL) {
        *status = ERR_INVHANDLE;
        return NULL;
    }
    struct handle *h = &handles[hnd];
    struct controller *c = &h->channel->controller;
    wire_call(c);
    *status = OK;
    if (c->pulled)
        *status = c->pull_code != 0 ? c->pull_code : ERR_HARDWARE;
    return h;
}

static status_t leave(status_t status) {
    unlock();
    return status;
}

// pulled returns the error of a call that has waited, if the cable was pulled or the
// handle was closed meanwhile.
static status_t pulled(const struct handle *h) {
    if (h->channel == NULL)
        return ERR_INVHANDLE;
    const struct controller *c = &h->channel->controller;
    if (!c->pulled)
        return OK;
    return c->pull_code != 0 ? c->pull_code : ERR_HARDWARE;
}

static uint64_t deadline(unsigned long milliseconds) {
    // 0xFFFFFFFF is forever, also where it comes as a long of 64 bits.
    if ((uint32_t)milliseconds == 0xFFFFFFFF)
        return FOREVER;
    return now() + (uint64_t)milliseconds * 1000;
}

// The library and its channels.

API void CALL canInitializeLibrary(void) {
    wire_lock();
    initialized = true;
    unlock();
}

API status_t CALL canUnloadLibrary(void) {
    wire_lock();
    fake_library_reset();
    return leave(OK);
}

API status_t CALL canGetNumberOfChannels(int *number) {
    wire_lock();
    if (!initialized)
        return leave(ERR_NOTINITIALIZED);
    if (number == NULL)
        return leave(ERR_PARAM);
    *number = CHANNELS;
    return leave(OK);
}

API unsigned short CALL canGetVersion(void) { return 8 << 8 | 50; }

API unsigned int CALL canGetVersionEx(unsigned int item) {
    (void)item;
    return 8 << 16 | 50 << 8;
}

API status_t CALL canGetErrorText(status_t error, char *text, unsigned int size) {
    static const struct {
        status_t status;
        const char *text;
    } texts[] = {
        {OK, "no error"},
        {ERR_PARAM, "an argument is wrong"},
        {ERR_NOMSG, "there is no message"},
        {ERR_NOTFOUND, "the device was not found"},
        {ERR_NOCHANNELS, "no channel is free"},
        {ERR_TIMEOUT, "the time is over"},
        {ERR_NOTINITIALIZED, "the library is not initialized"},
        {ERR_NOHANDLES, "there are no more handles"},
        {ERR_INVHANDLE, "the handle is invalid"},
        {ERR_TXBUFOFL, "the transmit buffer is full"},
        {ERR_HARDWARE, "the hardware has failed"},
        {ERR_NOT_SUPPORTED, "the hardware does not support this"},
        {ERR_NO_ACCESS, "access is denied"},
    };
    if (text == NULL || size == 0)
        return ERR_PARAM;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].status == error) {
            snprintf(text, size, "%s", texts[i].text);
            return OK;
        }
    }
    snprintf(text, size, "error %d", error);
    return OK;
}

// Items of canGetChannelData.
enum {
    CHANNEL_CAP = 1,
    TRANS_CAP = 2,
    CHANNEL_FLAGS = 3,
    CARD_TYPE = 4,
    CARD_NUMBER = 5,
    CHAN_NO_ON_CARD = 6,
    CARD_SERIAL_NO = 7,
    CARD_FIRMWARE_REV = 9,
    CARD_HARDWARE_REV = 10,
    CARD_UPC_NO = 11,
    CHANNEL_NAME = 13,
    MFGNAME_ASCII = 24,
    DEVDESCR_ASCII = 26,
    DRIVER_NAME = 27,
    MAX_BITRATE = 37,
};

enum {
    CAP_EXTENDED_CAN = 0x1,
    CAP_BUS_STATISTICS = 0x2,
    CAP_ERROR_COUNTERS = 0x4,
    CAP_TXACKNOWLEDGE = 0x80,
    CAP_VIRTUAL = 0x10000,
    CAP_CAN_FD = 0x80000,
    CAP_SILENT_MODE = 0x200000,
};

enum { IS_EXCLUSIVE = 0x1, IS_OPEN = 0x2, IS_CANFD = 0x4 };

static status_t give(void *buffer, size_t size, const void *value, size_t length) {
    if (size < length)
        return ERR_PARAM;
    memcpy(buffer, value, length);
    return OK;
}

static status_t give32(void *buffer, size_t size, uint32_t value) { return give(buffer, size, &value, sizeof value); }
static status_t give64(void *buffer, size_t size, uint64_t value) { return give(buffer, size, &value, sizeof value); }

static status_t give_text(void *buffer, size_t size, const char *text) {
    return give(buffer, size, text, strlen(text) + 1);
}

API status_t CALL canGetChannelData(int channel, int item, void *buffer, size_t size) {
    wire_lock();
    if (!initialized)
        return leave(ERR_NOTINITIALIZED);
    if (channel < 0 || channel >= CHANNELS)
        return leave(ERR_NOTFOUND);
    if (buffer == NULL)
        return leave(ERR_PARAM);
    const struct channel *ch = &channels[channel];
    if (ch->controller.pulled)
        return leave(ERR_NOTFOUND);
    char text[64];
    switch (item) {
    case CHANNEL_CAP:
        return leave(give32(buffer, size,
                            CAP_EXTENDED_CAN | CAP_BUS_STATISTICS | CAP_ERROR_COUNTERS | CAP_TXACKNOWLEDGE |
                                CAP_SILENT_MODE | (ch->is_virtual ? CAP_VIRTUAL : 0u) |
                                (ch->controller.fd_capable ? CAP_CAN_FD : 0u)));
    case CHANNEL_FLAGS:
        return leave(give32(buffer, size,
                            (ch->exclusive ? IS_EXCLUSIVE : 0u) | (ch->controller.on ? IS_OPEN : 0u) |
                                (ch->fd ? IS_CANFD : 0u)));
    case TRANS_CAP:
    case CARD_TYPE:
        return leave(give32(buffer, size, 1));
    case CARD_NUMBER:
        return leave(give32(buffer, size, ch->card));
    case CHAN_NO_ON_CARD:
        return leave(give32(buffer, size, ch->number_on_card));
    case CARD_SERIAL_NO:
        return leave(give64(buffer, size, ch->serial));
    case CARD_FIRMWARE_REV:
    case CARD_HARDWARE_REV:
        return leave(give64(buffer, size, 4ull << 48 | 1ull << 32));
    case CARD_UPC_NO:
        return leave(give64(buffer, size, 0x7330130008752));
    case CHANNEL_NAME:
        snprintf(text, sizeof text, "%s (channel %d)", ch->name, (int)ch->number_on_card);
        return leave(give_text(buffer, size, text));
    case MFGNAME_ASCII:
        return leave(give_text(buffer, size, "a fake of isotpnet's tests"));
    case DEVDESCR_ASCII:
        return leave(give_text(buffer, size, ch->name));
    case DRIVER_NAME:
        return leave(give_text(buffer, size, "fake"));
    case MAX_BITRATE:
        return leave(give32(buffer, size, ch->controller.fd_capable ? 8000000 : 1000000));
    default:
        return leave(ERR_PARAM);
    }
}

// Opening and closing.

static int handles_of(const struct channel *ch, bool on_bus) {
    int n = 0;
    for (int i = 0; i < HANDLES; i++)
        if (handles[i].channel == ch && (handles[i].on_bus || !on_bus))
            n++;
    return n;
}

// may_open returns an error if a channel cannot be opened with these flags.
static status_t may_open(const struct channel *ch, int flags) {
    bool fd = (flags & (OPEN_CAN_FD | OPEN_CAN_FD_NONISO)) != 0;
    bool is_open = handles_of(ch, false) > 0;
    if (ch->controller.pulled || (ch->is_virtual && !(flags & OPEN_ACCEPT_VIRTUAL)))
        return ERR_NOTFOUND;
    if (fd && !ch->controller.fd_capable)
        return ERR_NOT_SUPPORTED;
    if (is_open && ch->fd != fd)
        return ERR_NOTFOUND; // the other handles have opened it otherwise
    if (is_open && !(flags & OPEN_OVERRIDE_EXCLUSIVE) && (ch->exclusive || flags & OPEN_EXCLUSIVE))
        return ERR_NOCHANNELS;
    if (flags & OPEN_REQUIRE_INIT_ACCESS && ch->initializer != NULL)
        return ERR_NOTFOUND;
    return OK;
}

API int CALL canOpenChannel(int channel, int flags) {
    wire_lock();
    if (!initialized)
        return leave(ERR_NOTINITIALIZED);
    if (flags & ~OPEN_FLAGS)
        return leave(ERR_PARAM);
    if (channel < 0 || channel >= CHANNELS)
        return leave(ERR_NOTFOUND);
    struct channel *ch = &channels[channel];
    wire_call(&ch->controller);
    status_t status = may_open(ch, flags);
    if (status != OK)
        return leave(status);
    int hnd = 0;
    while (hnd < HANDLES && handles[hnd].channel != NULL)
        hnd++;
    if (hnd == HANDLES)
        return leave(ERR_NOHANDLES);
    if (handles_of(ch, false) == 0) {
        ch->fd = ch->controller.fd = (flags & (OPEN_CAN_FD | OPEN_CAN_FD_NONISO)) != 0;
        ch->nominal = ch->data = (struct timing){500000, 5, 2, 1};
        ch->controller.bitrate = ch->controller.data_bitrate = 500000;
        memset(&ch->statistics, 0, sizeof ch->statistics);
    }
    if (flags & OPEN_EXCLUSIVE)
        ch->exclusive = true;
    struct handle *h = &handles[hnd];
    *h = (struct handle){
        .channel = ch,
        .extended = (flags & OPEN_REQUIRE_EXTENDED) != 0,
        .large_dlc = (flags & OPEN_ACCEPT_LARGE_DLC) != 0,
        .local_echo = true,
        .error_frames = true,
        .reset_time = true,
        .timer_scale = 1000,
        .inbox.event = new_event(),
    };
    inbox_open(&h->inbox, RECEIVE_QUEUE);
    if (!(flags & OPEN_NO_INIT_ACCESS) && ch->initializer == NULL)
        ch->initializer = h;
    return leave(hnd);
}

// go_off takes a handle off the bus. The controller goes with the last one, and then
// throws away what it has not sent.
static void go_off(struct handle *h) {
    struct channel *ch = h->channel;
    h->on_bus = false;
    if (handles_of(ch, true) == 0) {
        ch->controller.on = false;
        wire_clear(&ch->controller, NULL);
    }
}

static void close_handle(struct handle *h) {
    struct channel *ch = h->channel;
    go_off(h);
    wire_clear(&ch->controller, h);
    inbox_close(&h->inbox);
    close_event(h->inbox.event);
    h->channel = NULL;
    if (ch->initializer == h)
        ch->initializer = NULL;
    if (handles_of(ch, false) == 0)
        ch->exclusive = ch->fd = false;
    wake();
}

API status_t CALL canClose(int hnd) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (h == NULL)
        return leave(status);
    close_handle(h); // also if the cable is pulled
    return leave(OK);
}

API status_t CALL canBusOn(int hnd) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status != OK)
        return leave(status);
    struct controller *c = &h->channel->controller;
    if (!c->on)
        wire_start(c); // ends bus-off
    c->on = h->on_bus = true;
    if (h->reset_time)
        h->zero = now();
    return leave(OK);
}

API status_t CALL canBusOff(int hnd) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK)
        go_off(h);
    return leave(status);
}

// canResetBus takes the controller off the bus and on again, with all its handles.
API status_t CALL canResetBus(int hnd) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK)
        wire_start(&h->channel->controller);
    return leave(status);
}

// Bit rates.

// known_timing replaces a constant of Kvaser's by its bit rate and segments. It returns
// false for one that there is not, or that is of CAN FD only and the channel is not.
static bool known_timing(struct timing *t, bool fd) {
    static const struct {
        long constant;
        bool fd;
        struct timing timing;
    } list[] = {
        {-1, false, {1000000, 5, 2, 1}},     {-2, false, {500000, 5, 2, 1}},   {-3, false, {250000, 5, 2, 1}},
        {-4, false, {125000, 11, 4, 1}},     {-5, false, {100000, 11, 4, 1}},  {-6, false, {62500, 11, 4, 1}},
        {-7, false, {50000, 11, 4, 1}},      {-8, false, {83333, 5, 2, 2}},    {-9, false, {10000, 11, 4, 1}},
        {-1000, true, {500000, 63, 16, 16}}, {-1001, true, {1000000, 31, 8, 8}}, {-1002, true, {2000000, 15, 4, 4}},
        {-1003, true, {4000000, 7, 2, 2}},   {-1004, true, {8000000, 2, 2, 1}}, {-1005, true, {8000000, 7, 2, 1}},
        {-1006, true, {8000000, 6, 3, 1}},   {-1007, true, {2000000, 11, 8, 4}},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        if (list[i].constant == t->bitrate && (fd || !list[i].fd)) {
            *t = list[i].timing;
            return true;
        }
    }
    return false;
}

// possible returns whether a clock can be divided so that a bit has these segments.
static bool possible(const struct timing *t, long clock) {
    long quanta = 1 + (long)t->tseg1 + (long)t->tseg2;
    long prescaler = (clock / quanta + t->bitrate / 2) / t->bitrate;
    return prescaler > 0 && labs(clock / (prescaler * quanta) - t->bitrate) <= t->bitrate / 200;
}

// set_timing sets a timing by a constant, or by bits per second and the segments of a bit.
// A handle without init access changes nothing.
static status_t set_timing(struct handle *h, struct timing *set, struct timing t) {
    struct channel *ch = h->channel;
    if (t.bitrate < 0) {
        if (!known_timing(&t, ch->fd))
            return ERR_PARAM;
    } else if (t.bitrate == 0 || t.tseg1 == 0 || t.tseg2 == 0 || t.sjw == 0 || t.sjw > t.tseg2) {
        return ERR_PARAM;
    } else if (!possible(&t, 16000000) && !(ch->controller.fd_capable && possible(&t, 80000000))) {
        return ERR_PARAM;
    }
    if (t.bitrate > (ch->controller.fd_capable ? 8000000 : 1000000))
        return ERR_PARAM;
    if (ch->initializer != h)
        return h->report_access ? ERR_NO_ACCESS : OK;
    *set = t;
    ch->controller.bitrate = (uint32_t)ch->nominal.bitrate;
    ch->controller.data_bitrate = (uint32_t)ch->data.bitrate;
    return OK;
}

API status_t CALL canSetBusParams(int hnd, long bitrate, unsigned tseg1, unsigned tseg2, unsigned sjw,
                                  unsigned samples, unsigned sync) {
    (void)samples, (void)sync;
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK)
        status = set_timing(h, &h->channel->nominal, (struct timing){bitrate, tseg1, tseg2, sjw});
    return leave(status);
}

API status_t CALL canSetBusParamsFd(int hnd, long bitrate, unsigned tseg1, unsigned tseg2, unsigned sjw) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK && !h->channel->fd)
        status = ERR_PARAM;
    if (status == OK)
        status = set_timing(h, &h->channel->data, (struct timing){bitrate, tseg1, tseg2, sjw});
    return leave(status);
}

// canSetBusParamsC200 takes the bit timing registers of an 82C200 at 16 MHz, which
// divides that by 2.
API status_t CALL canSetBusParamsC200(int hnd, uint8_t btr0, uint8_t btr1) {
    struct timing t = {0, (btr1 & 0xFu) + 1, (btr1 >> 4 & 0x7u) + 1, (btr0 >> 6) + 1u};
    t.bitrate = 8000000 / (((btr0 & 0x3F) + 1) * (1 + (long)t.tseg1 + (long)t.tseg2));
    return canSetBusParams(hnd, t.bitrate, t.tseg1, t.tseg2, t.sjw, 1, 0);
}

static void give_timing(const struct timing *t, long *bitrate, unsigned *tseg1, unsigned *tseg2, unsigned *sjw) {
    if (bitrate != NULL)
        *bitrate = t->bitrate;
    if (tseg1 != NULL)
        *tseg1 = t->tseg1;
    if (tseg2 != NULL)
        *tseg2 = t->tseg2;
    if (sjw != NULL)
        *sjw = t->sjw;
}

API status_t CALL canGetBusParams(int hnd, long *bitrate, unsigned *tseg1, unsigned *tseg2, unsigned *sjw,
                                  unsigned *samples, unsigned *sync) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status != OK)
        return leave(status);
    give_timing(&h->channel->nominal, bitrate, tseg1, tseg2, sjw);
    if (samples != NULL)
        *samples = 1;
    if (sync != NULL)
        *sync = 0;
    return leave(OK);
}

API status_t CALL canGetBusParamsFd(int hnd, long *bitrate, unsigned *tseg1, unsigned *tseg2, unsigned *sjw) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK && !h->channel->fd)
        status = ERR_PARAM;
    if (status == OK)
        give_timing(&h->channel->data, bitrate, tseg1, tseg2, sjw);
    return leave(status);
}

API status_t CALL canSetBusOutputControl(int hnd, unsigned driver) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status != OK)
        return leave(status);
    if (driver != DRIVER_NORMAL && driver != DRIVER_SILENT)
        return leave(driver == DRIVER_OFF ? ERR_NOT_SUPPORTED : ERR_PARAM);
    if (h->channel->initializer == h) {
        h->channel->controller.silent = driver == DRIVER_SILENT;
        wake();
    }
    return leave(OK);
}

API status_t CALL canGetBusOutputControl(int hnd, unsigned *driver) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK && driver != NULL)
        *driver = h->channel->controller.silent ? DRIVER_SILENT : DRIVER_NORMAL;
    return leave(status);
}

// Writing.

// frame_of makes a frame of a message to be sent. It returns an error if there is none
// like it.
static status_t frame_of(const struct handle *h, struct frame *f, long id, const void *data, unsigned length,
                         unsigned flags) {
    bool extended = flags & MSG_STD ? false : flags & MSG_EXT ? true : h->extended;
    if (id < 0 || id >= (extended ? 1L << 29 : 1L << 11))
        return ERR_PARAM;
    if (flags & FDMSG_ESI || (data == NULL && length != 0 && !(flags & MSG_RTR)))
        return ERR_PARAM;
    if (flags & FDMSG_FDF) {
        if (!h->channel->fd || flags & MSG_RTR || length > 64)
            return ERR_PARAM;
        while (length_dlc((int)length) < 0)
            length++; // only lengths that a frame has may be given, says the help
    } else if (flags & FDMSG_BRS || length > (h->large_dlc ? 15u : 8u)) {
        return ERR_PARAM;
    } else if (length > 8) {
        length = 8;
    }
    *f = (struct frame){.id = (uint32_t)id, .length = (uint8_t)length};
    f->flags = (uint8_t)((extended ? FRAME_EXTENDED : 0) | (flags & MSG_RTR ? FRAME_REMOTE : 0) |
                         (flags & FDMSG_FDF ? FRAME_FD : 0) | (flags & FDMSG_BRS ? FRAME_BRS : 0) |
                         (flags & MSG_ERROR_FRAME ? FRAME_ERROR : 0));
    if (data != NULL && !(flags & MSG_RTR))
        memcpy(f->data, data, length);
    return OK;
}

static status_t write_frame(struct handle *h, long id, const void *data, unsigned length, unsigned flags) {
    struct frame f;
    status_t status = frame_of(h, &f, id, data, length, flags);
    if (status != OK)
        return status;
    // A handle that is off the bus, and a full queue, are one error.
    if (!h->on_bus || !wire_write(&h->channel->controller, &f, h))
        return ERR_TXBUFOFL;
    return OK;
}

API status_t CALL canWrite(int hnd, long id, const void *data, unsigned length, unsigned flags) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK)
        status = write_frame(h, id, data, length, flags);
    return leave(status);
}

// wait_sent waits until the channel has nothing more to send.
static status_t wait_sent(struct handle *h, unsigned long timeout) {
    uint64_t until = deadline(timeout);
    for (;;) {
        status_t status = pulled(h);
        if (status != OK)
            return status;
        if (h->channel->controller.waiting == 0)
            return OK;
        if (until != FOREVER && now() >= until)
            return ERR_TIMEOUT;
        wait_until(until);
    }
}

API status_t CALL canWriteSync(int hnd, unsigned long timeout) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK)
        status = wait_sent(h, timeout);
    return leave(status);
}

API status_t CALL canWriteWait(int hnd, long id, const void *data, unsigned length, unsigned flags,
                               unsigned long timeout) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK)
        status = write_frame(h, id, data, length, flags);
    if (status == OK)
        status = wait_sent(h, timeout);
    return leave(status);
}

// Reading.

static status_t take(struct handle *h, long *id, void *data, unsigned *length, unsigned *flags, unsigned long *time) {
    struct frame f;
    if (!inbox_take(&h->inbox, &f))
        return ERR_NOMSG;
    if (id != NULL)
        *id = (long)f.id;
    if (data != NULL && !(f.flags & FRAME_REMOTE))
        memcpy(data, f.data, f.length);
    if (length != NULL)
        *length = f.length;
    if (flags != NULL)
        *flags = f.mark;
    if (time != NULL)
        *time = f.time < h->zero ? 0 : (unsigned long)((f.time - h->zero) / h->timer_scale);
    return OK;
}

// wait_message waits until there is a message.
static status_t wait_message(struct handle *h, unsigned long timeout) {
    uint64_t until = deadline(timeout);
    for (;;) {
        status_t status = pulled(h);
        if (status != OK)
            return status;
        if (h->inbox.count > 0)
            return OK;
        if (until != FOREVER && now() >= until)
            return ERR_TIMEOUT;
        wait_until(until);
    }
}

API status_t CALL canRead(int hnd, long *id, void *data, unsigned *length, unsigned *flags, unsigned long *time) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK)
        status = take(h, id, data, length, flags, time);
    return leave(status);
}

API status_t CALL canReadWait(int hnd, long *id, void *data, unsigned *length, unsigned *flags, unsigned long *time,
                              unsigned long timeout) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK)
        status = wait_message(h, timeout);
    if (status == OK)
        status = take(h, id, data, length, flags, time);
    return leave(status == ERR_TIMEOUT ? ERR_NOMSG : status);
}

API status_t CALL canReadSync(int hnd, unsigned long timeout) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK)
        status = wait_message(h, timeout);
    return leave(status);
}

enum { FILTER_SET_CODE_STD = 3, FILTER_SET_MASK_STD = 4, FILTER_SET_CODE_EXT = 5, FILTER_SET_MASK_EXT = 6 };

// Filters: a message passes if its identifier has the code's bits where the mask has ones.
API status_t CALL canSetAcceptanceFilter(int hnd, unsigned code, unsigned mask, int extended) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status != OK)
        return leave(status);
    if (extended != 0 && extended != 1)
        return leave(ERR_PARAM);
    h->code[extended] = code;
    h->mask[extended] = mask;
    return leave(OK);
}

API status_t CALL canAccept(int hnd, long envelope, unsigned flag) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status != OK)
        return leave(status);
    switch (flag) {
    case FILTER_SET_CODE_STD:
        h->code[0] = (uint32_t)envelope;
        break;
    case FILTER_SET_MASK_STD:
        h->mask[0] = (uint32_t)envelope;
        break;
    case FILTER_SET_CODE_EXT:
        h->code[1] = (uint32_t)envelope;
        break;
    case FILTER_SET_MASK_EXT:
        h->mask[1] = (uint32_t)envelope;
        break;
    default:
        status = ERR_PARAM;
    }
    return leave(status);
}

// Status and time.

API status_t CALL canReadStatus(int hnd, unsigned long *flags) {
    static const unsigned long states[] = {STAT_ERROR_ACTIVE, STAT_ERROR_WARNING, STAT_ERROR_PASSIVE, STAT_BUS_OFF};
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status != OK)
        return leave(status);
    if (flags == NULL)
        return leave(ERR_PARAM);
    const struct controller *c = &h->channel->controller;
    *flags = c->on ? states[c->state] : (unsigned long)STAT_BUS_OFF;
    *flags |= (c->transmit_errors > 0 ? STAT_TXERR : 0) | (c->receive_errors > 0 ? STAT_RXERR : 0) |
              (c->waiting > 0 ? STAT_TX_PENDING : 0) | (h->inbox.count > 0 ? STAT_RX_PENDING : 0) |
              (h->overruns & MSGERR_HW_OVERRUN ? STAT_HW_OVERRUN : 0) |
              (h->overruns & MSGERR_SW_OVERRUN ? STAT_SW_OVERRUN : 0);
    return leave(OK);
}

API status_t CALL canRequestChipStatus(int hnd) {
    status_t status;
    enter(hnd, &status);
    return leave(status);
}

API status_t CALL canReadErrorCounters(int hnd, unsigned *transmit, unsigned *receive, unsigned *overruns) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status != OK)
        return leave(status);
    if (transmit != NULL)
        *transmit = h->channel->controller.transmit_errors;
    if (receive != NULL)
        *receive = h->channel->controller.receive_errors;
    if (overruns != NULL)
        *overruns = h->overruns != 0;
    return leave(OK);
}

static status_t read_timer(int hnd, uint64_t *time) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK)
        *time = (now() - h->zero) / h->timer_scale;
    return leave(status);
}

API status_t CALL kvReadTimer64(int hnd, uint64_t *time) { return time == NULL ? ERR_PARAM : read_timer(hnd, time); }

API status_t CALL kvReadTimer(int hnd, unsigned *time) {
    uint64_t t = 0;
    status_t status = read_timer(hnd, &t);
    if (status == OK && time != NULL)
        *time = (unsigned)t;
    return status;
}

API status_t CALL canReadTimer(int hnd, unsigned long *time) {
    uint64_t t = 0;
    status_t status = read_timer(hnd, &t);
    if (status == OK && time != NULL)
        *time = (unsigned long)t;
    return status;
}

API status_t CALL canRequestBusStatistics(int hnd) { return canRequestChipStatus(hnd); }

API status_t CALL canGetBusStatistics(int hnd, struct statistics *statistics, size_t size) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK && (statistics == NULL || size != sizeof *statistics))
        status = ERR_PARAM;
    if (status == OK)
        *statistics = h->channel->statistics;
    return leave(status);
}

API status_t CALL kvFlashLeds(int hnd, int action, int milliseconds) {
    (void)action, (void)milliseconds;
    return canRequestChipStatus(hnd);
}

// canIoCtl.

enum {
    SET_TIMER_SCALE = 6,
    SET_TXACK = 7,
    GET_RX_BUFFER_LEVEL = 8,
    GET_TX_BUFFER_LEVEL = 9,
    FLUSH_RX_BUFFER = 10,
    FLUSH_TX_BUFFER = 11,
    GET_TIMER_SCALE = 12,
    GET_EVENTHANDLE = 14,
    SET_REPORT_ACCESS_ERRORS = 20,
    SET_RX_QUEUE_SIZE = 27,
    SET_BUSON_TIME_AUTO_RESET = 30,
    GET_TXACK = 31,
    SET_LOCAL_TXECHO = 32,
    SET_ERROR_FRAMES_REPORTING = 33,
    RESET_OVERRUN_COUNT = 44,
    SET_LOCAL_TXACK = 46,
};

// control_number is canIoCtl for functions with a number of 32 bits, exactly.
static status_t control_number(struct handle *h, unsigned function, uint32_t *value) {
    switch (function) {
    case SET_TIMER_SCALE:
        h->timer_scale = *value != 0 ? *value : 1000;
        return OK;
    case GET_TIMER_SCALE:
        *value = h->timer_scale;
        return OK;
    case SET_TXACK:
        if (*value > 2)
            return ERR_PARAM;
        h->txack = *value;
        return OK;
    case GET_TXACK:
        *value = h->txack;
        return OK;
    case SET_LOCAL_TXACK:
        if (*value > 1)
            return ERR_PARAM;
        h->local_txack = *value != 0;
        return OK;
    case GET_RX_BUFFER_LEVEL:
        *value = (uint32_t)h->inbox.count;
        return OK;
    case GET_TX_BUFFER_LEVEL:
        *value = (uint32_t)h->channel->controller.waiting;
        return OK;
    case SET_RX_QUEUE_SIZE:
        if (h->on_bus || *value == 0 || *value > 1000000)
            return ERR_PARAM;
        inbox_close(&h->inbox);
        inbox_open(&h->inbox, (int)*value);
        return OK;
    case SET_BUSON_TIME_AUTO_RESET:
        h->reset_time = *value != 0;
        return OK;
    default:
        return ERR_PARAM;
    }
}

// control_switch is canIoCtl for functions with one byte, or more of which the first counts.
static status_t control_switch(struct handle *h, unsigned function, bool on) {
    switch (function) {
    case SET_REPORT_ACCESS_ERRORS:
        h->report_access = on;
        return OK;
    case SET_LOCAL_TXECHO:
        h->local_echo = on;
        return OK;
    case SET_ERROR_FRAMES_REPORTING:
        h->error_frames = on;
        return OK;
    default:
        return ERR_PARAM;
    }
}

static status_t control(struct handle *h, unsigned function, void *buffer, unsigned length) {
    uint32_t value;
    switch (function) {
    case FLUSH_RX_BUFFER:
        inbox_clear(&h->inbox);
        return OK;
    case FLUSH_TX_BUFFER:
        wire_clear(&h->channel->controller, NULL);
        return OK;
    case RESET_OVERRUN_COUNT:
        h->overruns = 0;
        return OK;
    case GET_EVENTHANDLE: // on Linux too, where CANlib has none: there it is a file descriptor
        if (buffer == NULL || length != sizeof h->inbox.event)
            return ERR_PARAM;
        memcpy(buffer, &h->inbox.event, sizeof h->inbox.event);
        return OK;
    case SET_REPORT_ACCESS_ERRORS:
    case SET_LOCAL_TXECHO:
    case SET_ERROR_FRAMES_REPORTING:
        if (buffer == NULL || length < 1)
            return ERR_PARAM;
        return control_switch(h, function, *(const uint8_t *)buffer != 0);
    default:
        if (buffer == NULL || length != sizeof value)
            return ERR_PARAM;
        memcpy(&value, buffer, sizeof value);
        status_t status = control_number(h, function, &value);
        memcpy(buffer, &value, sizeof value);
        return status;
    }
}

API status_t CALL canIoCtl(int hnd, unsigned function, void *buffer, unsigned length) {
    status_t status;
    struct handle *h = enter(hnd, &status);
    if (status == OK)
        status = control(h, function, buffer, length);
    return leave(status);
}

API status_t CALL canFlushReceiveQueue(int hnd) { return canIoCtl(hnd, FLUSH_RX_BUFFER, NULL, 0); }
API status_t CALL canFlushTransmitQueue(int hnd) { return canIoCtl(hnd, FLUSH_TX_BUFFER, NULL, 0); }

// The fake's own.

void fake_library_start(void) {
    for (int i = 0; i < CHANNELS; i++) {
        channels[i].controller.arrived = arrived;
        channels[i].controller.changed = changed;
        wire_add(&channels[i].controller);
    }
}

struct controller *fake_controller(int channel) {
    return channel < 0 || channel >= CHANNELS ? NULL : &channels[channel].controller;
}

void fake_library_reset(void) {
    for (int i = 0; i < HANDLES; i++)
        if (handles[i].channel != NULL)
            close_handle(&handles[i]);
}
