/* A stand-in for libnvidia-ml.so.1, so that the real pynvml is driven without a GPU.
 *
 * Every call reads the script named by NVML_STUB: lines "name value". Of a function F of NVML:
 *   F code            F returns this error; "1.F code" does so for the second device only
 *   sleep.F ms        F takes this long
 *   hang.F 1          F does not return while the line is there
 * field.N code (or type) and value.N set one field; a value "a+b/s" grows by b a second from the start of
 * the process, one of type 1 wraps at 32 bits. Stamps lie on a grid of 1/6 s of the clock the script names:
 * unix, boot, epoch (counts from 1970), or odd (of no clock). Time is what "unix_us", "boot_us" and
 * "elapsed_us" say, else the machine's.
 * stubCalls(F) tells how often F was called.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef union { double d; unsigned int ui; unsigned long ul; unsigned long long ull; } value_t;
typedef struct { unsigned long long stamp; value_t value; } sample_t;
typedef struct { unsigned int pid; unsigned long long stamp; unsigned int sm, mem, enc, dec; } use_t;
typedef struct { uint32_t field, scope; int64_t stamp, latency; int type, result; value_t value; } field_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int gpu, memory; } rates_t;
typedef struct { unsigned int pid; unsigned long long used; unsigned int gpu_instance, compute_instance; } info_t;
typedef struct { void *device; unsigned long long type, data; unsigned int gpu_instance, compute_instance; } event_t;
typedef struct { unsigned int version, supported; } support_t;
typedef struct { unsigned int id; int result; double value; const char *names[3]; } metric_t;
typedef struct { unsigned int version, count; void *first, *second; metric_t metrics[]; } metrics_t;
typedef struct { unsigned int version, fan, speed; } fan_t;

#define STEP_US 166667ULL
#define NOT_FOUND 6
#define TOO_SMALL 7
#define TIMEOUT 10

static int text(const char *name, char *out, size_t room) {
    const char *path = getenv("NVML_STUB");
    FILE *file = path ? fopen(path, "r") : NULL;
    char key[128], value[256];
    int found = 0;
    if (!file) return 0;
    while (fscanf(file, "%127s %255s", key, value) == 2)
        if (!strcmp(key, name)) { snprintf(out, room, "%s", value); found = 1; }
    fclose(file);
    return found;
}

static long long clock_us(const char *scripted, clockid_t clock) {
    char value[256];
    struct timespec t;
    if (text(scripted, value, sizeof value)) return atoll(value);
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static long long elapsed_us(void) {
    static long long began;
    char value[256];
    if (text("elapsed_us", value, sizeof value)) return atoll(value);
    if (!began) began = clock_us("", CLOCK_MONOTONIC);
    return clock_us("", CLOCK_MONOTONIC) - began;
}

static long long number(const char *name, long long otherwise) {
    char value[256], *rest;
    if (!text(name, value, sizeof value)) return otherwise;
    long long base = strtoll(value, &rest, 10);
    return *rest == '+' ? base + (long long)(strtod(rest + 1, NULL) * (double)elapsed_us() / 1e6) : base;
}

static long long numbered(const char *name, long long index, long long otherwise) {
    char key[64];
    snprintf(key, sizeof key, "%s.%lld", name, index);
    return number(key, otherwise);
}

static void nap(long long us) {
    if (us <= 0) return;
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

static struct { char name[64]; int count; } calls[64];

static void count_call(const char *name) {
    for (int i = 0; i < 64; i++) {
        if (!calls[i].name[0]) snprintf(calls[i].name, sizeof calls[i].name, "%s", name);
        if (!strcmp(calls[i].name, name)) { calls[i].count++; return; }
    }
}

int stubCalls(const char *name) {
    for (int i = 0; i < 64; i++)
        if (!strcmp(calls[i].name, name)) return calls[i].count;
    return 0;
}

static int scripted(const char *name, long long device) {
    char key[128];
    count_call(name);
    snprintf(key, sizeof key, "sleep.%s", name);
    nap(1000 * number(key, 0));
    snprintf(key, sizeof key, "hang.%s", name);
    while (number(key, 0)) nap(5000);
    snprintf(key, sizeof key, "%lld.%s", device, name);
    return (int)number(key, number(name, 0));
}

/* Handles: GPU i is i + 1, slice j of it is 256 * (j + 1) more. */
static long long gpu_of(void *device) { return ((long long)(uintptr_t)device & 255) - 1; }
static long long slice_of(void *device) { return ((long long)(uintptr_t)device >> 8) - 1; }

#define FAIL_AS_SCRIPTED() do { int code = scripted(__func__, -1); if (code) return code; } while (0)
#define FAIL_OF_DEVICE() do { int code = scripted(__func__, gpu_of(device)); if (code) return code; } while (0)

static unsigned long long now_us(void) {
    char name[256] = "unix";
    text("clock", name, sizeof name);
    if (!strcmp(name, "unix")) return (unsigned long long)clock_us("unix_us", CLOCK_REALTIME);
    if (!strcmp(name, "epoch")) return 1000000ULL + (unsigned long long)elapsed_us();
    unsigned long long boot = (unsigned long long)clock_us("boot_us", CLOCK_BOOTTIME);
    return strcmp(name, "odd") ? boot : boot + 123456789012ULL;
}

int nvmlInitWithFlags(unsigned int flags) { (void)flags; FAIL_AS_SCRIPTED(); return 0; }
int nvmlShutdown(void) { FAIL_AS_SCRIPTED(); return 0; }

const char *nvmlErrorString(int code) { (void)code; return "as scripted"; }

int nvmlSystemGetDriverVersion(char *out, unsigned int room) {
    FAIL_AS_SCRIPTED(); snprintf(out, room, "550.54"); return 0;
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
    FAIL_AS_SCRIPTED();
    *count = (unsigned int)number("count", 1);
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    FAIL_AS_SCRIPTED();
    *device = (void *)(uintptr_t)(index + 1);
    return 0;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    *device = (void *)(uintptr_t)(uuid[strlen(uuid) - 1] - '0' + 1);
    return scripted(__func__, gpu_of(*device));
}

int nvmlDeviceGetUUID(void *device, char *out, unsigned int room) {
    FAIL_OF_DEVICE();
    if (slice_of(device) < 0) snprintf(out, room, "GPU-0000-%lld", gpu_of(device));
    else snprintf(out, room, "MIG-0000-%lld-%lld", gpu_of(device), slice_of(device));
    return 0;
}

int nvmlDeviceGetName(void *device, char *out, unsigned int room) {
    FAIL_OF_DEVICE();
    snprintf(out, room, slice_of(device) < 0 ? "Scripted GPU" : "Scripted GPU MIG 1g.5gb");
    return 0;
}

int nvmlDeviceGetSerial(void *device, char *out, unsigned int room) {
    FAIL_OF_DEVICE(); snprintf(out, room, "1320"); return 0;
}

int nvmlDeviceGetUtilizationRates(void *device, rates_t *rates) {
    FAIL_OF_DEVICE();
    rates->gpu = (unsigned int)number("rate", 30);
    rates->memory = 5;
    return 0;
}

#ifndef WITHOUT_SAMPLES
int nvmlDeviceGetSamples(void *device, int type, unsigned long long seen, int *kind, unsigned int *count, sample_t *out) {
    (void)type; FAIL_OF_DEVICE();
    unsigned long long newest = now_us() / STEP_US - (unsigned long long)number("samples_late_steps", 0);
    unsigned int room = out ? *count : 0, n = 0;
    *kind = 1;
    for (unsigned long long step = newest > 20 ? newest - 20 : 1; step <= newest; step++) {
        if (step * STEP_US <= seen) continue;
        if (out && n < room) {
            out[n].stamp = step * STEP_US;
            out[n].value.ull = 0;
            out[n].value.ui = (unsigned int)number("sample", 70);
        }
        n++;
    }
    *count = out && n > room ? room : n;
    return n ? 0 : NOT_FOUND;
}
#endif

int nvmlDeviceGetProcessUtilization(void *device, use_t *out, unsigned int *count, unsigned long long seen) {
    FAIL_OF_DEVICE();
    unsigned long long stamp = now_us();
    long long pids[2] = {number("pid.0", 0), number("pid.1", 0)};
    unsigned int n = (pids[0] != 0) + (pids[1] != 0);
    if (!n || stamp <= seen) { *count = 0; return (int)number("no_processes", 0); }
    if (!out) { *count = n; return TOO_SMALL; }
    n = 0;
    for (int i = 0; i < 2; i++) {
        if (!pids[i]) continue;
        memset(&out[n], 0, sizeof out[n]);
        out[n].pid = (unsigned int)pids[i];
        out[n].stamp = stamp;
        out[n++].sm = (unsigned int)numbered("use", i, 20);
    }
    *count = n;
    return 0;
}

static int running(const char *kind, unsigned int *count, info_t *out) {
    char key[64];
    unsigned int room = out ? *count : 0, n = 0;
    for (int i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "%s.%d", kind, i);
        long long pid = number(key, 0);
        if (!pid) continue;
        if (n < room) {
            memset(&out[n], 0, sizeof out[n]);
            out[n].pid = (unsigned int)pid;
            out[n].used = (unsigned long long)numbered("held", i, 1LL << 20);
        }
        n++;
    }
    *count = n;
    return n > room ? TOO_SMALL : 0;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, info_t *out) {
    FAIL_OF_DEVICE(); return running("compute", count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned int *count, info_t *out) {
    FAIL_OF_DEVICE(); return running("graphics", count, out);
}

#ifndef OLD_DRIVER
int nvmlDeviceGetFieldValues(void *device, int count, field_t *fields) {
    FAIL_OF_DEVICE();
    for (int i = 0; i < count; i++)
        if (fields[i].field == number("unheard_of", 0)) return 2; /* the batch as a whole is refused */
    for (int i = 0; i < count; i++) {
        long long id = fields[i].field;
        fields[i].result = (int)numbered("field", id, 0);
        fields[i].latency = number("query_us", 40);
        fields[i].type = (int)numbered("type", id, id == 185 || id == 186 ? 1 : 3);
        fields[i].value.ull = 0;
        long long value = numbered("value", id, id == 185 || id == 186 ? 250000 : id == 82 ? 70 : id == 145 ? 0 : 5000000);
        if (fields[i].type == 1) fields[i].value.ui = (unsigned int)value;
        else fields[i].value.ull = (unsigned long long)value;
    }
    return 0;
}

int nvmlDeviceGetCurrentClocksEventReasons(void *device, unsigned long long *mask) {
    FAIL_OF_DEVICE(); *mask = (unsigned long long)number("reasons", 0); return 0;
}

int nvmlGpmQueryDeviceSupport(void *device, support_t *support) {
    FAIL_OF_DEVICE(); support->supported = (unsigned int)number("gpm", 0); return 0;
}

int nvmlGpmSampleAlloc(void **sample) { FAIL_AS_SCRIPTED(); *sample = calloc(1, sizeof(long long)); return 0; }
int nvmlGpmSampleFree(void *sample) { FAIL_AS_SCRIPTED(); free(sample); return 0; }

int nvmlGpmSampleGet(void *device, void *sample) {
    FAIL_OF_DEVICE(); *(long long *)sample = elapsed_us(); return 0;
}

int nvmlGpmMigSampleGet(void *device, unsigned int instance, void *sample) {
    (void)instance; FAIL_OF_DEVICE(); *(long long *)sample = elapsed_us(); return 0;
}

int nvmlGpmMetricsGet(metrics_t *request) {
    FAIL_AS_SCRIPTED();
    if (*(long long *)request->second - *(long long *)request->first < 100000) return 2; /* too close */
    for (unsigned int i = 0; i < request->count; i++) {
        request->metrics[i].result = (int)numbered("gpm_error", request->metrics[i].id, 0);
        request->metrics[i].value = (double)numbered("gpm_value", request->metrics[i].id, 50);
    }
    return 0;
}

int nvmlDeviceGetMigMode(void *device, unsigned int *current, unsigned int *pending) {
    FAIL_OF_DEVICE(); *current = *pending = number("slices", 0) > 0; return 0;
}

int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned int *count) { FAIL_OF_DEVICE(); *count = 7; return 0; }

int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned int index, void **slice) {
    FAIL_OF_DEVICE();
    if (index >= (unsigned int)number("slices", 0)) return NOT_FOUND;
    *slice = (void *)((uintptr_t)device + 256 * (index + 1));
    return 0;
}

int nvmlDeviceGetGpuInstanceId(void *device, unsigned int *id) {
    FAIL_OF_DEVICE(); *id = (unsigned int)slice_of(device) + 7; return 0;
}

int nvmlEventSetCreate(void **set) { FAIL_AS_SCRIPTED(); *set = calloc(1, sizeof(long long)); return 0; }
int nvmlEventSetFree(void *set) { FAIL_AS_SCRIPTED(); free(set); return 0; }

int nvmlDeviceGetSupportedEventTypes(void *device, unsigned long long *types) {
    FAIL_OF_DEVICE(); *types = (unsigned long long)number("event_types", 0xf); return 0;
}

int nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *set) {
    (void)types; (void)set; FAIL_OF_DEVICE(); return 0;
}

/* "event seq:type:data:device" is delivered once for each new seq. */
int nvmlEventSetWait_v2(void *set, event_t *event, unsigned int ms) {
    FAIL_AS_SCRIPTED();
    long long until = clock_us("", CLOCK_MONOTONIC) + ms * 1000LL;
    do {
        char told[256];
        long long seq, type, data, device;
        if (text("event", told, sizeof told) && sscanf(told, "%lld:%lld:%lld:%lld", &seq, &type, &data, &device) == 4
            && seq > *(long long *)set) {
            *(long long *)set = seq;
            memset(event, 0, sizeof *event);
            event->device = (void *)(uintptr_t)(device + 1);
            event->type = (unsigned long long)type;
            event->data = (unsigned long long)data;
            return 0;
        }
        nap(5000);
    } while (clock_us("", CLOCK_MONOTONIC) < until);
    return TIMEOUT;
}
#else
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *mask) {
    FAIL_OF_DEVICE(); *mask = (unsigned long long)number("reasons", 0); return 0;
}
#endif

int nvmlDeviceGetPowerUsage(void *device, unsigned int *mw) { FAIL_OF_DEVICE(); *mw = 240000; return 0; }

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj) {
    FAIL_OF_DEVICE(); *mj = 7000; return 0;
}

int nvmlDeviceGetClockInfo(void *device, int type, unsigned int *mhz) {
    FAIL_OF_DEVICE(); *mhz = (unsigned int)number(type == 1 ? "clock_mhz" : "memory_mhz", type == 1 ? 1500 : 2600); return 0;
}

int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) {
    FAIL_OF_DEVICE();
    memory->total = slice_of(device) < 0 ? 8ULL << 30 : 1ULL << 30;
    memory->used = slice_of(device) < 0 ? (unsigned long long)number("memory_used", 3LL << 30) : 1ULL << 28;
    memory->free = memory->total - memory->used;
    return 0;
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned int *celsius) {
    (void)sensor; FAIL_OF_DEVICE(); *celsius = (unsigned int)number("celsius", 61); return 0;
}

int nvmlDeviceGetEncoderUtilization(void *device, unsigned int *percent, unsigned int *period) {
    FAIL_OF_DEVICE(); *percent = 12; *period = 167000; return 0;
}

int nvmlDeviceGetDecoderUtilization(void *device, unsigned int *percent, unsigned int *period) {
    FAIL_OF_DEVICE(); *percent = 34; *period = 167000; return 0;
}

int nvmlDeviceGetFanSpeed(void *device, unsigned int *percent) { FAIL_OF_DEVICE(); *percent = 40; return 0; }
int nvmlDeviceGetFanSpeedRPM(void *device, fan_t *fan) { FAIL_OF_DEVICE(); fan->speed = 1800; return 0; }
