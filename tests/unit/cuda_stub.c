/* A stand-in for libcuda.so.1, so that the timers are driven through the real driver interface without a GPU.
 *
 * It keeps a device's rules: work and events of a stream complete in order, on the device's own clock, and an
 * event's time is when it completed; handles belong to contexts; a captured stream takes no events of others; in
 * a global capture nobody may query an event unless the thread is in relaxed mode; what is destroyed is invalid.
 * Whatever a real driver answers with undefined behaviour, or with a broken capture, is counted as a violation.
 *
 * The functions named stub_* are the script. The device's clock stands still unless it is advanced, or follows
 * the host's (stub_follow). One build is one driver: a test that wants a fresh one opens a copy of the file.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_CONTEXT = 201,
    INVALID_PTX = 218, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, CONTEXT_IS_DESTROYED = 709,
    CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURE_IMPLICIT = 906
};

#define MAGIC 0x5eedf00d
typedef struct context { uint32_t magic; int device, gone; uint64_t id; int64_t legacy_until; } context_t;
typedef struct stream { uint32_t magic; int gone, capturing; context_t *context; int64_t until; } stream_t;
typedef struct event { uint32_t magic; int gone, recorded; context_t *context; int64_t done; } event_t;
typedef struct { unsigned char bytes[16]; } uuid_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread context_t *stack[16];
static __thread int depth, mode; /* mode 0 global, 1 thread local, 2 relaxed */
static int initialized, following, lost, violations, mig, global_captures, events_made, events_live;
static int64_t now_ns, offset_ns, record_delay_ns, block_ns;
static double rate = 1.0;
static uint64_t next_id = 1, launches;
static int64_t kernel_ns = 20000;
static struct { char name[48]; int code, times, after; } failing[16];
static struct { char name[48]; int count; } called[64];

static int64_t host_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t device_ns(void) { return following ? (int64_t)((double)(host_ns() - offset_ns) * rate) : now_ns; }

static int enter(const char *name) {
    int code = 0;
    pthread_mutex_lock(&lock);
#ifdef QUICK /* for the benchmark: what the stub itself takes is not to be measured */
    (void)name;
    return initialized ? lost : NOT_INITIALIZED;
#endif
    for (int i = 0; i < 64; i++)
        if (!called[i].name[0] || !strcmp(called[i].name, name)) {
            strncpy(called[i].name, name, 47);
            called[i].count++;
            break;
        }
    for (int i = 0; i < 16; i++)
        if (failing[i].times && !strcmp(failing[i].name, name) && failing[i].after-- <= 0) {
            if (failing[i].times > 0) failing[i].times--;
            code = failing[i].code;
        }
    if (!code && lost) code = lost;
    if (!code && !initialized && strcmp(name, "cuInit")) code = NOT_INITIALIZED;
    return code;
}

static int leave(int code) { pthread_mutex_unlock(&lock); return code; }

#define ENTER() do { int code_ = enter(__func__); if (code_) return leave(code_); } while (0)
#define RETURN(code) return leave(code)

static context_t *current(void) { return depth ? stack[depth - 1] : NULL; }

static int usable(context_t *c) { return !c ? INVALID_CONTEXT : c->gone ? CONTEXT_IS_DESTROYED : SUCCESS; }

/* The stream's context, and where its queue ends: NULL and 1 are the legacy stream of the current context, 2 the
   thread's own, here the same. */
static int resolve(stream_t *s, context_t **context, int64_t **until) {
    if ((uintptr_t)s <= 2) {
        int code = usable(current());
        if (code) return code;
        *context = current();
        *until = &current()->legacy_until;
        return SUCCESS;
    }
    if (s->magic != MAGIC || s->gone || s->context->gone) { violations++; return INVALID_HANDLE; }
    *context = s->context;
    *until = &s->until;
    return SUCCESS;
}

/* ---- the script ---- */
void stub_follow(int64_t offset, double speed) { offset_ns = host_ns() - offset; rate = speed; following = 1; }
void stub_advance(int64_t ns) { now_ns += ns; }
int64_t stub_now(void) { return device_ns(); }
void stub_lose(int code) { lost = code; }
void stub_mig(int on) { mig = on; }
void stub_block(int64_t ns) { block_ns = ns; }
void stub_record_delay(int64_t ns) { record_delay_ns = ns; }
int stub_violations(void) { return violations; }
int stub_events_live(void) { return events_live; }
int stub_events_made(void) { return events_made; }
uint64_t stub_launches(void) { return launches; }
void stub_kernel_takes(int64_t ns) { kernel_ns = ns; }

int stub_calls(const char *name) {
    for (int i = 0; i < 64; i++)
        if (!strcmp(called[i].name, name)) return called[i].count;
    return 0;
}

/* The next ``times`` calls of a function, but for the first ``after``, answer ``code``; a negative number: all of
   them, 0: none. */
void stub_fail(const char *name, int code, int times, int after) {
    for (int i = 0; i < 16; i++)
        if (!strcmp(failing[i].name, name) || (!failing[i].times && times)) {
            strncpy(failing[i].name, name, 47);
            failing[i].code = code;
            failing[i].times = times;
            failing[i].after = after;
            return;
        }
}

/* Work of ``ns`` on a stream: it starts when what is before it has ended. */
int stub_work(stream_t *s, int64_t ns) {
    context_t *context;
    int64_t *until, now = device_ns();
    int code = resolve(s, &context, &until);
    if (code) return code;
    *until = (*until > now ? *until : now) + ns;
    return SUCCESS;
}

void stub_capture(stream_t *s, int on) { global_captures += on ? 1 : -1; s->capturing = on; }
void stub_forget_captures(void) { global_captures = 0; }
void stub_destroy_context(context_t *c) { c->gone = 1; }
void stub_initialize(void) { initialized = 1; }

/* What a forked child finds: the driver was initialized, and is not any more. */
static void in_child(void) { initialized = 0; depth = 0; pthread_mutex_init(&lock, NULL); }

__attribute__((constructor)) static void loaded(void) { pthread_atfork(NULL, NULL, in_child); }

/* ---- the driver ---- */
int cuInit(unsigned int flags) { (void)flags; ENTER(); initialized = 1; RETURN(SUCCESS); }
int cuDriverGetVersion(int *version) { *version = 13000; return SUCCESS; }
int cuDeviceGetCount(int *count) { ENTER(); *count = 2; RETURN(SUCCESS); }
int cuDeviceGet(int *device, int ordinal) {
    ENTER();
    if (ordinal < 0 || ordinal > 1) RETURN(101);
    *device = ordinal;
    RETURN(SUCCESS);
}

static int uuid(uuid_t *out, int device, int instance) {
    for (int i = 0; i < 16; i++) out->bytes[i] = (unsigned char)(i + 16 * device + (instance ? 128 : 0));
    return SUCCESS;
}
int cuDeviceGetUuid(uuid_t *out, int device) { ENTER(); RETURN(uuid(out, device, 0)); }
int cuDeviceGetUuid_v2(uuid_t *out, int device) { ENTER(); RETURN(uuid(out, device, mig)); }

static int new_context(context_t **out, int device) {
    *out = calloc(1, sizeof **out);
    (*out)->magic = MAGIC;
    (*out)->device = device;
    (*out)->id = next_id++;
    return SUCCESS;
}
int cuCtxCreate_v2(context_t **out, unsigned int flags, int device) {
    (void)flags;
    ENTER();
    new_context(out, device);
    stack[depth++] = *out;
    RETURN(SUCCESS);
}
int cuDevicePrimaryCtxRetain(context_t **out, int device) {
    static context_t *primary[2];
    ENTER();
    if (!primary[device]) new_context(&primary[device], device);
    *out = primary[device];
    RETURN(SUCCESS);
}
int cuDevicePrimaryCtxRelease_v2(int device) { (void)device; ENTER(); RETURN(SUCCESS); }
int cuCtxGetCurrent(context_t **out) { ENTER(); *out = current(); RETURN(SUCCESS); }
int cuCtxSetCurrent(context_t *c) {
    ENTER();
    if (!c) depth = 0;
    else { if (!depth) depth = 1; stack[depth - 1] = c; }
    RETURN(SUCCESS);
}
int cuCtxPushCurrent_v2(context_t *c) {
    ENTER();
    if (!c || c->magic != MAGIC || c->gone) { violations++; RETURN(INVALID_CONTEXT); }
    if (depth == 16) RETURN(OUT_OF_MEMORY);
    stack[depth++] = c;
    RETURN(SUCCESS);
}
int cuCtxPopCurrent_v2(context_t **out) {
    ENTER();
    if (!depth) RETURN(INVALID_CONTEXT);
    *out = stack[--depth];
    RETURN(SUCCESS);
}
#ifndef WITHOUT_CONTEXT_ID
int cuCtxGetId(context_t *c, unsigned long long *id) {
    ENTER();
    if (!c) c = current();
    int code = usable(c);
    if (!code) *id = c->id;
    RETURN(code);
}
#endif
int cuCtxGetApiVersion(context_t *c, unsigned int *version) {
    ENTER();
    *version = 3020;
    RETURN(usable(c ? c : current()));
}
int cuCtxGetDevice(int *device) {
    ENTER();
    int code = usable(current());
    if (!code) *device = current()->device;
    RETURN(code);
}
int cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    ENTER();
    *least = 0;
    *greatest = -5;
    RETURN(usable(current()));
}
int cuStreamCreateWithPriority(stream_t **out, unsigned int flags, int priority) {
    (void)flags; (void)priority;
    ENTER();
    int code = usable(current());
    if (code) RETURN(code);
    *out = calloc(1, sizeof **out);
    (*out)->magic = MAGIC;
    (*out)->context = current();
    RETURN(SUCCESS);
}
int cuStreamCreate(stream_t **out, unsigned int flags) { return cuStreamCreateWithPriority(out, flags, 0); }
int cuStreamDestroy_v2(stream_t *s) { ENTER(); s->gone = 1; RETURN(SUCCESS); }
int cuStreamGetCtx(stream_t *s, context_t **out) {
    int64_t *until;
    ENTER();
    RETURN(resolve(s, out, &until));
}
int cuStreamIsCapturing(stream_t *s, int *status) {
    context_t *context;
    int64_t *until;
    ENTER();
    int code = resolve(s, &context, &until);
    if (code) RETURN(code);
    if ((uintptr_t)s <= 1 && global_captures) RETURN(CAPTURE_IMPLICIT);
    *status = (uintptr_t)s > 2 ? s->capturing : 0;
    RETURN(SUCCESS);
}
int cuThreadExchangeStreamCaptureMode(int *wanted) {
    ENTER();
    int before = mode;
    mode = *wanted;
    *wanted = before;
    RETURN(SUCCESS);
}
int cuEventCreate(event_t **out, unsigned int flags) {
    (void)flags;
    ENTER();
    int code = usable(current());
    if (code) RETURN(code);
    *out = calloc(1, sizeof **out);
    (*out)->magic = MAGIC;
    (*out)->context = current();
    events_made++;
    events_live++;
    RETURN(SUCCESS);
}
static int bad(event_t *e) {
    if (!e || e->magic != MAGIC || e->gone || e->context->gone) { violations++; return INVALID_HANDLE; }
    return 0;
}
int cuEventDestroy_v2(event_t *e) {
    ENTER();
    if (bad(e)) RETURN(INVALID_HANDLE);
    e->gone = 1;
    events_live--;
    RETURN(SUCCESS);
}
int cuEventRecord(event_t *e, stream_t *s) {
    context_t *context;
    int64_t *until;
    ENTER();
    if (bad(e)) RETURN(INVALID_HANDLE);
    int code = resolve(s, &context, &until);
    if (code) RETURN(code);
    if (context != e->context) { violations++; RETURN(INVALID_HANDLE); }
    if (((uintptr_t)s > 2 && s->capturing) || ((uintptr_t)s <= 1 && global_captures)) {
        violations++; /* it becomes part of the user's graph, or breaks the capture */
        RETURN((uintptr_t)s > 2 ? SUCCESS : CAPTURE_IMPLICIT);
    }
    if (block_ns) { /* the launch queue is full */
        struct timespec t = { block_ns / 1000000000, block_ns % 1000000000 };
        nanosleep(&t, NULL);
    }
    int64_t now = device_ns() + record_delay_ns;
    *until = *until > now ? *until : now;
    e->done = *until;
    e->recorded = 1;
    RETURN(SUCCESS);
}
int cuEventQuery(event_t *e) {
    ENTER();
    if (bad(e)) RETURN(INVALID_HANDLE);
    if (global_captures && mode == 0) { violations++; RETURN(CAPTURE_UNSUPPORTED); }
    RETURN(!e->recorded || device_ns() >= e->done ? SUCCESS : NOT_READY);
}
int cuEventElapsedTime(float *ms, event_t *from, event_t *to) {
    ENTER();
    if (bad(from) || bad(to)) RETURN(INVALID_HANDLE);
    if (!from->recorded || !to->recorded || from->context != to->context) RETURN(INVALID_HANDLE);
    if (device_ns() < from->done || device_ns() < to->done) RETURN(NOT_READY);
    *ms = (float)((double)(to->done - from->done) / 1e6);
    RETURN(SUCCESS);
}
int cuEventSynchronize(event_t *e) { (void)e; ENTER(); violations++; RETURN(SUCCESS); }
int cuStreamSynchronize(stream_t *s) { (void)s; ENTER(); violations++; RETURN(SUCCESS); }
int cuCtxSynchronize(void) { ENTER(); violations++; RETURN(SUCCESS); }

/* ---- modules and launches ---- */
int cuModuleLoadData(void **module, const void *image) {
    ENTER();
    if (strncmp(image, "//", 2) && strncmp(image, ".version", 8)) RETURN(INVALID_PTX);
    *module = strdup(image);
    RETURN(usable(current()));
}
int cuModuleGetFunction(void **function, void *module, const char *name) {
    char entry[96] = ".entry ";
    ENTER();
    if (!strstr(module, strncat(entry, name, 80))) RETURN(NOT_FOUND);
    *function = module;
    RETURN(SUCCESS);
}
int cuModuleUnload(void *module) { (void)module; ENTER(); RETURN(SUCCESS); }
int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, stream_t *s, void **parameters, void **extra) {
    (void)shared; (void)parameters; (void)extra;
    ENTER();
    if (!function || !gx || !gy || !gz || !bx || !by || !bz) RETURN(INVALID_VALUE);
    launches++;
    RETURN(stub_work(s, kernel_ns));
}
