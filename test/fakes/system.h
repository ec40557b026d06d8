// What the fakes need of the operating system: a lock, waiting, a thread, a clock,
// and the event by which a library says that a queue is no longer empty.

#ifndef SYSTEM_H
#define SYSTEM_H

#include <stdbool.h>
#include <stdint.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#define API __declspec(dllexport)
#define CALL __stdcall
typedef HANDLE event_t;
#define NO_EVENT NULL
#else
#define API __attribute__((visibility("default")))
#define CALL
typedef int event_t; // a file descriptor
#define NO_EVENT (-1)
#endif

#define FOREVER UINT64_MAX

// One lock guards all of a library's state.
void lock(void);
void unlock(void);

// wait_until waits, with the lock held, for a call of wake, or until now() is at
// least the time given. It may return early.
void wait_until(uint64_t time);
void wake(void);

// now returns the microseconds since some moment before the first call.
uint64_t now(void);

// start runs f in a thread that ends with the process.
void start(void (*f)(void));

// On Windows an event is given by the program or made by new_event, and set_event sets
// it; a wait takes it back. On Linux it is an eventfd, which polls as readable from
// set_event until clear_event.
event_t new_event(void);
void close_event(event_t e);
void set_event(event_t e);
void clear_event(event_t e);

#endif
