// A fake of the library of a pass-thru adapter: fakept1.dll on Windows, and fakept2.dll, which is the
// same with another adapter on the same bus (second.def).
//
// Written from SAE J2534-1 version 04.04 (December 2004), as far as raw CAN needs it: messages are in
// its section 8, and what comma.ai's panda, Macchina's adapters and the free library of the Openport
// 2.0 do is what it is read with. What the standard does not say is marked "a guess".

#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OK = 0x00,
    NOT_SUPPORTED = 0x01,
    INVALID_CHANNEL_ID = 0x02,
    INVALID_PROTOCOL_ID = 0x03,
    NULL_PARAMETER = 0x04,
    INVALID_IOCTL_VALUE = 0x05,
    INVALID_FLAGS = 0x06,
    DEVICE_NOT_CONNECTED = 0x08,
    TIMEOUT = 0x09,
    INVALID_MSG = 0x0A,
    EXCEEDED_LIMIT = 0x0C,
    DEVICE_IN_USE = 0x0E,
    INVALID_IOCTL_ID = 0x0F,
    BUFFER_EMPTY = 0x10,
    BUFFER_FULL = 0x11,
    BUFFER_OVERFLOW = 0x12,
    CHANNEL_IN_USE = 0x14,
    MSG_PROTOCOL_ID = 0x15,
    INVALID_FILTER_ID = 0x16,
    INVALID_BAUDRATE = 0x19,
    INVALID_DEVICE_ID = 0x1A,
};

enum { PROTOCOL_CAN = 5, ID_BOTH = 0x800, ID_29BIT = 0x100, TX_MSG_TYPE = 1, PASS = 1, BLOCK = 2 };

enum { GET_CONFIG = 1, SET_CONFIG, CLEAR_TX = 7, CLEAR_RX, CLEAR_PERIODIC, CLEAR_FILTERS };

enum { DATA_RATE = 0x01, LOOPBACK = 0x03 };

// PASSTHRU_MSG. What the standard calls unsigned long has 32 bits.
struct message {
    uint32_t protocol, rx_status, tx_flags, timestamp, size, extra;
    uint8_t data[4128];
};

_Static_assert(sizeof(struct message) == 4152, "PASSTHRU_MSG");

struct config {
    uint32_t parameter, value;
};

struct config_list {
    uint32_t count;
    struct config *list;
};

#define ID_LENGTH 4
#define FILTER_LENGTH 12 // of a filter's messages at most
#define FILTERS 10       // which each adapter has at least
#define RECEIVE_BUFFER 4096

struct filter {
    uint32_t type; // 0: none
    uint32_t length, flags;
    uint8_t mask[FILTER_LENGTH], pattern[FILTER_LENGTH];
};

struct device {
    struct controller controller; // the first field: a controller is its device
    bool open, connected;
    uint32_t connect_flags, loopback;
    struct filter filters[FILTERS];
    struct inbox inbox;
    bool lost;     // messages were, and the program has not been told
    uint64_t sent; // messages of the program
};

static struct device devices[2];
#define DEVICES (uint32_t)(sizeof devices / sizeof devices[0])
#define CHANNEL 100 // the first device's

static uint64_t clock_start;
static char last_error[80];

// What becomes of frames.

static void put_id(uint8_t *data, uint32_t id) {
    for (int i = 0; i < ID_LENGTH; i++)
        data[i] = (uint8_t)(id >> (24 - 8 * i));
}

static bool matches(const struct filter *filter, const struct frame *f) {
    uint8_t data[FILTER_LENGTH];
    // Some adapters pass only identifiers of the length that the filter has. So do these.
    if (((filter->flags & ID_29BIT) != 0) != ((f->flags & FRAME_EXTENDED) != 0))
        return false;
    put_id(data, f->id);
    memcpy(data + ID_LENGTH, f->data, FILTER_LENGTH - ID_LENGTH);
    if (filter->length > ID_LENGTH + (uint32_t)f->length)
        return false;
    for (uint32_t i = 0; i < filter->length; i++)
        if ((data[i] ^ filter->pattern[i]) & filter->mask[i])
            return false;
    return true;
}

// passes returns whether the filters let a frame pass: without any none does.
static bool passes(const struct device *d, const struct frame *f) {
    bool pass = false;
    for (int i = 0; i < FILTERS; i++) {
        if (d->filters[i].type == 0 || !matches(&d->filters[i], f))
            continue;
        if (d->filters[i].type == BLOCK)
            return false;
        pass = true;
    }
    return pass;
}

static void arrived(struct controller *c, const struct frame *f, void *sender) {
    struct device *d = (struct device *)c;
    struct frame m = *f;
    // There are no messages of errors, nor of remote frames (a guess).
    if (!d->connected || (f->flags & (FRAME_ERROR | FRAME_REMOTE)))
        return;
    if (sender != NULL) {
        d->sent++;
        if (!d->loopback)
            return;
        m.mark = TX_MSG_TYPE;
    } else if (!passes(d, f)) {
        return;
    } else if (wire_lost(c)) {
        d->lost = true;
        return;
    }
    if (f->flags & FRAME_EXTENDED)
        m.mark |= ID_29BIT;
    if (!inbox_put(&d->inbox, &m))
        d->lost = true;
}

// Nothing tells a program of bus-off. The controller is on the bus again at once, as firmware
// does it, without what it had to send (a guess).
static void changed(struct controller *c) {
    if (!c->pulled && c->state == BUS_OFF)
        wire_start(c);
}

// leave ends each function.
static uint32_t leave(uint32_t status) {
    if (status != OK)
        snprintf(last_error, sizeof last_error, "fake: error 0x%02X", (unsigned)status);
    unlock();
    return status;
}

// enter begins each function: it takes the lock, and finds the device of an identifier. It sets
// *status if there is none, or if its cable is pulled.
static struct device *enter(uint32_t number, uint32_t *status, uint32_t invalid) {
    wire_lock();
    if (number >= DEVICES) {
        *status = invalid;
        return NULL;
    }
    struct device *d = &devices[number];
    wire_call(&d->controller);
    *status = OK;
    if (d->controller.pulled)
        *status = d->controller.pull_code != 0 ? (uint32_t)d->controller.pull_code : DEVICE_NOT_CONNECTED;
    return d;
}

static struct device *enter_device(uint32_t id, uint32_t *status) {
    struct device *d = enter(id - 1, status, INVALID_DEVICE_ID);
    if (d != NULL && !d->open)
        *status = INVALID_DEVICE_ID;
    return d;
}

static struct device *enter_channel(uint32_t id, uint32_t *status) {
    struct device *d = enter(id - CHANNEL, status, INVALID_CHANNEL_ID);
    if (d != NULL && !d->connected)
        *status = INVALID_CHANNEL_ID;
    return d;
}

// Opening and closing.

static uint32_t open_device(uint32_t number, uint32_t *id) {
    uint32_t status;
    struct device *d = enter(number, &status, INVALID_DEVICE_ID);
    if (status != OK)
        return leave(status);
    if (id == NULL)
        return leave(NULL_PARAMETER);
    if (d->open)
        return leave(DEVICE_IN_USE);
    d->open = true;
    *id = number + 1;
    return leave(OK);
}

API uint32_t CALL PassThruOpen(const void *name, uint32_t *id) {
    (void)name; // the maker's own
    return open_device(0, id);
}

// PassThruOpen_second is PassThruOpen of fakept2.dll.
API uint32_t CALL PassThruOpen_second(const void *name, uint32_t *id) {
    (void)name;
    return open_device(1, id);
}

static void disconnect(struct device *d) {
    if (!d->connected)
        return;
    d->connected = false;
    d->controller.on = false;
    wire_clear(&d->controller, NULL);
    inbox_close(&d->inbox);
    memset(d->filters, 0, sizeof d->filters);
}

API uint32_t CALL PassThruClose(uint32_t id) {
    uint32_t status;
    struct device *d = enter_device(id, &status);
    if (d == NULL || !d->open)
        return leave(status);
    disconnect(d);
    d->open = false; // also with a cable that is pulled
    return leave(status);
}

API uint32_t CALL PassThruConnect(uint32_t id, uint32_t protocol, uint32_t flags, uint32_t bitrate, uint32_t *channel) {
    uint32_t status;
    struct device *d = enter_device(id, &status);
    if (status != OK)
        return leave(status);
    if (channel == NULL)
        return leave(NULL_PARAMETER);
    if (protocol != PROTOCOL_CAN)
        return leave(INVALID_PROTOCOL_ID);
    if (flags & ~(uint32_t)(ID_BOTH | ID_29BIT))
        return leave(INVALID_FLAGS);
    if (bitrate != 125000 && bitrate != 250000 && bitrate != 500000 && bitrate != 1000000)
        return leave(INVALID_BAUDRATE);
    if (d->connected)
        return leave(CHANNEL_IN_USE);
    d->connected = true;
    d->connect_flags = flags;
    d->loopback = 0;
    d->lost = false;
    d->sent = 0;
    d->controller.bitrate = d->controller.data_bitrate = bitrate;
    inbox_open(&d->inbox, RECEIVE_BUFFER);
    wire_start(&d->controller);
    d->controller.on = true;
    *channel = id - 1 + CHANNEL;
    return leave(OK);
}

API uint32_t CALL PassThruDisconnect(uint32_t id) {
    uint32_t status;
    struct device *d = enter_channel(id, &status);
    if (d != NULL)
        disconnect(d);
    return leave(status);
}

// Reading and writing.

static void fill(struct message *m, const struct frame *f) {
    memset(m, 0xEE, sizeof *m); // whatever was there before
    m->protocol = PROTOCOL_CAN;
    m->rx_status = f->mark;
    m->tx_flags = 0;
    m->timestamp = (uint32_t)(f->time - clock_start);
    m->size = m->extra = ID_LENGTH + f->length;
    put_id(m->data, f->id);
    memcpy(m->data + ID_LENGTH, f->data, f->length);
}

// PassThruReadMsgs waits until it has all messages that it is asked for, with a time.
API uint32_t CALL PassThruReadMsgs(uint32_t id, struct message *list, uint32_t *count, uint32_t timeout) {
    uint32_t status, n = 0;
    struct device *d = enter_channel(id, &status);
    if (status != OK)
        return leave(status);
    if (list == NULL || count == NULL)
        return leave(NULL_PARAMETER);
    uint64_t deadline = now() + 1000 * (uint64_t)timeout;
    for (;;) {
        struct frame f;
        while (n < *count && inbox_take(&d->inbox, &f))
            fill(&list[n++], &f);
        if (n == *count || d->lost || d->controller.pulled || now() >= deadline)
            break;
        wait_until(deadline);
    }
    bool all = n == *count;
    *count = n;
    if (d->lost) {
        d->lost = false;
        return leave(BUFFER_OVERFLOW);
    }
    return leave(all ? OK : n == 0 ? BUFFER_EMPTY : TIMEOUT);
}

// check returns what is wrong with a message that is to be sent.
static uint32_t check(const struct device *d, const struct message *m) {
    if (m->protocol != PROTOCOL_CAN)
        return MSG_PROTOCOL_ID;
    if (m->size < ID_LENGTH || m->size > ID_LENGTH + 8)
        return INVALID_MSG;
    if (!(d->connect_flags & ID_BOTH) && ((m->tx_flags ^ d->connect_flags) & ID_29BIT))
        return INVALID_MSG;
    return OK;
}

static bool send(struct device *d, const struct message *m) {
    struct frame f = {.length = (uint8_t)(m->size - ID_LENGTH)};
    for (int i = 0; i < ID_LENGTH; i++)
        f.id = f.id << 8 | m->data[i];
    if (m->tx_flags & ID_29BIT)
        f.flags = FRAME_EXTENDED;
    memcpy(f.data, m->data + ID_LENGTH, f.length);
    return wire_write(&d->controller, &f, d);
}

// PassThruWriteMsgs queues messages, and with a time waits until they are on the bus.
API uint32_t CALL PassThruWriteMsgs(uint32_t id, const struct message *list, uint32_t *count, uint32_t timeout) {
    uint32_t status, n = 0;
    struct device *d = enter_channel(id, &status);
    if (status != OK)
        return leave(status);
    if (list == NULL || count == NULL)
        return leave(NULL_PARAMETER);
    uint64_t deadline = now() + 1000 * (uint64_t)timeout, sent = d->sent + (uint64_t)d->controller.waiting;
    uint32_t wanted = *count;
    *count = 0;
    for (; n < wanted; n++) {
        if ((status = check(d, &list[n])) != OK)
            break;
        while (!send(d, &list[n])) {
            if (now() >= deadline)
                return leave(timeout == 0 ? BUFFER_FULL : TIMEOUT);
            wait_until(deadline);
        }
        if (timeout == 0)
            *count = n + 1;
    }
    while (timeout > 0 && d->sent < sent + n && now() < deadline && !d->controller.pulled)
        wait_until(deadline);
    if (timeout > 0) {
        *count = d->sent > sent ? (uint32_t)(d->sent - sent) : 0;
        if (status == OK && *count < n)
            status = TIMEOUT;
    }
    return leave(status);
}

// Filters and settings.

API uint32_t CALL PassThruStartMsgFilter(uint32_t id, uint32_t type, const struct message *mask,
                                         const struct message *pattern, const struct message *flow, uint32_t *filter) {
    uint32_t status;
    struct device *d = enter_channel(id, &status);
    if (status != OK)
        return leave(status);
    if (mask == NULL || pattern == NULL || filter == NULL)
        return leave(NULL_PARAMETER);
    if ((type != PASS && type != BLOCK) || flow != NULL)
        return leave(INVALID_FILTER_ID); // the others are of ISO 15765
    if (mask->protocol != PROTOCOL_CAN || pattern->protocol != PROTOCOL_CAN)
        return leave(MSG_PROTOCOL_ID);
    if (mask->size != pattern->size || mask->tx_flags != pattern->tx_flags || mask->size == 0 || mask->size > FILTER_LENGTH)
        return leave(INVALID_MSG);
    for (uint32_t i = 0; i < FILTERS; i++) {
        struct filter *f = &d->filters[i];
        if (f->type != 0)
            continue;
        *f = (struct filter){.type = type, .length = mask->size, .flags = mask->tx_flags};
        memcpy(f->mask, mask->data, f->length);
        memcpy(f->pattern, pattern->data, f->length);
        *filter = i + 1;
        return leave(OK);
    }
    return leave(EXCEEDED_LIMIT);
}

API uint32_t CALL PassThruStopMsgFilter(uint32_t id, uint32_t filter) {
    uint32_t status;
    struct device *d = enter_channel(id, &status);
    if (status != OK)
        return leave(status);
    if (filter == 0 || filter > FILTERS || d->filters[filter - 1].type == 0)
        return leave(INVALID_FILTER_ID);
    d->filters[filter - 1].type = 0;
    return leave(OK);
}

// set sets a parameter of the channel, and get asks for it.
static uint32_t set(struct device *d, const struct config *c) {
    if (c->parameter != LOOPBACK)
        return NOT_SUPPORTED;
    if (c->value > 1)
        return INVALID_IOCTL_VALUE;
    d->loopback = c->value;
    return OK;
}

static uint32_t get(const struct device *d, struct config *c) {
    if (c->parameter != LOOPBACK && c->parameter != DATA_RATE)
        return NOT_SUPPORTED;
    c->value = c->parameter == LOOPBACK ? d->loopback : d->controller.bitrate;
    return OK;
}

API uint32_t CALL PassThruIoctl(uint32_t id, uint32_t ioctl, void *input, void *output) {
    uint32_t status;
    struct device *d = enter_channel(id, &status);
    if (status != OK)
        return leave(status);
    (void)output; // of none of these
    switch (ioctl) {
    case GET_CONFIG:
    case SET_CONFIG: {
        struct config_list *c = input;
        if (c == NULL || (c->count > 0 && c->list == NULL))
            return leave(NULL_PARAMETER);
        for (uint32_t i = 0; i < c->count && status == OK; i++)
            status = ioctl == SET_CONFIG ? set(d, &c->list[i]) : get(d, &c->list[i]);
        return leave(status);
    }
    case CLEAR_TX:
        wire_clear(&d->controller, NULL);
        return leave(OK);
    case CLEAR_RX:
        inbox_clear(&d->inbox);
        return leave(OK);
    case CLEAR_PERIODIC:
        return leave(OK); // there are none
    case CLEAR_FILTERS:
        memset(d->filters, 0, sizeof d->filters);
        return leave(OK);
    }
    return leave(INVALID_IOCTL_ID);
}

// Texts have 80 bytes.

API uint32_t CALL PassThruReadVersion(uint32_t id, char *firmware, char *library, char *api) {
    uint32_t status;
    enter_device(id, &status);
    if (status != OK)
        return leave(status);
    if (firmware == NULL || library == NULL || api == NULL)
        return leave(NULL_PARAMETER);
    strcpy(firmware, "fake firmware 1.0");
    strcpy(library, "fake library 2.0");
    strcpy(api, "04.04");
    return leave(OK);
}

API uint32_t CALL PassThruGetLastError(char *text) {
    wire_lock();
    if (text != NULL)
        memcpy(text, last_error, sizeof last_error);
    unlock();
    return text == NULL ? NULL_PARAMETER : OK;
}

// For the wire.

void fake_library_start(void) {
    // The adapters' clock begins anew after some seconds.
    clock_start = now() - UINT32_MAX + 5000000;
    for (uint32_t i = 0; i < DEVICES; i++) {
        devices[i].controller.arrived = arrived;
        devices[i].controller.changed = changed;
        devices[i].inbox.event = NO_EVENT;
        wire_add(&devices[i].controller);
    }
}

// The channels of the faults are 1 and 2.
struct controller *fake_controller(int channel) {
    return channel < 1 || channel > (int)DEVICES ? NULL : &devices[channel - 1].controller;
}

void fake_library_reset(void) {
    last_error[0] = 0;
    for (uint32_t i = 0; i < DEVICES; i++) {
        disconnect(&devices[i]);
        devices[i].open = false;
    }
}
