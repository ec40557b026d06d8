// A fake of PEAK's PCAN-Basic: PCANBasic.dll on Windows, libpcanbasic.so on Linux.
//
// Written from the published interface: PEAK's documentation of PCAN-Basic 4
// (documentation.help/PCAN-Basic, docs.peak-system.com/API/PCAN-Basic.Net) and how
// python-can's pcan interface calls it. What PEAK does not say is marked "a guess".

#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// PEAK's names for the types of its parameters.
typedef uint16_t handle_t;
typedef uint32_t status_t;

enum {
    OK = 0x0,
    OVERRUN = 0x2,         // frames were lost in the controller
    BUSLIGHT = 0x4,        // error warning, of a channel without CAN FD
    BUSHEAVY = 0x8,        // error passive, of a channel without CAN FD
    BUSWARNING = BUSHEAVY, // error warning, of a channel with CAN FD
    BUSOFF = 0x10,
    QRCVEMPTY = 0x20,
    QOVERRUN = 0x40, // frames were lost in the receive queue
    QXMTFULL = 0x80,
    ILLHW = 0x1400,
    ILLPARAMTYPE = 0x4000,
    ILLPARAMVAL = 0x8000,
    BUSPASSIVE = 0x40000, // error passive, of a channel with CAN FD
    INITIALIZE = 0x4000000,
    ILLOPERATION = 0x8000000,
};

// The types of a message.
enum {
    RTR = 0x01,
    EXTENDED = 0x02,
    FD = 0x04,
    BRS = 0x08,
    ESI = 0x10,
    ECHO = 0x20,
    ERRFRAME = 0x40,
    STATUS = 0x80,
};

struct message {
    uint32_t id;
    uint8_t type, length;
    uint8_t data[8];
};

struct message_fd {
    uint32_t id;
    uint8_t type, dlc;
    uint8_t data[64];
};

struct timestamp {
    uint32_t millis;
    uint16_t millis_overflow, micros;
};

struct channel_information {
    uint16_t handle;
    uint8_t device_type, controller_number;
    uint32_t device_features;
    char device_name[33];
    uint32_t device_id, condition;
};

_Static_assert(sizeof(struct message) == 16, "TPCANMsg");
_Static_assert(sizeof(struct message_fd) == 72, "TPCANMsgFD");
_Static_assert(sizeof(struct timestamp) == 8, "TPCANTimestamp");
_Static_assert(sizeof(struct channel_information) == 52, "TPCANChannelInformation");

#define DEVICE_USB 5
#define FEATURE_FD 1
#define RECEIVE_QUEUE 32767

enum filter { CLOSED, OPEN, CUSTOM };
#define MAX_RANGES 16

struct range {
    uint32_t from, to;
    bool extended;
};

struct channel {
    struct controller controller; // the first field: a controller is its channel
    handle_t handle;
    const char *name;
    uint32_t device_id;
    uint8_t number; // of the controller in its device

    bool open, open_fd;
    uint16_t btr0btr1;
    char bitrate_fd[256];
    struct inbox inbox;
    event_t event;      // lasts as long as the channel is open
    uint32_t lost;      // OVERRUN or QOVERRUN, until the program has been told
    uint32_t listen_only, receive_status, autoreset, allow_status, allow_rtr, allow_error, allow_echo;
    enum filter filter;
    struct range ranges[MAX_RANGES];
    int number_of_ranges;
};

// Two controllers of one adapter for CAN FD, and two adapters without it.
static struct channel channels[] = {
    {.handle = 0x51, .name = "PCAN-USB Pro FD", .device_id = 0x11, .number = 0, .controller.fd_capable = true},
    {.handle = 0x52, .name = "PCAN-USB Pro FD", .device_id = 0x11, .number = 1, .controller.fd_capable = true},
    {.handle = 0x53, .name = "PCAN-USB", .device_id = 0x12, .number = 0},
    {.handle = 0x54, .name = "PCAN-USB", .device_id = 0x13, .number = 0},
};
#define CHANNELS (int)(sizeof channels / sizeof channels[0])

static bool old; // the library is one of before version 4.4: no list of channels, and no echoes

static struct channel *find(int handle) {
    for (int i = 0; i < CHANNELS; i++)
        if (channels[i].handle == handle)
            return &channels[i];
    return NULL;
}

// What becomes of frames.

static uint8_t message_type(const struct frame *f) {
    return (uint8_t)((f->flags & FRAME_EXTENDED ? EXTENDED : 0) | (f->flags & FRAME_REMOTE ? RTR : 0) |
                     (f->flags & FRAME_FD ? FD : 0) | (f->flags & FRAME_BRS ? BRS : 0) |
                     (f->flags & FRAME_ESI ? ESI : 0));
}

static void put_status(struct channel *ch, uint32_t status) {
    struct frame f = {.length = 4, .time = now(), .mark = STATUS};
    for (int i = 0; i < 4; i++)
        f.data[i] = (uint8_t)(status >> (24 - 8 * i)); // the most significant byte first
    inbox_put(&ch->inbox, &f);
}

// put queues a message, after the status that says that messages before it were lost.
static void put(struct channel *ch, const struct frame *f) {
    if (wire_lost(&ch->controller)) {
        ch->lost |= OVERRUN;
        return;
    }
    if (ch->inbox.count + (ch->lost != 0) >= ch->inbox.capacity) {
        ch->lost |= QOVERRUN;
        return;
    }
    if (ch->lost != 0) {
        put_status(ch, ch->lost);
        ch->lost = 0;
    }
    inbox_put(&ch->inbox, f);
}

static bool passes(const struct channel *ch, const struct frame *f) {
    if (ch->filter != CUSTOM)
        return ch->filter == OPEN;
    for (int i = 0; i < ch->number_of_ranges; i++) {
        const struct range *r = &ch->ranges[i];
        if (r->extended == ((f->flags & FRAME_EXTENDED) != 0) && r->from <= f->id && f->id <= r->to)
            return true;
    }
    return false;
}

static void arrived(struct controller *c, const struct frame *f, void *sender) {
    struct channel *ch = (struct channel *)c;
    struct frame m = *f;
    if (!ch->receive_status)
        return;
    if (f->flags & FRAME_ERROR) {
        // The ID is the kind, one bit each. The data are: received or sent, where in
        // the frame, and both error counters.
        static const uint8_t kinds[] = {[BIT_ERROR] = 1, [FORM_ERROR] = 2, [STUFF_ERROR] = 4, [CRC_ERROR] = 8};
        if (!ch->allow_error)
            return;
        m = (struct frame){.id = kinds[f->id & 3], .length = 4, .time = f->time, .mark = ERRFRAME};
        m.data[0] = 1;
        m.data[2] = c->receive_errors;
        m.data[3] = c->transmit_errors;
    } else if (sender != NULL) {
        if (!ch->allow_echo)
            return;
        m.mark = message_type(f) | ECHO;
    } else {
        if (!passes(ch, f) || ((f->flags & FRAME_REMOTE) && !ch->allow_rtr))
            return;
        m.mark = message_type(f);
    }
    put(ch, &m);
}

// bus_status returns how PCAN-Basic names the state of a controller.
static uint32_t bus_status(const struct channel *ch) {
    switch (ch->controller.state) {
    case ERROR_WARNING:
        return ch->open_fd ? BUSWARNING : BUSLIGHT;
    case ERROR_PASSIVE:
        return ch->open_fd ? BUSPASSIVE : BUSHEAVY;
    case BUS_OFF:
        return BUSOFF;
    default:
        return OK;
    }
}

static void changed(struct controller *c) {
    struct channel *ch = (struct channel *)c;
    if (!ch->open)
        return;
    if (c->pulled) {
        set_event(ch->inbox.event); // announced
        return;
    }
    uint32_t status = bus_status(ch);
    if (status == BUSOFF && ch->autoreset)
        wire_start(c); // at once; PEAK's adapters need half a second
    if (ch->allow_status)
        put_status(ch, status);
}

// enter begins each function: it takes the lock, and finds the channel. It sets *status
// if there is none, or if its cable is pulled.
static struct channel *enter(handle_t handle, status_t *status) {
    wire_lock();
    struct channel *ch = find(handle);
    *status = OK;
    if (ch == NULL) {
        *status = ILLHW;
        return NULL;
    }
    wire_call(&ch->controller);
    if (ch->controller.pulled)
        *status = ch->controller.pull_code != 0 ? (status_t)ch->controller.pull_code : ILLHW;
    return ch;
}

// enter_open is enter for functions that need an initialized channel.
static struct channel *enter_open(handle_t handle, status_t *status) {
    struct channel *ch = enter(handle, status);
    if (ch != NULL && !ch->open)
        *status = INITIALIZE;
    return ch;
}

static status_t leave(status_t status) {
    unlock();
    return status;
}

// Opening and closing.

static void open_channel(struct channel *ch, bool fd) {
    ch->open = true;
    ch->open_fd = fd;
    ch->filter = OPEN;
    ch->number_of_ranges = 0;
    ch->autoreset = 0;
    ch->allow_status = ch->allow_rtr = 1;
    ch->allow_error = ch->allow_echo = 0;
    ch->lost = 0;
    inbox_open(&ch->inbox, RECEIVE_QUEUE);
#ifndef _WIN32
    ch->inbox.event = ch->event = new_event();
#endif
    ch->controller.fd = fd;
    ch->controller.silent = ch->listen_only != 0;
    wire_start(&ch->controller);
    ch->controller.on = true;
}

static void close_channel(struct channel *ch) {
    ch->controller.on = false;
    ch->open = false;
    wire_clear(&ch->controller, NULL);
    inbox_close(&ch->inbox);
    if (ch->event != NO_EVENT)
        close_event(ch->event);
    ch->event = ch->inbox.event = NO_EVENT;
    ch->listen_only = 0;
    ch->receive_status = 1;
}

API status_t CALL CAN_Initialize(handle_t handle, uint16_t btr0btr1, uint8_t type, uint32_t port, uint16_t interrupt) {
    (void)type, (void)port, (void)interrupt; // of adapters that are not plug and play
    status_t status;
    struct channel *ch = enter(handle, &status);
    if (status != OK)
        return leave(status);
    if (ch->open)
        return leave(INITIALIZE);
    // The bit timing registers of an SJA1000 at 16 MHz, which divides that by 2.
    unsigned prescaler = (btr0btr1 >> 8 & 0x3F) + 1;
    unsigned quanta = 1 + (btr0btr1 & 0xF) + 1 + (btr0btr1 >> 4 & 0x7) + 1;
    ch->controller.bitrate = ch->controller.data_bitrate = 8000000 / (prescaler * quanta);
    ch->btr0btr1 = btr0btr1;
    open_channel(ch, false);
    return leave(OK);
}

// The parameters of a bit rate string, and the ranges that PEAK's documentation gives.
enum { CLOCK, CLOCK_MHZ, NOM_BRP, NOM_TSEG1, NOM_TSEG2, NOM_SJW, DATA_BRP, DATA_TSEG1, DATA_TSEG2, DATA_SJW, PARAMETERS };

static const struct {
    const char *name;
    unsigned long max;
} parameters[PARAMETERS] = {
    {"f_clock", 80000000}, {"f_clock_mhz", 80}, {"nom_brp", 1024},   {"nom_tseg1", 256},
    {"nom_tseg2", 128},    {"nom_sjw", 128},    {"data_brp", 1024},  {"data_tseg1", 32},
    {"data_tseg2", 16},    {"data_sjw", 16},
};

// parse_timing reads a bit rate string such as "f_clock_mhz=20, nom_brp=5, ...": names
// and values with = between, separated by commas, with spaces where one likes.
static bool parse_timing(const char *text, unsigned long values[PARAMETERS]) {
    memset(values, 0, PARAMETERS * sizeof values[0]);
    while (*text != 0) {
        char name[32];
        unsigned long value;
        int length = 0;
        if (sscanf(text, " %31[a-z0-9_] = %lu %n", name, &value, &length) != 2 || length == 0)
            return false;
        text += length;
        if (*text == ',')
            text++;
        else if (*text != 0)
            return false;
        for (int i = 0; i < PARAMETERS; i++) {
            if (strcmp(name, parameters[i].name) != 0)
                continue;
            if (value < 1 || value > parameters[i].max)
                return false;
            values[i] = value;
        }
    }
    return true;
}

// set_timing computes both bit rates. Without parameters of the data phase, that has
// the nominal bit rate.
static bool set_timing(struct controller *c, const char *text) {
    static const unsigned long clocks[] = {20000000, 24000000, 30000000, 40000000, 60000000, 80000000};
    unsigned long v[PARAMETERS];
    if (!parse_timing(text, v) || (v[CLOCK] != 0) == (v[CLOCK_MHZ] != 0))
        return false;
    unsigned long clock = v[CLOCK] != 0 ? v[CLOCK] : v[CLOCK_MHZ] * 1000000;
    bool known = false;
    for (size_t i = 0; i < sizeof clocks / sizeof clocks[0]; i++)
        known = known || clock == clocks[i];
    if (!known || v[NOM_BRP] == 0 || v[NOM_TSEG1] == 0 || v[NOM_TSEG2] == 0 || v[NOM_SJW] == 0)
        return false;
    c->bitrate = c->data_bitrate = (uint32_t)(clock / (v[NOM_BRP] * (1 + v[NOM_TSEG1] + v[NOM_TSEG2])));
    if (v[DATA_BRP] == 0 && v[DATA_TSEG1] == 0 && v[DATA_TSEG2] == 0 && v[DATA_SJW] == 0)
        return true;
    if (v[DATA_BRP] == 0 || v[DATA_TSEG1] == 0 || v[DATA_TSEG2] == 0 || v[DATA_SJW] == 0)
        return false;
    c->data_bitrate = (uint32_t)(clock / (v[DATA_BRP] * (1 + v[DATA_TSEG1] + v[DATA_TSEG2])));
    return true;
}

API status_t CALL CAN_InitializeFD(handle_t handle, const char *bitrate) {
    status_t status;
    struct channel *ch = enter(handle, &status);
    if (status != OK)
        return leave(status);
    if (ch->open)
        return leave(INITIALIZE);
    if (!ch->controller.fd_capable)
        return leave(ILLHW); // a guess
    if (bitrate == NULL || strlen(bitrate) >= sizeof ch->bitrate_fd || !set_timing(&ch->controller, bitrate))
        return leave(ILLPARAMVAL);
    strcpy(ch->bitrate_fd, bitrate);
    open_channel(ch, true);
    return leave(OK);
}

API status_t CALL CAN_Uninitialize(handle_t handle) {
    status_t status;
    if (handle == 0) { // PCAN_NONEBUS: all of them
        enter(0, &status);
        for (int i = 0; i < CHANNELS; i++)
            if (channels[i].open)
                close_channel(&channels[i]);
        return leave(OK);
    }
    struct channel *ch = enter_open(handle, &status);
    if (ch == NULL || !ch->open)
        return leave(status);
    close_channel(ch); // also if the cable is pulled
    return leave(OK);
}

// CAN_Reset empties both queues. It does not reset the controller: bus-off stays.
API status_t CALL CAN_Reset(handle_t handle) {
    status_t status;
    struct channel *ch = enter_open(handle, &status);
    if (status == OK) {
        wire_clear(&ch->controller, NULL);
        inbox_clear(&ch->inbox);
        ch->lost = 0;
    }
    return leave(status);
}

API status_t CALL CAN_GetStatus(handle_t handle) {
    status_t status;
    struct channel *ch = enter_open(handle, &status);
    if (status == OK)
        status = bus_status(ch) | ch->lost;
    return leave(status);
}

// Reading and writing.

// take takes the next message. If it is a status, that is what CAN_Read returns.
static status_t take(struct channel *ch, struct frame *f) {
    if (!inbox_take(&ch->inbox, f)) {
        if (ch->lost == 0)
            return QRCVEMPTY;
        put_status(ch, ch->lost); // nothing has come since the loss
        ch->lost = 0;
        inbox_take(&ch->inbox, f);
    }
    if (f->mark != STATUS)
        return OK;
    return (status_t)f->data[0] << 24 | (status_t)f->data[1] << 16 | (status_t)f->data[2] << 8 | f->data[3];
}

API status_t CALL CAN_Read(handle_t handle, struct message *m, struct timestamp *t) {
    status_t status;
    struct channel *ch = enter_open(handle, &status);
    if (status != OK)
        return leave(status);
    if (m == NULL)
        return leave(ILLPARAMVAL);
    if (ch->open_fd)
        return leave(ILLOPERATION);
    struct frame f;
    status = take(ch, &f);
    if (status == QRCVEMPTY)
        return leave(status);
    *m = (struct message){.id = f.id, .type = (uint8_t)f.mark, .length = f.length};
    if (!(f.flags & FRAME_REMOTE))
        memcpy(m->data, f.data, sizeof m->data);
    if (t != NULL)
        *t = (struct timestamp){
            .millis = (uint32_t)(f.time / 1000),
            .millis_overflow = (uint16_t)(f.time / 1000 >> 32),
            .micros = (uint16_t)(f.time % 1000),
        };
    return leave(status);
}

API status_t CALL CAN_ReadFD(handle_t handle, struct message_fd *m, uint64_t *t) {
    status_t status;
    struct channel *ch = enter_open(handle, &status);
    if (status != OK)
        return leave(status);
    if (m == NULL)
        return leave(ILLPARAMVAL);
    if (!ch->open_fd)
        return leave(ILLOPERATION);
    struct frame f;
    status = take(ch, &f);
    if (status == QRCVEMPTY)
        return leave(status);
    *m = (struct message_fd){.id = f.id, .type = (uint8_t)f.mark, .dlc = (uint8_t)length_dlc(f.length)};
    if (!(f.flags & FRAME_REMOTE))
        memcpy(m->data, f.data, sizeof m->data);
    if (t != NULL)
        *t = f.time;
    return leave(status);
}

// frame_of makes a frame of a message to be sent. It returns false if there is none
// like it.
static bool frame_of(struct frame *f, uint32_t id, uint8_t type, int dlc, const uint8_t *data) {
    if (type & ~(RTR | EXTENDED | FD | BRS) || id > (type & EXTENDED ? 0x1FFFFFFFu : 0x7FFu))
        return false;
    if (type & FD ? dlc > 15 || type & RTR : dlc > 8 || type & BRS)
        return false;
    *f = (struct frame){.id = id, .length = (uint8_t)dlc_length(dlc)};
    f->flags = (uint8_t)((type & EXTENDED ? FRAME_EXTENDED : 0) | (type & RTR ? FRAME_REMOTE : 0) |
                         (type & FD ? FRAME_FD : 0) | (type & BRS ? FRAME_BRS : 0));
    if (!(type & RTR))
        memcpy(f->data, data, f->length);
    return true;
}

static status_t send(struct channel *ch, const struct frame *f) {
    if (ch->listen_only)
        return ILLOPERATION; // a guess
    if (ch->controller.state == BUS_OFF)
        return BUSOFF;
    return wire_write(&ch->controller, f, ch) ? OK : QXMTFULL;
}

API status_t CALL CAN_Write(handle_t handle, const struct message *m) {
    status_t status;
    struct channel *ch = enter_open(handle, &status);
    struct frame f;
    if (status != OK)
        return leave(status);
    if (ch->open_fd)
        return leave(ILLOPERATION);
    if (m == NULL || m->type & FD || !frame_of(&f, m->id, m->type, m->length, m->data))
        return leave(ILLPARAMVAL);
    return leave(send(ch, &f));
}

API status_t CALL CAN_WriteFD(handle_t handle, const struct message_fd *m) {
    status_t status;
    struct channel *ch = enter_open(handle, &status);
    struct frame f;
    if (status != OK)
        return leave(status);
    if (!ch->open_fd)
        return leave(ILLOPERATION);
    if (m == NULL || !frame_of(&f, m->id, m->type, m->dlc, m->data))
        return leave(ILLPARAMVAL);
    return leave(send(ch, &f));
}

API status_t CALL CAN_FilterMessages(handle_t handle, uint32_t from, uint32_t to, uint8_t mode) {
    status_t status;
    struct channel *ch = enter_open(handle, &status);
    if (status != OK)
        return leave(status);
    if (mode & ~EXTENDED || from > to || ch->number_of_ranges == MAX_RANGES)
        return leave(ILLPARAMVAL);
    ch->filter = CUSTOM;
    ch->ranges[ch->number_of_ranges++] = (struct range){from, to, mode == EXTENDED};
    return leave(OK);
}

// Parameters.

enum {
    DEVICE_ID = 0x01,
    RECEIVE_EVENT = 0x03,
    MESSAGE_FILTER = 0x04,
    API_VERSION = 0x05,
    CHANNEL_VERSION = 0x06,
    BUSOFF_AUTORESET = 0x07,
    LISTEN_ONLY = 0x08,
    CHANNEL_CONDITION = 0x0D,
    HARDWARE_NAME = 0x0E,
    RECEIVE_STATUS = 0x0F,
    CONTROLLER_NUMBER = 0x10,
    CHANNEL_IDENTIFYING = 0x15,
    CHANNEL_FEATURES = 0x16,
    BITRATE_INFO = 0x18,
    BITRATE_INFO_FD = 0x19,
    BUSSPEED_NOMINAL = 0x1A,
    BUSSPEED_DATA = 0x1B,
    ALLOW_STATUS_FRAMES = 0x1E,
    ALLOW_RTR_FRAMES = 0x1F,
    ALLOW_ERROR_FRAMES = 0x20,
    FIRMWARE_VERSION = 0x29,
    ATTACHED_CHANNELS_COUNT = 0x2A,
    ATTACHED_CHANNELS = 0x2B,
    ALLOW_ECHO_FRAMES = 0x2C,
    DEVICE_PART_NUMBER = 0x2D,
};

static uint32_t condition(const struct channel *ch) {
    if (ch->controller.pulled)
        return 0;
    return ch->open ? 2 : 1;
}

static uint32_t features(const struct channel *ch) { return ch->controller.fd_capable ? FEATURE_FD : 0; }

// The parameters that are numbers of 32 bits and may be set, those that need an
// initialized channel last.
static uint32_t *setting(struct channel *ch, uint8_t parameter) {
    switch (parameter) {
    case DEVICE_ID:
        return &ch->device_id;
    case LISTEN_ONLY:
        return &ch->listen_only;
    case RECEIVE_STATUS:
        return &ch->receive_status;
    case BUSOFF_AUTORESET:
        return &ch->autoreset;
    case ALLOW_STATUS_FRAMES:
        return &ch->allow_status;
    case ALLOW_RTR_FRAMES:
        return &ch->allow_rtr;
    case ALLOW_ERROR_FRAMES:
        return &ch->allow_error;
    case ALLOW_ECHO_FRAMES:
        return old ? NULL : &ch->allow_echo;
    default:
        return NULL;
    }
}

// needs_open returns whether a parameter is only there while its channel is initialized.
static bool needs_open(uint8_t parameter) {
    switch (parameter) {
    case RECEIVE_EVENT:
    case MESSAGE_FILTER:
    case BUSOFF_AUTORESET:
    case BITRATE_INFO:
    case BITRATE_INFO_FD:
    case BUSSPEED_NOMINAL:
    case BUSSPEED_DATA:
    case ALLOW_STATUS_FRAMES:
    case ALLOW_RTR_FRAMES:
    case ALLOW_ERROR_FRAMES:
    case ALLOW_ECHO_FRAMES:
    case FIRMWARE_VERSION:
        return true;
    default:
        return false;
    }
}

static status_t give_number(void *buffer, uint32_t length, uint32_t value) {
    if (length < sizeof value)
        return ILLPARAMVAL;
    memset(buffer, 0, length);
    memcpy(buffer, &value, sizeof value);
    return OK;
}

static status_t give_text(void *buffer, uint32_t length, const char *text) {
    if (length <= strlen(text))
        return ILLPARAMVAL;
    memset(buffer, 0, length);
    strcpy(buffer, text);
    return OK;
}

// The parameters of the library as a whole.
static status_t library_value(uint8_t parameter, void *buffer, uint32_t length) {
    struct channel_information list[CHANNELS];
    uint32_t attached = 0;
    for (int i = 0; i < CHANNELS; i++) {
        const struct channel *ch = &channels[i];
        if (ch->controller.pulled)
            continue;
        struct channel_information *info = &list[attached++];
        memset(info, 0, sizeof *info);
        info->handle = ch->handle;
        info->device_type = DEVICE_USB;
        info->controller_number = ch->number;
        info->device_features = features(ch);
        strcpy(info->device_name, ch->name);
        info->device_id = ch->device_id;
        info->condition = condition(ch);
    }
    if (parameter == API_VERSION)
        return give_text(buffer, length, old ? "4.3.4.204" : "4.8.0.830");
    if (old)
        return ILLPARAMTYPE;
    switch (parameter) {
    case ATTACHED_CHANNELS_COUNT:
        return give_number(buffer, length, attached);
    case ATTACHED_CHANNELS:
        if (length < attached * sizeof list[0])
            return ILLPARAMVAL;
        memcpy(buffer, list, attached * sizeof list[0]);
        return OK;
    default:
        return ILLPARAMTYPE;
    }
}

static status_t channel_value(struct channel *ch, uint8_t parameter, void *buffer, uint32_t length) {
    switch (parameter) {
#ifndef _WIN32
    case RECEIVE_EVENT:
        return give_number(buffer, length, (uint32_t)ch->event);
#endif
    case MESSAGE_FILTER:
        return give_number(buffer, length, (uint32_t)ch->filter);
    case API_VERSION:
        return library_value(parameter, buffer, length);
    case CHANNEL_VERSION:
        return give_text(buffer, length, "a fake of isotpnet's tests");
    case CHANNEL_CONDITION:
        return give_number(buffer, length, condition(ch));
    case HARDWARE_NAME:
        return give_text(buffer, length, ch->name);
    case CONTROLLER_NUMBER:
        return give_number(buffer, length, ch->number);
    case CHANNEL_FEATURES:
        return give_number(buffer, length, features(ch));
    case BITRATE_INFO:
        return ch->open_fd ? ILLPARAMTYPE : give_number(buffer, length, ch->btr0btr1);
    case BITRATE_INFO_FD:
        return ch->open_fd ? give_text(buffer, length, ch->bitrate_fd) : ILLPARAMTYPE;
    case BUSSPEED_NOMINAL:
        return give_number(buffer, length, ch->controller.bitrate);
    case BUSSPEED_DATA:
        return give_number(buffer, length, ch->controller.data_bitrate);
    case FIRMWARE_VERSION:
        return give_text(buffer, length, "3.5.0");
    case DEVICE_PART_NUMBER:
        return give_text(buffer, length, ch->controller.fd_capable ? "IPEH-004061" : "IPEH-002021");
    default:
        if (setting(ch, parameter) == NULL)
            return ILLPARAMTYPE;
        return give_number(buffer, length, *setting(ch, parameter));
    }
}

API status_t CALL CAN_GetValue(handle_t handle, uint8_t parameter, void *buffer, uint32_t length) {
    status_t status;
    struct channel *ch = enter(handle, &status);
    if (buffer == NULL || length == 0)
        return leave(ILLPARAMVAL);
    if (handle == 0)
        return leave(library_value(parameter, buffer, length));
    if (ch == NULL)
        return leave(status);
    if (status != OK && parameter != CHANNEL_CONDITION)
        return leave(status);
    if (needs_open(parameter) && !ch->open)
        return leave(INITIALIZE);
    return leave(channel_value(ch, parameter, buffer, length));
}

#ifdef _WIN32
// The programs of PEAK's documentation give 32 bits of the handle, others all.
static status_t set_receive_event(struct channel *ch, const void *buffer, uint32_t length) {
    uintptr_t event = 0;
    memcpy(&event, buffer, length < sizeof event ? length : sizeof event);
    ch->inbox.event = (HANDLE)event;
    if (ch->inbox.count > 0)
        set_event(ch->inbox.event);
    return OK;
}
#else
// There the event is a file descriptor, and the library's.
static status_t set_receive_event(struct channel *ch, const void *buffer, uint32_t length) {
    (void)ch, (void)buffer, (void)length;
    return ILLOPERATION;
}
#endif

static status_t set_number(struct channel *ch, uint8_t parameter, uint32_t value) {
    switch (parameter) {
    case MESSAGE_FILTER:
        if (value > OPEN)
            return ILLPARAMVAL;
        ch->filter = (enum filter)value;
        ch->number_of_ranges = 0;
        return OK;
    case CHANNEL_IDENTIFYING: // blinks
        return value > 1 ? ILLPARAMVAL : OK;
    case DEVICE_ID:
        ch->device_id = value;
        return OK;
    }
    uint32_t *s = setting(ch, parameter);
    if (s == NULL)
        return ILLPARAMTYPE;
    if (value > 1)
        return ILLPARAMVAL;
    *s = value;
    ch->controller.silent = ch->listen_only != 0;
    wake();
    return OK;
}

API status_t CALL CAN_SetValue(handle_t handle, uint8_t parameter, const void *buffer, uint32_t length) {
    status_t status;
    struct channel *ch = enter(handle, &status);
    uint32_t value;
    if (buffer == NULL || length < sizeof value)
        return leave(ILLPARAMVAL);
    if (status != OK)
        return leave(status);
    if (needs_open(parameter) && !ch->open)
        return leave(INITIALIZE);
    if (parameter == RECEIVE_EVENT)
        return leave(set_receive_event(ch, buffer, length));
    memcpy(&value, buffer, sizeof value);
    return leave(set_number(ch, parameter, value));
}

API status_t CALL CAN_GetErrorText(status_t error, uint16_t language, char *text) {
    static const struct {
        status_t status;
        const char *text;
    } texts[] = {
        {OK, "no error"},
        {OVERRUN, "the CAN controller was read too late"},
        {BUSLIGHT, "an error counter has reached the limit of a light bus error"},
        {BUSHEAVY, "an error counter has reached the limit of a heavy bus error"},
        {BUSPASSIVE, "the CAN controller is error passive"},
        {BUSOFF, "the CAN controller is off the bus"},
        {QRCVEMPTY, "the receive queue is empty"},
        {QOVERRUN, "the receive queue was read too late"},
        {QXMTFULL, "the transmit queue is full"},
        {ILLHW, "the handle of the hardware is invalid"},
        {ILLPARAMTYPE, "the parameter is not available"},
        {ILLPARAMVAL, "the value of a parameter is invalid"},
        {INITIALIZE, "the channel is not initialized, or already is"},
        {ILLOPERATION, "the operation is not permitted"},
    };
    (void)language; // English for all
    if (text == NULL)
        return ILLPARAMVAL;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].status == error) {
            strcpy(text, texts[i].text);
            return OK;
        }
    }
    return ILLPARAMVAL; // several at once, too
}

// CAN_LookUpChannel finds a channel by "devicetype=PCAN_USB, deviceid=17h,
// controllernumber=0". A channel that is not found is PCAN_NONEBUS.
API status_t CALL CAN_LookUpChannel(const char *text, handle_t *found) {
    status_t status;
    bool usb = true, by_id = false, by_number = false;
    unsigned long id = 0, number = 0;
    if (text == NULL || found == NULL)
        return ILLPARAMVAL;
    while (*text != 0) {
        char name[32], value[32];
        int length = 0;
        if (sscanf(text, " %31[a-zA-Z] = %31[a-zA-Z0-9_.] %n", name, value, &length) != 2 || length == 0)
            return ILLPARAMVAL;
        text += length;
        if (*text == ',')
            text++;
        int base = value[strlen(value) - 1] == 'h' ? 16 : 0;
        if (strcmp(name, "devicetype") == 0)
            usb = strcmp(value, "PCAN_USB") == 0;
        else if (strcmp(name, "deviceid") == 0)
            by_id = true, id = strtoul(value, NULL, base);
        else if (strcmp(name, "controllernumber") == 0)
            by_number = true, number = strtoul(value, NULL, base);
        else
            return ILLPARAMVAL;
    }
    enter(0, &status);
    *found = 0;
    for (int i = 0; i < CHANNELS && *found == 0; i++) {
        const struct channel *ch = &channels[i];
        if (usb && !ch->controller.pulled && (!by_id || ch->device_id == id) && (!by_number || ch->number == number))
            *found = ch->handle;
    }
    return leave(OK);
}

// The fake's own.

void fake_library_start(void) {
    for (int i = 0; i < CHANNELS; i++) {
        struct channel *ch = &channels[i];
        ch->controller.arrived = arrived;
        ch->controller.changed = changed;
        ch->receive_status = 1;
        ch->event = ch->inbox.event = NO_EVENT;
        wire_add(&ch->controller);
    }
}

struct controller *fake_controller(int handle) {
    struct channel *ch = find(handle);
    return ch == NULL ? NULL : &ch->controller;
}

void fake_library_reset(void) {
    old = false;
    for (int i = 0; i < CHANNELS; i++)
        if (channels[i].open)
            close_channel(&channels[i]);
}

// fake_old makes the library an old one.
API int fake_old(int on) {
    wire_lock();
    old = on != 0;
    unlock();
    return 0;
}
