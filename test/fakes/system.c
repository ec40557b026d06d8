#include "system.h"

#include <stdlib.h>

#ifdef _WIN32

static SRWLOCK mutex = SRWLOCK_INIT;
static CONDITION_VARIABLE changed = CONDITION_VARIABLE_INIT;

void lock(void) { AcquireSRWLockExclusive(&mutex); }
void unlock(void) { ReleaseSRWLockExclusive(&mutex); }
void wake(void) { WakeAllConditionVariable(&changed); }

void wait_until(uint64_t time) {
    DWORD ms = INFINITE;
    if (time != FOREVER) {
        uint64_t t = now();
        if (t >= time)
            return;
        ms = (DWORD)((time - t + 999) / 1000);
    }
    SleepConditionVariableSRW(&changed, &mutex, ms, 0);
}

uint64_t now(void) {
    LARGE_INTEGER count, frequency;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&frequency);
    return (uint64_t)((double)count.QuadPart * 1e6 / (double)frequency.QuadPart);
}

static DWORD WINAPI run(void *f) {
    ((void (*)(void))f)();
    return 0;
}

void start(void (*f)(void)) {
    // A program may unload the library while the thread runs: the code stays.
    HMODULE module;
    GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                       (const char *)run, &module);
    HANDLE thread = CreateThread(NULL, 0, run, f, 0, NULL);
    if (thread == NULL)
        abort();
    CloseHandle(thread);
}

event_t new_event(void) { return CreateEventA(NULL, FALSE, FALSE, NULL); }
void close_event(event_t e) { CloseHandle(e); }

void set_event(event_t e) {
    if (e != NO_EVENT)
        SetEvent(e);
}

void clear_event(event_t e) { (void)e; }

#else

#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static pthread_once_t once = PTHREAD_ONCE_INIT;

// The condition waits by the clock of now.
static void make_condition(void) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void lock(void) {
    pthread_once(&once, make_condition);
    pthread_mutex_lock(&mutex);
}

void unlock(void) { pthread_mutex_unlock(&mutex); }
void wake(void) { pthread_cond_broadcast(&changed); }

void wait_until(uint64_t time) {
    if (time == FOREVER) {
        pthread_cond_wait(&changed, &mutex);
        return;
    }
    struct timespec t = {(time_t)(time / 1000000), (long)(time % 1000000) * 1000};
    pthread_cond_timedwait(&changed, &mutex, &t);
}

uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void *run(void *f) {
    (*(void (**)(void))f)();
    return NULL;
}

void start(void (*f)(void)) {
    static void (*function)(void); // of the one thread that a library starts
    function = f;
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, &function) != 0)
        abort();
    pthread_detach(thread);
}

event_t new_event(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }
void close_event(event_t e) { close(e); }

void set_event(event_t e) {
    if (e != NO_EVENT)
        eventfd_write(e, 1);
}

void clear_event(event_t e) {
    eventfd_t count;
    if (e != NO_EVENT)
        eventfd_read(e, &count);
}

#endif
