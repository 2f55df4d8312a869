/* A libnvidia-ml.so.1 without a GPU, whose energy is known in closed form.
 *
 * Layouts of structures and numbers of constants follow the public ctypes
 * binding nvidia-ml-py. What is not defined here does not exist: the binding
 * then says NVML_ERROR_FUNCTION_NOT_FOUND. Build:
 *   cc -O2 -shared -fPIC -Wl,-soname,libnvidia-ml.so.1 nvml.c -o libnvidia-ml.so.1 -lm -lpthread
 *
 * CONFIGURATION. The environment variable FAKE_NVML_CONFIG names a text file. It is
 * read by every nvmlInit that follows a full shutdown. A mistake in it prints one
 * line and makes nvmlInit return 970. Its lines are `key = value`, `[device N]`,
 * `[device *]`, blank, or comments that begin with `#`. Later lines override
 * earlier ones. Times are seconds since the epoch, power is in watts.
 *
 * Before the first section:
 *   devices = 1                 0 to 64; must stand before the first section
 *   epoch = MONOTONIC           where time 0 lies on CLOCK_MONOTONIC (default: the moment of nvmlInit); may be negative
 *   init_error = 0              what nvmlInit returns, e.g. 4 no permission, 9 driver not loaded, 18 mismatch
 *   shutdown_hangs = no         yes: nvmlShutdown too waits while any device hangs
 *   driver_version = 580.95.05  nvml_version = 13.580.95.05  cuda_version = 13000
 *
 * In a section, what the device is:
 *   name, uuid (GPU-00000000-0000-4000-8000-<index, 12 hex digits>), pci (DOMAIN:BUS:DEVICE.0 in hex),
 *   brand = 14, architecture = 9, compute_capability = 9.0, memory_total_mib, memory_used_mib,
 *   power_limit_w, power_limit_default_w, power_limit_min_w, power_limit_max_w, persistence = yes,
 *   tells_profiles = no (yes: the driver knows workload power profiles and an adaptive limit),
 *   power_profiles = 0 (the bits of those in force; 4: compute), adaptive_limit = no,
 *   virtualization = 0, temperature_c, utilisation_percent, sm_clock_mhz, sm_clock_max_mhz,
 *   mem_clock_mhz, mem_clock_max_mhz, c2c = no (yes: linked to a Grace CPU)
 *   mig = off                   off, unsupported, or 0 to 7: MIG mode with that many instances, named
 *                               MIG-<instance + 1, 8 hex digits>-0000-4000-8000-<index, 12 hex digits>
 *   pids = PID[@FROM[..TO]] …   compute processes on it
 *   throttle = BITS[@FROM[..TO]] …   clocks event reasons
 *   temperature_at = °C@FROM[..TO] …   sm_clock_at = MHZ@…   power_limit_at = W@…     in place of the constant then
 *
 * What it draws (power, module_power, memory_power, gpu_base_power, one per scope):
 *   constant:P
 *   step:P0,P1,T1[,P2,T2…]                       P0 until T1, then P1 until T2, …
 *   square:LO,HI,PERIOD,DUTY[,PHASE]             HI in the first DUTY (0 to 1) of each period; one starts at PHASE
 *   sine:MEAN,AMPLITUDE,PERIOD[,PHASE]           rises through MEAN at PHASE
 *   ramp:P0,P1,T0,T1                             P0 until T0, straight to P1 at T1, then P1
 *   burst:IDLE,ACTIVE,PERIOD,LENGTH[,PEAK,PEAK_LENGTH[,PHASE]]
 *                                                each period: PEAK for PEAK_LENGTH, ACTIVE until LENGTH, then IDLE
 *
 * What its sensors say of that:
 *   gain = 1                    factor on every counter and power reading
 *   seed = 1                    of the jitters below
 *   counter_period_s = 0.1      the counter is refreshed then and constant in between; 0: continuous
 *   counter_phase_s = 0         one of its ticks
 *   counter_jitter_s = 0        each tick is moved by up to ± this (less than half a period)
 *   counter_start_mj = 0        its value at time 0
 *   counter_window_s = 0        0: exact integral; else each tick adds the mean power of the last
 *                               window_s × the time since the last tick (a part-time sensor)
 *   counter_scope = gpu         whose energy nvmlDeviceGetTotalEnergyConsumption and field 83 count
 *   power_period_s = 0.1  power_phase_s = 0  power_jitter_s = 0      refresh of instant power (field 186)
 *   instant_window_s = 0.025    mean over this long before the refresh; 0: momentary
 *   average_period_s = 0.1      refresh of average power (field 185), in phase with instant power
 *   average_window_s = 1
 *   power_usage = average       average or instant: which of them nvmlDeviceGetPowerUsage is
 *   energy_scopes = gpu         scopes that answer in field 191: gpu module memory gpu_base, or none
 *   instant_scopes = gpu        … in field 186
 *   average_scopes = gpu        … in field 185
 *   field_timestamp = query     query or sensor: what the time stamp of a field value tells
 *   samples = live              live, stale (ends at time 0) or unsupported: the ring of 120 power samples
 *   sample_period_s = 0.02
 *   latency_us = 0              how long each call about this device takes
 *
 * What goes wrong: faults = KIND[@FROM[..TO]][:VALUE] …  (without FROM: always; without TO: for ever)
 *   every call:    lost (GPU_IS_LOST)   hang (blocks until TO or the full shutdown)
 *   readings:      no_permission   unknown (999)   error:CODE
 *   unsupported:   counter_unsupported   power_unsupported (instant, average, samples)
 *                  instant_unsupported (field 186)   fields_unsupported
 *   counter:       counter_reset (restarts from 0 at FROM)   counter_frozen (then shows the truth again)
 *                  counter_zero (reads 0)
 *   power:         power_zero   power_spike:WATTS (without WATTS: 4294967295 mW)
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ALIAS(of) __attribute__((alias(of)))

enum { MAX_DEVICES = 64, MAX_MIG = 7, MAX_SEGMENTS = 64, MAX_SPANS = 32, RING = 120, SCOPES = 4 };

enum {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15, VERSION_MISMATCH = 25, BAD_CONFIGURATION = 970, UNKNOWN = 999
};

/* ---- what the configuration says ---------------------------------------------------------------------- */

typedef struct {
    enum { STEPS, CYCLE, SINE, RAMP } shape;
    int n;                                         /* segments; 0: no profile given */
    double watts[MAX_SEGMENTS], at[MAX_SEGMENTS];  /* STEPS, CYCLE: watts[i] from at[i] on. SINE: mean, amplitude */
    double period, phase;
} Profile;

typedef struct { double from, to, value; int kind; } Span;
typedef struct { int n; Span span[MAX_SPANS]; } Spans;
typedef struct { bool begun; long first, last; double joules; } Sum;     /* of a part-time counter so far */

enum { LOST, HANG, NO_PERMISSION_FAULT, UNKNOWN_FAULT, ERROR_FAULT, COUNTER_UNSUPPORTED, POWER_UNSUPPORTED,
       INSTANT_UNSUPPORTED, FIELDS_UNSUPPORTED, COUNTER_RESET, COUNTER_FROZEN, COUNTER_ZERO, POWER_ZERO, POWER_SPIKE };
static const char *const FAULTS[] = {
    "lost", "hang", "no_permission", "unknown", "error", "counter_unsupported", "power_unsupported",
    "instant_unsupported", "fields_unsupported", "counter_reset", "counter_frozen", "counter_zero", "power_zero",
    "power_spike", NULL };

enum { GPU, MODULE, MEMORY, GPU_BASE };
static const char *const SCOPE_NAMES[] = { "gpu", "module", "memory", "gpu_base", NULL };
static const char *const NO_YES[] = { "no", "yes", NULL };
static const char *const AVERAGE_INSTANT[] = { "average", "instant", NULL };
static const char *const QUERY_SENSOR[] = { "query", "sensor", NULL };
enum { LIVE, STALE, NONE };
enum { MIG_OFF = -1, MIG_UNSUPPORTED = -2 };       /* in place of the number of instances */
static const char *const SAMPLES[] = { "live", "stale", "unsupported", NULL };

typedef struct {
    char name[96], uuid[96], pci[32];
    double brand, architecture, compute_capability, memory_total_mib, memory_used_mib, virtualization;
    double power_limit_w, power_limit_default_w, power_limit_min_w, power_limit_max_w;
    double temperature_c, utilisation_percent, sm_clock_mhz, sm_clock_max_mhz, mem_clock_mhz, mem_clock_max_mhz;
    double power_profiles;
    int persistence, c2c, mig, tells_profiles, adaptive_limit;
    Spans pids, throttle, temperature_at, sm_clock_at, power_limit_at, faults;
    Profile profile[SCOPES];
    double gain, seed;
    double counter_period_s, counter_phase_s, counter_jitter_s, counter_window_s;
    uint64_t counter_start_mj;
    double power_period_s, power_phase_s, power_jitter_s, instant_window_s, average_period_s, average_window_s;
    double sample_period_s, latency_us;
    int counter_scope, power_usage, energy_scopes, instant_scopes, average_scopes, field_timestamp, samples;
    int index;
    Sum sum[SCOPES];                               /* under the lock */
} Device;

typedef struct {
    double devices, epoch, init_error, cuda_version;
    int shutdown_hangs;
    char driver_version[80], nvml_version[80];
    Device device[MAX_DEVICES];
} Config;

static Config config, draft;
static double realtime_minus_monotonic;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int users;               /* nvmlInit less nvmlShutdown */
static atomic_uint generation;         /* one more at each full shutdown: a call that hung across it gives up */
static atomic_ullong readings;
static atomic_ullong touched[MAX_DEVICES];     /* calls about each device, of any kind: a sleeping one would be woken */

static void take(void) { pthread_mutex_lock(&lock); }
static void give(void) { pthread_mutex_unlock(&lock); }
/* A fork while another thread holds the lock would leave it locked in the child for ever. */
__attribute__((constructor)) static void survive_fork(void) { pthread_atfork(take, give, give); }

/* ---- time --------------------------------------------------------------------------------------------- */

static double clock_s(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double fake_nvml_now(void) { return clock_s(CLOCK_MONOTONIC) - config.epoch; }
unsigned long long fake_nvml_calls(void) { return atomic_load(&readings); }
unsigned long long fake_nvml_touched(int device) { return atomic_load(&touched[device]); }

static void sleep_s(double s)
{
    struct timespec span = { (time_t)s, (long)((s - floor(s)) * 1e9) };
    nanosleep(&span, NULL);
}

static void spend(double s)
{
    if (s >= 200e-6) { sleep_s(s); return; }       /* the kernel wakes a sleeper some 50 µs late */
    for (double end = clock_s(CLOCK_MONOTONIC) + s; clock_s(CLOCK_MONOTONIC) < end;) { }
}

/* A number in [-1, 1) that depends on nothing but its arguments (splitmix64). */
static double noise(uint64_t seed, uint64_t device, uint64_t stream, int64_t k)
{
    uint64_t z = seed * 1000003u + device * 4u + stream;
    z = z * 0x9E3779B97F4A7C15u + (uint64_t)k;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (double)(z >> 11) / 4503599627370496.0 - 1.0;
}

typedef struct { double period, phase, jitter; uint64_t seed, device, stream; } Ticks;

static double tick_at(const Ticks *ticks, long k)
{
    double move = ticks->jitter > 0 ? ticks->jitter * noise(ticks->seed, ticks->device, ticks->stream, k) : 0;
    return ticks->phase + (double)k * ticks->period + move;
}

/* Number of the last tick at or before t. */
static long tick_before(const Ticks *ticks, double t)
{
    long k = (long)floor((t - ticks->phase) / ticks->period) + 1;
    while (tick_at(ticks, k) > t) k--;
    return k;
}

static double last_tick(const Ticks *ticks, double t)
{
    return ticks->period > 0 ? tick_at(ticks, tick_before(ticks, t)) : t;
}

static Ticks counter_ticks(const Device *d)
{
    return (Ticks){ d->counter_period_s, d->counter_phase_s, d->counter_jitter_s, (uint64_t)d->seed,
                    (uint64_t)d->index, 0 };
}

static Ticks power_ticks(const Device *d, double period)
{
    return (Ticks){ period, d->power_phase_s, d->power_jitter_s, (uint64_t)d->seed, (uint64_t)d->index, 1 };
}

/* ---- power and its integral --------------------------------------------------------------------------- */

static double power_w(const Profile *p, double t)
{
    double x = t;
    int i = 0;
    switch (p->shape) {
    case SINE: return p->watts[0] + p->watts[1] * sin(2 * M_PI * (t - p->phase) / p->period);
    case RAMP: x = fmin(1, fmax(0, (t - p->at[0]) / (p->at[1] - p->at[0])));
               return p->watts[0] + (p->watts[1] - p->watts[0]) * x;
    case CYCLE: x = t - p->phase - p->period * floor((t - p->phase) / p->period); break;
    case STEPS: break;
    }
    while (i + 1 < p->n && x >= p->at[i + 1]) i++;
    return p->watts[i];
}

/* Joules from a moment that is the same for every t. */
static double antiderivative(const Profile *p, double t)
{
    double joules = p->watts[0] * t, cycle = 0, within = 0;
    switch (p->shape) {
    case STEPS:
        for (int i = 1; i < p->n && t > p->at[i]; i++)
            joules += (p->watts[i] - p->watts[i - 1]) * (t - p->at[i]);
        return joules;
    case CYCLE: {
        double x = (t - p->phase) / p->period, whole = floor(x), rest = (x - whole) * p->period;
        for (int i = 0; i < p->n; i++) {
            double end = i + 1 < p->n ? p->at[i + 1] : p->period;
            cycle += p->watts[i] * (end - p->at[i]);
            within += p->watts[i] * fmax(0, fmin(rest, end) - p->at[i]);
        }
        return whole * cycle + within;
    }
    case SINE:
        return joules - p->watts[1] * p->period / (2 * M_PI) * cos(2 * M_PI * (t - p->phase) / p->period);
    case RAMP: {
        double rise = p->watts[1] - p->watts[0], length = p->at[1] - p->at[0];
        double risen = fmin(length, fmax(0, t - p->at[0]));
        return joules + rise / length * risen * risen / 2 + rise * fmax(0, t - p->at[1]);
    }
    }
    return 0;
}

static double mean_w(const Profile *p, double end, double window)
{
    return window > 0 ? (antiderivative(p, end) - antiderivative(p, end - window)) / window : power_w(p, end);
}

/* ---- faults and readings ------------------------------------------------------------------------------ */

static const Span *active(const Spans *spans, int kind, double t)
{
    for (int i = 0; i < spans->n; i++)
        if (spans->span[i].kind == kind && spans->span[i].from <= t && t < spans->span[i].to) return &spans->span[i];
    return NULL;
}

/* What a part-time sensor has summed up over the ticks after `start`, up to number `last`. */
static double part_time_j(Device *d, int scope, double start, long last)
{
    Ticks ticks = counter_ticks(d);
    Sum *sum = &d->sum[scope];
    long first = tick_before(&ticks, start);
    take();
    if (!sum->begun || sum->first != first || sum->last > last) *sum = (Sum){ true, first, first, 0 };
    while (sum->last < last) {
        double before = tick_at(&ticks, sum->last), now = tick_at(&ticks, ++sum->last);
        sum->joules += mean_w(&d->profile[scope], now, d->counter_window_s) * (now - before);
    }
    double joules = sum->joules;
    give();
    return joules;
}

static uint64_t counter_mj(Device *d, int scope, double t, double *refreshed)
{
    const Span *fault = active(&d->faults, COUNTER_FROZEN, t);
    const Profile *p = &d->profile[scope];
    if (fault) t = fault->from;
    *refreshed = t;
    if (active(&d->faults, COUNTER_ZERO, t)) return 0;
    double start = 0, joules;
    uint64_t value = d->counter_start_mj;
    for (int i = 0; i < d->faults.n; i++) {
        const Span *s = &d->faults.span[i];
        if (s->kind == COUNTER_RESET && s->from <= t && s->from >= start) { start = s->from; value = 0; }
    }
    Ticks ticks = counter_ticks(d);
    *refreshed = fmax(start, last_tick(&ticks, t));
    if (d->counter_window_s > 0) joules = t > start ? part_time_j(d, scope, start, tick_before(&ticks, t)) : 0;
    else joules = antiderivative(p, *refreshed) - antiderivative(p, start);
    return value + (uint64_t)floor(1000 * d->gain * joules + 1e-6);     /* 1e-6: rounding of a whole number of mJ */
}

static unsigned power_mw(const Device *d, int scope, bool instant, double t, double *refreshed)
{
    const Span *spike = active(&d->faults, POWER_SPIKE, t);
    Ticks ticks = power_ticks(d, instant ? d->power_period_s : d->average_period_s);
    *refreshed = last_tick(&ticks, t);
    if (active(&d->faults, POWER_ZERO, t)) return 0;
    double window = instant ? d->instant_window_s : d->average_window_s;
    double watts = d->gain * mean_w(&d->profile[scope], *refreshed, window);
    if (spike) watts = isnan(spike->value) ? 1e9 : spike->value;
    return (unsigned)fmin(4294967295.0, rint(1000 * watts));
}

/* ---- reading the configuration ------------------------------------------------------------------------ */

static const char *config_path;
static int config_line;

static int refuse(const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "fake NVML: %s:%d: %s\n", config_path, config_line, text);
    return BAD_CONFIGURATION;
}

static int word_number(const char *text, const char *const *words)
{
    for (int i = 0; words[i]; i++) if (!strcmp(text, words[i])) return i;
    return -1;
}

static bool number(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && !*end && !isnan(*value);
}

static int read_profile(char *text, Profile *p)
{
    char *list = strchr(text, ':'), *rest = NULL;
    double a[2 * MAX_SEGMENTS];
    int n = 0;
    memset(p, 0, sizeof *p);
    if (!list) return refuse("a power profile is SHAPE:NUMBER,…, not '%s'", text);
    *list++ = 0;
    for (char *item = strtok_r(list, ", ", &rest); item; item = strtok_r(NULL, ", ", &rest)) {
        if (n == 2 * MAX_SEGMENTS - 1) return refuse("too many numbers in a power profile");
        if (!number(item, &a[n++]) || isinf(a[n - 1])) return refuse("'%s' in a power profile is no number", item);
    }
    bool right = false;
    if (!strcmp(text, "constant") && n == 1) {
        *p = (Profile){ .shape = STEPS, .n = 1, .watts = { a[0] } };
        right = true;
    } else if (!strcmp(text, "step") && n >= 3 && n % 2) {
        p->shape = STEPS;
        p->n = 1 + n / 2;
        p->watts[0] = a[0];
        p->at[0] = -INFINITY;
        right = true;
        for (int i = 1; i < p->n; i++) {
            p->watts[i] = a[2 * i - 1];
            p->at[i] = a[2 * i];
            right = right && p->at[i] > p->at[i - 1];
        }
    } else if (!strcmp(text, "square") && (n == 4 || n == 5)) {
        *p = (Profile){ .shape = CYCLE, .n = 2, .watts = { a[1], a[0] }, .at = { 0, a[2] * a[3] }, .period = a[2] };
        p->phase = n == 5 ? a[4] : 0;
        right = a[2] > 0 && a[3] >= 0 && a[3] <= 1;
    } else if (!strcmp(text, "sine") && (n == 3 || n == 4)) {
        *p = (Profile){ .shape = SINE, .n = 2, .watts = { a[0], a[1] }, .period = a[2], .phase = n == 4 ? a[3] : 0 };
        right = a[2] > 0 && a[1] <= a[0];
    } else if (!strcmp(text, "ramp") && n == 4) {
        *p = (Profile){ .shape = RAMP, .n = 2, .watts = { a[0], a[1] }, .at = { a[2], a[3] } };
        right = a[3] > a[2];
    } else if (!strcmp(text, "burst") && (n == 4 || n == 6 || n == 7)) {
        double peak = n > 4 ? a[4] : a[1], peak_length = n > 4 ? a[5] : 0;
        *p = (Profile){ .shape = CYCLE, .n = 3, .watts = { peak, a[1], a[0] }, .at = { 0, peak_length, a[3] },
                        .period = a[2], .phase = n == 7 ? a[6] : 0 };
        right = a[2] > 0 && peak_length >= 0 && peak_length <= a[3] && a[3] <= a[2];
    }
    for (int i = 0; i < p->n; i++) right = right && p->watts[i] >= 0;
    return right ? SUCCESS : refuse("'%s' with these %d numbers is no power profile", text, n);
}

/* HEAD[@FROM[..TO]][:VALUE] …, where HEAD is a fault, or a number when there are no words. */
static int read_spans(char *text, Spans *spans, const char *const *words)
{
    char *rest = NULL;
    spans->n = 0;
    for (char *item = strtok_r(text, ", ", &rest); item; item = strtok_r(NULL, ", ", &rest)) {
        if (spans->n == MAX_SPANS) return refuse("more than %d entries", MAX_SPANS);
        Span *s = &spans->span[spans->n++];
        char *value = strchr(item, ':'), *from = strchr(item, '@'), *to = NULL;
        if (value) *value++ = 0;
        if (from) { *from++ = 0; to = strstr(from, ".."); }
        if (to) { *to = 0; to += 2; }
        *s = (Span){ .from = -INFINITY, .to = INFINITY, .value = NAN };
        if ((from && !number(from, &s->from)) || (to && !number(to, &s->to)) || s->to <= s->from)
            return refuse("'%s' lasts from no time to no time; write @FROM or @FROM..TO", item);
        if (value && (!words || !number(value, &s->value))) return refuse("'%s' has no value '%s'", item, value);
        if (words && (s->kind = word_number(item, words)) < 0) return refuse("no fault is called '%s'", item);
        if (words && s->kind == ERROR_FAULT && !(s->value > 0)) return refuse("error needs a code, error:CODE");
        if (words && s->kind == COUNTER_RESET && !from) return refuse("counter_reset needs a time, counter_reset@T");
        if (!words) {                                  /* strtod reads 0x4 as well */
            if (!number(item, &s->value)) return refuse("'%s' is no number", item);
            s->kind = 0;
        }
    }
    return SUCCESS;
}

typedef struct {
    const char *key;
    enum { TEXT, NUMBER, UNSIGNED, WORD, SET, POWER, SPANS, MIG } kind;
    size_t at, size;
    const char *const *words;
} Key;

#define G(kind, field, words) { #field, kind, offsetof(Config, field), sizeof ((Config *)0)->field, words }
#define D(kind, field, words) { #field, kind, offsetof(Device, field), sizeof ((Device *)0)->field, words }
#define P(key, scope) { key, POWER, offsetof(Device, profile[scope]), sizeof(Profile), NULL }
#define N(field) D(NUMBER, field, NULL)

static const Key GLOBAL_KEYS[] = {
    G(NUMBER, devices, NULL), G(NUMBER, epoch, NULL), G(NUMBER, init_error, NULL), G(NUMBER, cuda_version, NULL),
    G(WORD, shutdown_hangs, NO_YES), G(TEXT, driver_version, NULL), G(TEXT, nvml_version, NULL), { 0 } };

static const Key DEVICE_KEYS[] = {
    D(TEXT, name, NULL), D(TEXT, uuid, NULL), D(TEXT, pci, NULL), N(brand), N(architecture), N(compute_capability),
    N(power_profiles), D(WORD, tells_profiles, NO_YES), D(WORD, adaptive_limit, NO_YES), N(memory_total_mib), N(memory_used_mib), N(virtualization), N(power_limit_w), N(power_limit_default_w),
    N(power_limit_min_w), N(power_limit_max_w), N(temperature_c), N(utilisation_percent), N(sm_clock_mhz),
    N(sm_clock_max_mhz), N(mem_clock_mhz), N(mem_clock_max_mhz), D(WORD, persistence, NO_YES), D(WORD, c2c, NO_YES),
    D(MIG, mig, NULL), D(SPANS, pids, NULL), D(SPANS, throttle, NULL), D(SPANS, faults, FAULTS),
    D(SPANS, temperature_at, NULL), D(SPANS, sm_clock_at, NULL), D(SPANS, power_limit_at, NULL),
    P("power", GPU), P("module_power", MODULE), P("memory_power", MEMORY), P("gpu_base_power", GPU_BASE),
    N(gain), N(seed), N(counter_period_s), N(counter_phase_s), N(counter_jitter_s), N(counter_window_s),
    D(UNSIGNED, counter_start_mj, NULL), D(WORD, counter_scope, SCOPE_NAMES),
    N(power_period_s), N(power_phase_s), N(power_jitter_s), N(instant_window_s), N(average_period_s),
    N(average_window_s), D(WORD, power_usage, AVERAGE_INSTANT), D(SET, energy_scopes, SCOPE_NAMES),
    D(SET, instant_scopes, SCOPE_NAMES), D(SET, average_scopes, SCOPE_NAMES),
    D(WORD, field_timestamp, QUERY_SENSOR), D(WORD, samples, SAMPLES), N(sample_period_s), N(latency_us), { 0 } };

static int read_value(const Key *key, void *object, char *text)
{
    void *at = (char *)object + key->at;
    char *rest = NULL, *end = NULL;
    double x;
    switch (key->kind) {
    case TEXT:
        if (strlen(text) >= key->size) return refuse("%s is longer than %zu characters", key->key, key->size - 1);
        strcpy(at, text);
        return SUCCESS;
    case NUMBER:
        if (!number(text, &x) || isinf(x)) return refuse("%s must be a number, not '%s'", key->key, text);
        /* Time 0 may lie before the machine was started: the clock begins at its boot, and profiles need not. */
        if (x < 0 && !strstr(key->key, "phase") && strcmp(key->key, "epoch"))
            return refuse("%s must be a number, zero or more, not '%s'", key->key, text);
        *(double *)at = x;
        return SUCCESS;
    case UNSIGNED:
        *(uint64_t *)at = strtoull(text, &end, 10);
        if (!*end && isdigit((unsigned char)*text)) return SUCCESS;
        return refuse("%s must be a whole number, not '%s'", key->key, text);
    case WORD:
        *(int *)at = word_number(text, key->words);
        return *(int *)at < 0 ? refuse("%s may not be '%s'", key->key, text) : SUCCESS;
    case SET:
        *(int *)at = 0;
        for (char *item = strtok_r(text, ", ", &rest); item; item = strtok_r(NULL, ", ", &rest)) {
            int i = word_number(item, key->words);
            if (i < 0 && strcmp(item, "none")) return refuse("%s may not hold '%s'", key->key, item);
            if (i >= 0) *(int *)at |= 1 << i;
        }
        return SUCCESS;
    case POWER: return read_profile(text, at);
    case SPANS: return read_spans(text, at, key->words);
    case MIG:
        if (!strcmp(text, "off")) x = MIG_OFF;
        else if (!strcmp(text, "unsupported")) x = MIG_UNSUPPORTED;
        else if (!number(text, &x) || x != floor(x) || x < 0 || x > MAX_MIG)
            return refuse("mig is off, unsupported or 0 to %d, not '%s'", MAX_MIG, text);
        *(int *)at = (int)x;
        return SUCCESS;
    }
    return refuse("%s cannot be read", key->key);
}

static void set_defaults(Config *c)
{
    memset(c, 0, sizeof *c);
    c->devices = 1;
    c->epoch = clock_s(CLOCK_MONOTONIC);
    c->cuda_version = 13000;
    strcpy(c->driver_version, "580.95.05");
    strcpy(c->nvml_version, "13.580.95.05");
    for (int i = 0; i < MAX_DEVICES; i++) {
        c->device[i] = (Device){
            .name = "NVIDIA H100 80GB HBM3", .brand = 14, .architecture = 9, .compute_capability = 9.0,
            .memory_total_mib = 81559, .memory_used_mib = 1024, .power_limit_w = 700, .power_limit_default_w = 700,
            .power_limit_min_w = 200, .power_limit_max_w = 700, .temperature_c = 45, .utilisation_percent = 100,
            .sm_clock_mhz = 1980, .sm_clock_max_mhz = 1980, .mem_clock_mhz = 2619, .mem_clock_max_mhz = 2619,
            .persistence = 1, .mig = MIG_OFF, .profile[GPU] = { .shape = STEPS, .n = 1, .watts = { 300 } },
            .gain = 1, .seed = 1, .counter_period_s = 0.1, .power_period_s = 0.1, .instant_window_s = 0.025,
            .average_period_s = 0.1, .average_window_s = 1, .sample_period_s = 0.02,
            .energy_scopes = 1, .instant_scopes = 1, .average_scopes = 1, .index = i };
        snprintf(c->device[i].uuid, sizeof c->device[i].uuid, "GPU-00000000-0000-4000-8000-%012x", i);
        snprintf(c->device[i].pci, sizeof c->device[i].pci, "00000000:%02X:00.0", i + 1);
    }
}

static bool pci_numbers(const char *text, unsigned bus[3])
{
    int used = 0;
    return sscanf(text, "%x:%x:%x.0%n", &bus[0], &bus[1], &bus[2], &used) == 3 && used && !text[used];
}

static int check_device(const Device *d)
{
    int scopes = d->energy_scopes | d->instant_scopes | d->average_scopes | 1 << d->counter_scope;
    unsigned bus[3];
    for (int i = 0; i < SCOPES; i++)
        if (scopes >> i & 1 && !d->profile[i].n)
            return refuse("device %d: scope %s answers but has no power profile", d->index, SCOPE_NAMES[i]);
    if (!pci_numbers(d->pci, bus)) return refuse("device %d: '%s' is no PCI address", d->index, d->pci);
    if (2 * d->counter_jitter_s >= d->counter_period_s && d->counter_jitter_s > 0)
        return refuse("device %d: counter_jitter_s must be less than half of counter_period_s", d->index);
    if (2 * d->power_jitter_s >= fmin(d->power_period_s, d->average_period_s) && d->power_jitter_s > 0)
        return refuse("device %d: power_jitter_s must be less than half of the periods of power", d->index);
    if (d->counter_window_s > 0 && !(d->counter_period_s > 0))
        return refuse("device %d: a counter with a window needs a counter_period_s", d->index);
    if (!(d->sample_period_s > 0)) return refuse("device %d: sample_period_s must be more than zero", d->index);
    return SUCCESS;
}

static char *trimmed(char *text)
{
    while (isspace((unsigned char)*text)) text++;
    for (char *end = text + strlen(text); end > text && isspace((unsigned char)end[-1]);) *--end = 0;
    return text;
}

static int read_line(Config *c, char *line, int *first, int *last)
{
    char index[32], *value = strchr(line, '=');
    const Key *key;
    double x;
    if (!*line || *line == '#') return SUCCESS;
    if (sscanf(line, "[device %31[^]]]", index) == 1) {
        *first = 0;
        *last = (int)c->devices;
        if (!strcmp(index, "*")) return SUCCESS;
        if (!number(index, &x) || x != floor(x) || x < 0 || x >= c->devices)
            return refuse("there is no device '%s' among %d", index, (int)c->devices);
        *first = (int)x;
        *last = *first + 1;
        return SUCCESS;
    }
    if (!value) return refuse("neither 'key = value' nor a section: '%s'", line);
    *value++ = 0;
    line = trimmed(line);
    value = trimmed(value);
    for (key = *first < 0 ? GLOBAL_KEYS : DEVICE_KEYS; key->key && strcmp(key->key, line); key++) { }
    if (!key->key) return refuse("unknown key '%s'", line);
    if (*first < 0) return read_value(key, c, value);
    for (int i = *first; i < *last; i++) {
        char copy[4096];                               /* reading a value takes it apart */
        snprintf(copy, sizeof copy, "%s", value);
        int rc = read_value(key, &c->device[i], copy);
        if (rc) return rc;
    }
    return SUCCESS;
}

static int read_config(Config *c)
{
    char line[4096];
    int rc = SUCCESS, first = -1, last = -1;
    config_path = getenv("FAKE_NVML_CONFIG");
    config_line = 0;
    set_defaults(c);
    if (!config_path) { config_path = "FAKE_NVML_CONFIG"; return refuse("this environment variable is not set"); }
    FILE *file = fopen(config_path, "r");
    if (!file) return refuse("cannot be opened");
    while (!rc && fgets(line, sizeof line, file)) {
        config_line++;
        if (strlen(line) == sizeof line - 1) rc = refuse("the line is too long");
        else rc = read_line(c, trimmed(line), &first, &last);
        if (!rc && (c->devices > MAX_DEVICES || c->devices != floor(c->devices)))
            rc = refuse("devices must be 0 to %d", MAX_DEVICES);
    }
    fclose(file);
    for (int i = 0; !rc && i < (int)c->devices; i++) rc = check_device(&c->device[i]);
    return rc;
}

/* ---- library and handles ------------------------------------------------------------------------------ */

/* A handle is an address in here: column 0 the GPU, then its MIG instances. */
static char handles[MAX_DEVICES][1 + MAX_MIG];

typedef struct { Device *d; int instance; double t, latency_us; } Call;   /* instance -1: the whole GPU */

int nvmlInit_v2(void)
{
    int rc = SUCCESS;
    take();
    if (atomic_load(&users) == 0) {
        rc = read_config(&draft);
        if (!rc) rc = (int)draft.init_error;
        if (!rc) {
            config = draft;
            realtime_minus_monotonic = clock_s(CLOCK_REALTIME) - clock_s(CLOCK_MONOTONIC);
        }
    }
    if (!rc) atomic_fetch_add(&users, 1);
    give();
    return rc;
}
int nvmlInitWithFlags(unsigned flags) { (void)flags; return nvmlInit_v2(); }
int nvmlInit(void) ALIAS("nvmlInit_v2");

static bool hangs(const Device *d, unsigned born)
{
    return atomic_load(&generation) == born && active(&d->faults, HANG, fake_nvml_now());
}

int nvmlShutdown(void)
{
    unsigned born = atomic_load(&generation);
    if (config.shutdown_hangs)
        for (int i = 0; i < (int)config.devices; i++)
            while (hangs(&config.device[i], born)) sleep_s(1e-3);
    take();
    int before = atomic_load(&users);
    if (before > 0) atomic_store(&users, before - 1);
    if (before == 1) atomic_fetch_add(&generation, 1);
    give();
    return before > 0 ? SUCCESS : UNINITIALIZED;
}

/* Shut down fully whatever the count, and let go what hangs: for a test that ends. */
void fake_nvml_reset(void)
{
    take();
    atomic_store(&users, 0);
    atomic_fetch_add(&generation, 1);
    atomic_store(&readings, 0);
    for (int i = 0; i < MAX_DEVICES; i++) atomic_store(&touched[i], 0);
    give();
}

static int enter(Device *d, int instance, Call *call)
{
    unsigned born = atomic_load(&generation);
    atomic_fetch_add(&touched[d->index], 1);
    spend(1e-6 * d->latency_us);
    while (hangs(d, born)) sleep_s(1e-3);
    if (atomic_load(&generation) != born) return UNINITIALIZED;
    *call = (Call){ d, instance, fake_nvml_now(), d->latency_us };
    return active(&d->faults, LOST, call->t) ? GPU_IS_LOST : SUCCESS;
}

/* Any call about a GPU or a MIG instance. */
static int about(const void *handle, Call *call)
{
    ptrdiff_t i = (const char *)handle - &handles[0][0];
    if (atomic_load(&users) == 0) return UNINITIALIZED;
    if ((uintptr_t)handle < (uintptr_t)handles || (uintptr_t)handle >= (uintptr_t)(handles + (int)config.devices))
        return INVALID_ARGUMENT;
    return enter(&config.device[i / (1 + MAX_MIG)], (int)(i % (1 + MAX_MIG)) - 1, call);
}

/* A call that reads a sensor or a state; only whole GPUs have these. */
static int reading(const void *handle, Call *call)
{
    int rc = about(handle, call);
    const Span *error;
    atomic_fetch_add(&readings, 1);
    if (rc) return rc;
    if (active(&call->d->faults, NO_PERMISSION_FAULT, call->t)) return NO_PERMISSION;
    if (active(&call->d->faults, UNKNOWN_FAULT, call->t)) return UNKNOWN;
    if ((error = active(&call->d->faults, ERROR_FAULT, call->t))) return (int)error->value;
    return call->instance >= 0 ? NOT_SUPPORTED : SUCCESS;
}

#define ABOUT(handle) Call call; int rc = about(handle, &call); if (rc) return rc; Device *d = call.d; (void)d
#define READING(handle) Call call; int rc = reading(handle, &call); if (rc) return rc; Device *d = call.d; (void)d

static int put_text(char *to, unsigned size, const char *text)
{
    if (strlen(text) >= size) return INSUFFICIENT_SIZE;
    strcpy(to, text);
    return SUCCESS;
}

const char *nvmlErrorString(int code)
{
    static const char *const TEXT_OF[] = {
        "Success", "Uninitialized", "Invalid Argument", "Not Supported", "Insufficient Permissions",
        "Already Initialized", "Not Found", "Insufficient Size", "Insufficient External Power", "Driver Not Loaded",
        "Timeout", "Interrupt Request Issue", "NVML Shared Library Not Found", "Function Not Found",
        "Corrupted infoROM", "GPU is lost", "GPU requires restart", "The operating system has blocked the request.",
        "RM has detected an NVML/RM version mismatch.", "In use by another client", "Insufficient Memory", "No data",
        "The requested vgpu operation is not available on target device, because ECC is enabled",
        "Ran out of critical resources", "Frequency not supported", "Argument version mismatch", "Deprecated",
        "Not ready", "GPU not found", "Invalid state", "Reset type not supported" };
    if (code >= 0 && code < (int)(sizeof TEXT_OF / sizeof *TEXT_OF)) return TEXT_OF[code];
    return code == BAD_CONFIGURATION ? "Bad configuration of the fake NVML" : "Unknown Error";
}

int nvmlSystemGetDriverVersion(char *text, unsigned size)
{
    return atomic_load(&users) ? put_text(text, size, config.driver_version) : UNINITIALIZED;
}
int nvmlSystemGetNVMLVersion(char *text, unsigned size)
{
    return atomic_load(&users) ? put_text(text, size, config.nvml_version) : UNINITIALIZED;
}
int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    *version = (int)config.cuda_version;
    return atomic_load(&users) ? SUCCESS : UNINITIALIZED;
}
int nvmlSystemGetCudaDriverVersion(int *) ALIAS("nvmlSystemGetCudaDriverVersion_v2");

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = (unsigned)config.devices;
    return atomic_load(&users) ? SUCCESS : UNINITIALIZED;
}
int nvmlDeviceGetCount(unsigned *) ALIAS("nvmlDeviceGetCount_v2");

static int open_handle(int index, int instance, void **handle)
{
    Call call;
    *handle = &handles[index][1 + instance];
    return enter(&config.device[index], instance, &call);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle)
{
    if (!atomic_load(&users)) return UNINITIALIZED;
    return index < config.devices ? open_handle((int)index, -1, handle) : INVALID_ARGUMENT;
}
int nvmlDeviceGetHandleByIndex(unsigned, void **) ALIAS("nvmlDeviceGetHandleByIndex_v2");

static void mig_uuid(const Device *d, int instance, char *text, size_t size)
{
    snprintf(text, size, "MIG-%08x-0000-4000-8000-%012x", instance + 1, d->index);
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle)
{
    char text[96];
    if (!atomic_load(&users)) return UNINITIALIZED;
    if (!uuid) return INVALID_ARGUMENT;
    for (int i = 0; i < (int)config.devices; i++) {
        if (!strcmp(uuid, config.device[i].uuid)) return open_handle(i, -1, handle);
        for (int k = 0; k < config.device[i].mig; k++) {
            mig_uuid(&config.device[i], k, text, sizeof text);
            if (!strcmp(uuid, text)) return open_handle(i, k, handle);
        }
    }
    return NOT_FOUND;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **handle)
{
    unsigned asked[3], has[3];
    if (!atomic_load(&users)) return UNINITIALIZED;
    if (!pci || !pci_numbers(pci, asked)) return INVALID_ARGUMENT;
    for (int i = 0; i < (int)config.devices; i++)
        if (pci_numbers(config.device[i].pci, has) && !memcmp(asked, has, sizeof has))
            return open_handle(i, -1, handle);
    return NOT_FOUND;
}

/* ---- who the device is -------------------------------------------------------------------------------- */

int nvmlDeviceGetName(void *handle, char *text, unsigned size)
{
    ABOUT(handle);
    char name[120];
    snprintf(name, sizeof name, call.instance < 0 ? "%s" : "%s MIG 1g.10gb", d->name);
    return put_text(text, size, name);
}

int nvmlDeviceGetUUID(void *handle, char *text, unsigned size)
{
    ABOUT(handle);
    char uuid[96];
    if (call.instance < 0) return put_text(text, size, d->uuid);
    mig_uuid(d, call.instance, uuid, sizeof uuid);
    return put_text(text, size, uuid);
}

int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor)
{
    ABOUT(handle);
    *major = (int)d->compute_capability;
    *minor = (int)lrint(10 * (d->compute_capability - *major));
    return SUCCESS;
}

/* One number about the device that comes straight from the configuration. */
#define CONFIGURED(function, type, value) \
    int function(void *handle, type *out) { ABOUT(handle); *out = (type)(value); return SUCCESS; }
CONFIGURED(nvmlDeviceGetIndex, unsigned, call.instance < 0 ? d->index : call.instance)
CONFIGURED(nvmlDeviceGetMinorNumber, unsigned, d->index)
CONFIGURED(nvmlDeviceGetBoardId, unsigned, 256 * (d->index + 1))
CONFIGURED(nvmlDeviceGetModuleId, unsigned, d->index + 1)
CONFIGURED(nvmlDeviceGetBrand, unsigned, d->brand)
CONFIGURED(nvmlDeviceGetArchitecture, unsigned, d->architecture)
CONFIGURED(nvmlDeviceGetPersistenceMode, unsigned, d->persistence)
CONFIGURED(nvmlDeviceGetComputeMode, unsigned, 0)
CONFIGURED(nvmlDeviceGetVirtualizationMode, unsigned, d->virtualization)
CONFIGURED(nvmlDeviceIsMigDeviceHandle, unsigned, call.instance >= 0)

typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char text[32]; } PciInfo;

int nvmlDeviceGetPciInfo_v3(void *handle, PciInfo *out)
{
    ABOUT(handle);
    unsigned at[3];
    pci_numbers(d->pci, at);
    *out = (PciInfo){ .domain = at[0], .bus = at[1], .device = at[2], .id = 0x233010DE, .subsystem = 0x16C110DE };
    snprintf(out->legacy, sizeof out->legacy, "%04X:%02X:%02X.0", at[0] & 0xffff, at[1] & 0xff, at[2] & 0xff);
    snprintf(out->text, sizeof out->text, "%08X:%02X:%02X.0", at[0], at[1], at[2]);
    return SUCCESS;
}
int nvmlDeviceGetPciInfo_v2(void *, PciInfo *) ALIAS("nvmlDeviceGetPciInfo_v3");

typedef struct { unsigned version, supported[8], requested[8], enforced[8]; } PowerProfiles;

int nvmlDeviceWorkloadPowerProfileGetCurrentProfiles(void *handle, PowerProfiles *out)
{
    ABOUT(handle);
    if (!d->tells_profiles) return NOT_SUPPORTED;
    if (out->version != 0x1000064) return INVALID_ARGUMENT;
    for (int i = 0; i < 8; i++) out->supported[i] = ~0u, out->requested[i] = out->enforced[i] = 0;
    out->requested[0] = out->enforced[0] = (unsigned)d->power_profiles;
    return SUCCESS;
}

typedef struct { unsigned in_band, allowed, overridden, enabled, limit_mw; } AdaptiveLimit;

int nvmlDeviceGetAdaptiveTgpModeInfo_v1(void *handle, AdaptiveLimit *out)
{
    ABOUT(handle);
    if (!d->tells_profiles) return NOT_SUPPORTED;
    *out = (AdaptiveLimit){ .allowed = 1, .enabled = d->adaptive_limit, .limit_mw = (unsigned)(1000 * d->power_limit_w) };
    return SUCCESS;
}

int nvmlDeviceGetC2cModeInfoV(void *handle, unsigned *enabled)
{
    ABOUT(handle);
    *enabled = 1;
    return d->c2c ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending)
{
    ABOUT(handle);
    *current = *pending = d->mig >= 0;
    return d->mig == MIG_UNSUPPORTED || call.instance >= 0 ? NOT_SUPPORTED : SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count)
{
    ABOUT(handle);
    *count = d->mig == MIG_UNSUPPORTED ? 0 : MAX_MIG;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned instance, void **out)
{
    ABOUT(handle);
    if (d->mig == MIG_UNSUPPORTED) return NOT_SUPPORTED;
    if (call.instance >= 0 || instance >= MAX_MIG) return INVALID_ARGUMENT;
    if ((int)instance >= d->mig) return NOT_FOUND;
    *out = &handles[d->index][1 + instance];
    return SUCCESS;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *handle, void **out)
{
    ABOUT(handle);
    *out = &handles[d->index][0];
    return call.instance < 0 ? INVALID_ARGUMENT : SUCCESS;
}

int nvmlDeviceGetGpuInstanceId(void *handle, unsigned *id)
{
    ABOUT(handle);
    *id = (unsigned)(call.instance + 1);
    return call.instance < 0 ? NOT_SUPPORTED : SUCCESS;
}

int nvmlDeviceGetComputeInstanceId(void *handle, unsigned *id)
{
    ABOUT(handle);
    *id = 0;
    return call.instance < 0 ? NOT_SUPPORTED : SUCCESS;
}

/* ---- what it does ------------------------------------------------------------------------------------- */

/* What a schedule says at a moment; else the constant. */
static double scheduled(const Spans *spans, double t, double constant)
{
    const Span *s = active(spans, 0, t);
    return s ? s->value : constant;
}

#define STATE(function, type, value) \
    int function(void *handle, type *out) { READING(handle); *out = (type)(value); return SUCCESS; }
STATE(nvmlDeviceGetPerformanceState, unsigned, 0)
STATE(nvmlDeviceGetPowerState, unsigned, 0)
STATE(nvmlDeviceGetPowerManagementMode, unsigned, 1)
STATE(nvmlDeviceGetPowerManagementLimit, unsigned, 1000 * d->power_limit_w)
STATE(nvmlDeviceGetEnforcedPowerLimit, unsigned, 1000 * scheduled(&d->power_limit_at, call.t, d->power_limit_w))
STATE(nvmlDeviceGetPowerManagementDefaultLimit, unsigned, 1000 * d->power_limit_default_w)
STATE(nvmlDeviceGetSupportedClocksEventReasons, unsigned long long, 0x1ff)
int nvmlDeviceGetSupportedClocksThrottleReasons(void *, unsigned long long *)
    ALIAS("nvmlDeviceGetSupportedClocksEventReasons");

int nvmlDeviceGetPowerManagementLimitConstraints(void *handle, unsigned *min, unsigned *max)
{
    READING(handle);
    *min = (unsigned)(1000 * d->power_limit_min_w);
    *max = (unsigned)(1000 * d->power_limit_max_w);
    return SUCCESS;
}

int nvmlDeviceGetCurrentClocksEventReasons(void *handle, unsigned long long *reasons)
{
    READING(handle);
    *reasons = 0;
    for (int i = 0; i < d->throttle.n; i++) {
        const Span *s = &d->throttle.span[i];
        if (s->from <= call.t && call.t < s->to) *reasons |= (unsigned long long)s->value;
    }
    return SUCCESS;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void *, unsigned long long *)
    ALIAS("nvmlDeviceGetCurrentClocksEventReasons");

int nvmlDeviceGetClockInfo(void *handle, unsigned type, unsigned *mhz)
{
    READING(handle);
    *mhz = (unsigned)(type == 2 ? d->mem_clock_mhz : scheduled(&d->sm_clock_at, call.t, d->sm_clock_mhz));
    return type < 4 ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlDeviceGetMaxClockInfo(void *handle, unsigned type, unsigned *mhz)
{
    READING(handle);
    *mhz = (unsigned)(type == 2 ? d->mem_clock_max_mhz : d->sm_clock_max_mhz);
    return type < 4 ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlDeviceGetTemperature(void *handle, unsigned sensor, unsigned *celsius)
{
    READING(handle);
    *celsius = (unsigned)scheduled(&d->temperature_at, call.t, d->temperature_c);
    return sensor == 0 ? SUCCESS : INVALID_ARGUMENT;
}

typedef struct { unsigned version, sensor; int celsius; } Temperature;

int nvmlDeviceGetTemperatureV(void *handle, Temperature *out)
{
    READING(handle);
    if (out->version != 0x100000C) return VERSION_MISMATCH;
    out->celsius = (int)scheduled(&d->temperature_at, call.t, d->temperature_c);
    return out->sensor == 0 ? SUCCESS : INVALID_ARGUMENT;
}

typedef struct { unsigned gpu, memory; } Utilization;

int nvmlDeviceGetUtilizationRates(void *handle, Utilization *out)
{
    READING(handle);
    *out = (Utilization){ (unsigned)d->utilisation_percent, (unsigned)(d->utilisation_percent / 2) };
    return d->mig >= 0 ? NOT_SUPPORTED : SUCCESS;      /* NVML has no utilisation of a GPU in MIG mode */
}

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;

int nvmlDeviceGetMemoryInfo(void *handle, Memory *out)
{
    ABOUT(handle);
    double share = call.instance < 0 ? 1048576.0 : 1048576.0 / 8;
    out->total = (unsigned long long)(share * d->memory_total_mib);
    out->used = (unsigned long long)(share * d->memory_used_mib);
    out->free = out->total - out->used;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(void *handle, MemoryV2 *out)
{
    Memory memory;
    int rc = nvmlDeviceGetMemoryInfo(handle, &memory);
    if (rc) return rc;
    if (out->version != 0x02000028) return VERSION_MISMATCH;
    *out = (MemoryV2){ out->version, memory.total, 0, memory.free, memory.used };
    return SUCCESS;
}

typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } Process;

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, Process *out)
{
    READING(handle);
    unsigned room = *count;
    *count = 0;
    for (int i = 0; i < d->pids.n; i++) {
        const Span *s = &d->pids.span[i];
        if (!(s->from <= call.t && call.t < s->to)) continue;
        unsigned long long memory = (unsigned long long)(1048576 * d->memory_used_mib / d->pids.n);
        if (out && *count < room) out[*count] = (Process){ (unsigned)s->value, memory, ~0u, ~0u };
        ++*count;
    }
    return *count > room ? INSUFFICIENT_SIZE : SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v2(void *, unsigned *, Process *)
    ALIAS("nvmlDeviceGetComputeRunningProcesses_v3");

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, Process *out)
{
    READING(handle);
    (void)out;
    *count = 0;
    return SUCCESS;
}
int nvmlDeviceGetGraphicsRunningProcesses_v2(void *, unsigned *, Process *)
    ALIAS("nvmlDeviceGetGraphicsRunningProcesses_v3");

/* ---- what it draws ------------------------------------------------------------------------------------ */

int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *mj)
{
    READING(handle);
    double refreshed;
    if (active(&d->faults, COUNTER_UNSUPPORTED, call.t)) return NOT_SUPPORTED;
    *mj = counter_mj(d, d->counter_scope, call.t, &refreshed);
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(void *handle, unsigned *mw)
{
    READING(handle);
    double refreshed;
    if (active(&d->faults, POWER_UNSUPPORTED, call.t)) return NOT_SUPPORTED;
    *mw = power_mw(d, GPU, d->power_usage == 1, call.t, &refreshed);
    return SUCCESS;
}

typedef union { double d; unsigned u; unsigned long long ull; } Value;
typedef struct { uint32_t field, scope; int64_t timestamp, latency; unsigned type, rc; Value value; } FieldValue;
enum { TYPE_UNSIGNED = 1, TYPE_UNSIGNED_LONG_LONG = 3 };

static int field_value(const Call *call, FieldValue *out, double *refreshed)
{
    Device *d = call->d;
    const Spans *faults = &d->faults;
    double limits[] = { d->power_limit_min_w, d->power_limit_max_w, d->power_limit_default_w, d->power_limit_w };
    out->type = TYPE_UNSIGNED;
    switch (out->field) {
    case 83: case 191:                                 /* TOTAL_ENERGY_CONSUMPTION has no scope, ENERGY has */
        if (active(faults, COUNTER_UNSUPPORTED, call->t)) return NOT_SUPPORTED;
        if (out->field == 191 && out->scope >= SCOPES) return INVALID_ARGUMENT;
        if (out->field == 191 && !(d->energy_scopes >> out->scope & 1)) return NOT_SUPPORTED;
        out->type = TYPE_UNSIGNED_LONG_LONG;
        out->value.ull = counter_mj(d, out->field == 83 ? d->counter_scope : (int)out->scope, call->t, refreshed);
        return SUCCESS;
    case 185: case 186:                                /* POWER_AVERAGE, POWER_INSTANT */
        if (out->scope >= SCOPES) return INVALID_ARGUMENT;
        if (active(faults, POWER_UNSUPPORTED, call->t)) return NOT_SUPPORTED;
        if (out->field == 186 && active(faults, INSTANT_UNSUPPORTED, call->t)) return NOT_SUPPORTED;
        if (!((out->field == 186 ? d->instant_scopes : d->average_scopes) >> out->scope & 1)) return NOT_SUPPORTED;
        out->value.u = power_mw(d, (int)out->scope, out->field == 186, call->t, refreshed);
        return SUCCESS;
    case 187: case 188: case 189: case 190:            /* POWER_ MIN, MAX, DEFAULT, CURRENT _LIMIT */
        out->value.u = (unsigned)(1000 * limits[out->field - 187]);
        return SUCCESS;
    }
    return NOT_SUPPORTED;
}

int nvmlDeviceGetFieldValues(void *handle, int count, FieldValue *values)
{
    READING(handle);
    if (active(&d->faults, FIELDS_UNSUPPORTED, call.t)) return NOT_SUPPORTED;
    if (count < 1 || !values) return INVALID_ARGUMENT;
    double realtime = clock_s(CLOCK_REALTIME);
    for (int i = 0; i < count; i++) {
        double refreshed = call.t;
        values[i].value.ull = 0;
        values[i].rc = (unsigned)field_value(&call, &values[i], &refreshed);
        if (d->field_timestamp == 1) realtime = refreshed + config.epoch + realtime_minus_monotonic;
        values[i].timestamp = (int64_t)llrint(1e6 * realtime);
        values[i].latency = (int64_t)call.latency_us;
    }
    return SUCCESS;
}

typedef struct { unsigned long long timestamp; Value value; } Sample;

int nvmlDeviceGetSamples(void *handle, unsigned type, unsigned long long last_seen, unsigned *value_type,
                             unsigned *count, Sample *out)
{
    READING(handle);
    int scope = type == 7 ? MODULE : GPU;              /* TOTAL_POWER_SAMPLES 0, MODULE_POWER_SAMPLES 7 */
    if ((type != 0 && type != 7) || !(d->instant_scopes >> scope & 1) || d->samples == NONE
        || active(&d->faults, POWER_UNSUPPORTED, call.t)) return NOT_SUPPORTED;
    unsigned room = *count;
    *value_type = TYPE_UNSIGNED;
    *count = RING;
    if (!out) return SUCCESS;
    Ticks ticks = power_ticks(d, d->sample_period_s);
    ticks.jitter = 0;
    long last = tick_before(&ticks, d->samples == STALE ? 0 : call.t);
    *count = 0;
    for (long k = last - RING + 1; k <= last && *count < room; k++) {
        double at = tick_at(&ticks, k);
        Sample sample = { (unsigned long long)llrint(1e6 * (at + config.epoch + realtime_minus_monotonic)), { 0 } };
        sample.value.u = (unsigned)rint(1000 * d->gain * mean_w(&d->profile[scope], at, d->instant_window_s));
        if (sample.timestamp > last_seen) out[(*count)++] = sample;
    }
    return *count ? SUCCESS : NOT_FOUND;
}
