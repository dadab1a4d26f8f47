/* A stand-in for libnvidia-ml.so.1, so that the real pynvml is driven without a GPU.
 *
 * Every call reads the script named by NVML_STUB: lines "name value". A line named like an NVML function
 * makes that function return the value as its error code; a line "field.N code" does so for one field.
 * Sample stamps lie on a grid of 1/6 s of the clock the script names: unix, boot, or odd (of no clock).
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

#define STEP_US 166667ULL

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

static long long number(const char *name, long long otherwise) {
    char value[256];
    return text(name, value, sizeof value) ? atoll(value) : otherwise;
}

#define FAIL_AS_SCRIPTED() do { long long code = number(__func__, 0); if (code) return (int)code; } while (0)

static unsigned long long now_us(void) {
    char name[256] = "unix";
    struct timespec t;
    text("clock", name, sizeof name);
    clock_gettime(strcmp(name, "unix") ? CLOCK_BOOTTIME : CLOCK_REALTIME, &t);
    unsigned long long us = (unsigned long long)t.tv_sec * 1000000ULL + (unsigned long long)t.tv_nsec / 1000ULL;
    return strcmp(name, "odd") ? us : us + 123456789012ULL;
}

int nvmlInitWithFlags(unsigned int flags) { (void)flags; FAIL_AS_SCRIPTED(); return 0; }
int nvmlShutdown(void) { FAIL_AS_SCRIPTED(); return 0; }

const char *nvmlErrorString(int code) { (void)code; return "as scripted"; }

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
    FAIL_AS_SCRIPTED();
    *device = (void *)(uintptr_t)(uuid[strlen(uuid) - 1] - '0' + 1);
    return 0;
}

int nvmlDeviceGetUUID(void *device, char *out, unsigned int room) {
    FAIL_AS_SCRIPTED();
    snprintf(out, room, "GPU-0000-%u", (unsigned int)(uintptr_t)device - 1);
    return 0;
}

int nvmlDeviceGetName(void *device, char *out, unsigned int room) {
    (void)device; FAIL_AS_SCRIPTED();
    snprintf(out, room, "Scripted GPU");
    return 0;
}

int nvmlDeviceGetUtilizationRates(void *device, rates_t *rates) {
    (void)device; FAIL_AS_SCRIPTED();
    rates->gpu = (unsigned int)number("rate", 30);
    rates->memory = 5;
    return 0;
}

#ifndef WITHOUT_SAMPLES
int nvmlDeviceGetSamples(void *device, int type, unsigned long long seen, int *kind, unsigned int *count, sample_t *out) {
    (void)device; (void)type; FAIL_AS_SCRIPTED();
    unsigned long long newest = now_us() / STEP_US - (unsigned long long)number("samples_late_steps", 0);
    unsigned int room = out ? *count : 0, n = 0;
    *kind = 1;
    for (unsigned long long step = newest - 20; step <= newest; step++) {
        if (step * STEP_US <= seen) continue;
        if (out && n < room) {
            out[n].stamp = step * STEP_US;
            out[n].value.ull = 0;
            out[n].value.ui = (unsigned int)number("sample", 70);
        }
        n++;
    }
    *count = out && n > room ? room : n;
    return n ? 0 : 6;
}
#endif

int nvmlDeviceGetProcessUtilization(void *device, use_t *out, unsigned int *count, unsigned long long seen) {
    (void)device; FAIL_AS_SCRIPTED();
    unsigned long long stamp = now_us();
    long long pids[2] = {number("pid.0", 0), number("pid.1", 0)};
    unsigned int n = (pids[0] != 0) + (pids[1] != 0);
    if (!n || stamp <= seen) { *count = 0; return (int)number("no_processes", 0); }
    if (!out) { *count = n; return 7; }
    n = 0;
    for (int i = 0; i < 2; i++) {
        if (!pids[i]) continue;
        memset(&out[n], 0, sizeof out[n]);
        out[n].pid = (unsigned int)pids[i];
        out[n].stamp = stamp;
        out[n++].sm = (unsigned int)number(i ? "use.1" : "use.0", 20);
    }
    *count = n;
    return 0;
}

int nvmlDeviceGetFieldValues(void *device, int count, field_t *fields) {
    (void)device; FAIL_AS_SCRIPTED();
    for (int i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "field.%u", fields[i].field);
        fields[i].result = (int)number(name, 0);
        snprintf(name, sizeof name, "value.%u", fields[i].field);
        fields[i].type = fields[i].field >= 185 && fields[i].field <= 186 ? 1 : 3;
        fields[i].value.ull = 0;
        if (fields[i].type == 1) fields[i].value.ui = (unsigned int)number(name, 250000);
        else fields[i].value.ull = (unsigned long long)number(name, 5000000);
    }
    return 0;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned int *mw) {
    (void)device; FAIL_AS_SCRIPTED(); *mw = 240000; return 0;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj) {
    (void)device; FAIL_AS_SCRIPTED(); *mj = 7000; return 0;
}

int nvmlDeviceGetClockInfo(void *device, int type, unsigned int *mhz) {
    (void)device; (void)type; FAIL_AS_SCRIPTED(); *mhz = (unsigned int)number("clock_mhz", 1500); return 0;
}

int nvmlDeviceGetMaxClockInfo(void *device, int type, unsigned int *mhz) {
    (void)device; (void)type; FAIL_AS_SCRIPTED(); *mhz = 1980; return 0;
}

int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) {
    (void)device; FAIL_AS_SCRIPTED();
    memory->total = 8ULL << 30;
    memory->used = (unsigned long long)number("memory_used", 3LL << 30);
    memory->free = memory->total - memory->used;
    return 0;
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned int *celsius) {
    (void)device; (void)sensor; FAIL_AS_SCRIPTED(); *celsius = (unsigned int)number("celsius", 61); return 0;
}
