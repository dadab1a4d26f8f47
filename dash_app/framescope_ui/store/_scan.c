/* What an OTLP trace request holds, read from its bytes: no object is made of a span or of an attribute that
 * the store does not look into.
 *
 * It takes what senders write and nothing else: fields this file knows, each once, of their own wire type,
 * text that is UTF-8, shallow nesting. Whatever is odd (also if it is wrong) it does not judge: it answers None,
 * and the request is read with protobuf, as it is without this file (trace_rows.py, scan.py). So this may be
 * stricter than protobuf, never laxer.
 *
 * The body is looked through without the interpreter lock; with it are made: each kept frame's told attributes,
 * its root's bytes, its other spans' bytes as a ScopeSpans message, and the stage that lost most.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VERSION 1       /* scan.py takes nothing but this one */
#define DEEPEST 24      /* messages inside each other; protobuf's own limit is 100 */
#define MOST_TOLD 32    /* names of attributes that are read */
#define TAG_BYTES 2     /* protobuf takes five, longer than need be; and five of a length */
#define LENGTH_BYTES 5
#define NUMBER_BYTES 10
#define BRIEF 16384     /* bytes looked through before giving the lock away pays: about 15 us */

typedef const unsigned char *Place;

typedef struct {
    Place at;
    size_t length;
} Slice;

/* -- the messages of a trace request -------------------------------------------------------------------- */

enum { UNKNOWN, VARINT, FIXED64, FIXED32, TEXT, BYTES, MESSAGE };
enum { REQUEST, RESOURCE_SPANS, RESOURCE, ENTITY, SCOPE_SPANS, SCOPE, SPAN, EVENT, LINK, STATUS, PAIR, ANY, LIST, MAP };

typedef struct {
    uint8_t kind;
    uint8_t message;
    uint8_t repeated;
} Field;

#define GREATEST_FIELD 16
#define ONE(kind) {kind, 0, 0}
#define EACH(kind) {kind, 0, 1}
#define INNER(message) {MESSAGE, message, 0}
#define INNERS(message) {MESSAGE, message, 1}

/* opentelemetry-proto 1.x. A field that is missing here, as those that profiles brought, is odd. */
static const Field messages[][GREATEST_FIELD + 1] = {
    [REQUEST] = {[1] = INNERS(RESOURCE_SPANS)},
    [RESOURCE_SPANS] = {[1] = INNER(RESOURCE), [2] = INNERS(SCOPE_SPANS), [3] = ONE(TEXT)},
    [RESOURCE] = {[1] = INNERS(PAIR), [2] = ONE(VARINT), [3] = INNERS(ENTITY)},
    [ENTITY] = {[1] = ONE(TEXT), [2] = ONE(TEXT), [3] = EACH(TEXT), [4] = EACH(TEXT)},
    [SCOPE_SPANS] = {[1] = INNER(SCOPE), [2] = INNERS(SPAN), [3] = ONE(TEXT)},
    [SCOPE] = {[1] = ONE(TEXT), [2] = ONE(TEXT), [3] = INNERS(PAIR), [4] = ONE(VARINT)},
    [SPAN] = {[1] = ONE(BYTES), [2] = ONE(BYTES), [3] = ONE(TEXT), [4] = ONE(BYTES), [5] = ONE(TEXT),
              [6] = ONE(VARINT), [7] = ONE(FIXED64), [8] = ONE(FIXED64), [9] = INNERS(PAIR), [10] = ONE(VARINT),
              [11] = INNERS(EVENT), [12] = ONE(VARINT), [13] = INNERS(LINK), [14] = ONE(VARINT),
              [15] = INNER(STATUS), [16] = ONE(FIXED32)},
    [EVENT] = {[1] = ONE(FIXED64), [2] = ONE(TEXT), [3] = INNERS(PAIR), [4] = ONE(VARINT)},
    [LINK] = {[1] = ONE(BYTES), [2] = ONE(BYTES), [3] = ONE(TEXT), [4] = INNERS(PAIR), [5] = ONE(VARINT),
              [6] = ONE(FIXED32)},
    [STATUS] = {[2] = ONE(TEXT), [3] = ONE(VARINT)},
    [PAIR] = {[1] = ONE(TEXT), [2] = INNER(ANY)},
    [ANY] = {[1] = ONE(TEXT), [2] = ONE(VARINT), [3] = ONE(VARINT), [4] = ONE(FIXED64), [5] = INNER(LIST),
             [6] = INNER(MAP), [7] = ONE(BYTES)},
    [LIST] = {[1] = INNERS(ANY)},
    [MAP] = {[1] = INNERS(PAIR)},
};
enum { ANY_TEXT = 1, ANY_BOOL, ANY_INT, ANY_DOUBLE };

/* -- the wire ------------------------------------------------------------------------------------------- */

typedef struct {
    unsigned number;
    unsigned kind;
    unsigned message;
    uint64_t value; /* of a number */
    Slice inside;   /* of anything that has a length */
} Found;

typedef struct {
    Place at;
    Place end;
    const Field *fields;
    uint32_t seen;
} Reader;

static Reader reader(Slice of, unsigned message)
{
    return (Reader){of.at, of.at + of.length, messages[message], 0};
}

/* 0 where the number is cut short, does not fit 64 bits, or takes more than so many bytes. */
static int read_varint(Place *from, Place end, unsigned most, uint64_t *value)
{
    Place at = *from;
    uint64_t sum = 0;
    for (unsigned shift = 0; shift < 7 * most; shift += 7) {
        if (at == end)
            return 0;
        unsigned byte = *at++;
        if (shift == 63 && byte > 1)
            return 0;
        sum |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *from = at;
            *value = sum;
            return 1;
        }
    }
    return 0;
}

static uint64_t little_endian(Place at, unsigned bytes)
{
    uint64_t value = 0;
    while (bytes--)
        value = value << 8 | at[bytes];
    return value;
}

static int is_utf8(Slice text)
{
    Place at = text.at, end = text.at + text.length;
    while (at < end) {
        uint64_t eight;
        if (end - at >= 8 && (memcpy(&eight, at, 8), (eight & 0x8080808080808080u) == 0)) {
            at += 8;
            continue;
        }
        unsigned first = *at++, more, low = 0x80, high = 0xBF;
        if (first < 0x80)
            continue;
        if (first < 0xC2 || first > 0xF4)
            return 0;
        more = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
        if (first == 0xE0)
            low = 0xA0;
        else if (first == 0xED)
            high = 0x9F; /* no surrogates */
        else if (first == 0xF0)
            low = 0x90;
        else if (first == 0xF4)
            high = 0x8F;
        for (; more; more--, low = 0x80, high = 0xBF)
            if (at == end || *at < low || *at++ > high)
                return 0;
    }
    return 1;
}

/* 1: the next field; 0: the message is over; -1: something odd. */
static int next(Reader *from, Found *found)
{
    static const uint8_t wire_types[] = {
        [VARINT] = 0, [FIXED64] = 1, [FIXED32] = 5, [TEXT] = 2, [BYTES] = 2, [MESSAGE] = 2,
    };
    if (from->at == from->end)
        return 0;
    uint64_t tag;
    if (!read_varint(&from->at, from->end, TAG_BYTES, &tag) || tag >> 3 > GREATEST_FIELD)
        return -1;
    Field field = from->fields[tag >> 3];
    if (field.kind == UNKNOWN || (tag & 7) != wire_types[field.kind])
        return -1;
    uint32_t bit = (uint32_t)1 << (tag >> 3);
    if (from->seen & bit && !field.repeated)
        return -1;
    from->seen |= bit;
    found->number = (unsigned)(tag >> 3);
    found->kind = field.kind;
    found->message = field.message;
    size_t left = (size_t)(from->end - from->at);
    if (field.kind == VARINT)
        return read_varint(&from->at, from->end, NUMBER_BYTES, &found->value) ? 1 : -1;
    if (field.kind == FIXED64 || field.kind == FIXED32) {
        unsigned bytes = field.kind == FIXED64 ? 8 : 4;
        if (left < bytes)
            return -1;
        found->value = little_endian(from->at, bytes);
        from->at += bytes;
        return 1;
    }
    uint64_t length;
    if (!read_varint(&from->at, from->end, LENGTH_BYTES, &length) || length > (uint64_t)(from->end - from->at))
        return -1;
    found->inside = (Slice){from->at, (size_t)length};
    from->at += length;
    return field.kind == TEXT && !is_utf8(found->inside) ? -1 : 1;
}

/* Whether all of a message is as senders write it. */
static int is_plain(Slice of, unsigned message, int depth)
{
    if (depth > DEEPEST)
        return 0;
    Reader from = reader(of, message);
    Found found;
    int more;
    while ((more = next(&from, &found)) == 1)
        if (found.kind == MESSAGE && !is_plain(found.inside, found.message, depth + 1))
            return 0;
    /* Of an AnyValue's fields there is one: of several the last would count. */
    return more == 0 && (message != ANY || (from.seen & (from.seen - 1)) == 0);
}

/* -- attributes ----------------------------------------------------------------------------------------- */

typedef struct {
    unsigned kind; /* the AnyValue's field; 0 where it is empty */
    uint64_t value;
    Slice inside;
} Value;

static double as_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The key and value of a KeyValue; 0 where it is odd. */
static int read_pair(Slice pair, Slice *key, Value *value, int depth)
{
    Found found;
    int more;
    Slice any = {pair.at, 0};
    *key = any;
    *value = (Value){0, 0, any};
    Reader from = reader(pair, PAIR);
    while ((more = next(&from, &found)) == 1)
        *(found.number == 1 ? key : &any) = found.inside;
    if (more < 0)
        return 0;
    from = reader(any, ANY);
    while ((more = next(&from, &found)) == 1) {
        if (value->kind || (found.kind == MESSAGE && !is_plain(found.inside, found.message, depth + 2)))
            return 0;
        value->kind = found.number;
        value->value = found.value;
        value->inside = found.inside;
    }
    return more == 0;
}

/* The value as a finite number, as attributes.number() has it. */
static int as_number(const Value *value, double *number)
{
    if (value->kind == ANY_INT)
        *number = (double)(int64_t)value->value;
    else if (value->kind == ANY_DOUBLE)
        *number = as_double(value->value);
    else
        return 0;
    return isfinite(*number);
}

/* -- names ---------------------------------------------------------------------------------------------- */

typedef struct {
    PyObject *text;
    Slice bytes;
} Name;

typedef struct {
    PyObject_HEAD
    Name frame, pipeline, stage, expected, lost, lost_total;
    Name told[MOST_TOLD];
    Py_ssize_t told_count;
} Scanner;

static int same(Slice one, Slice other)
{
    return one.length == other.length && memcmp(one.at, other.at, one.length) == 0;
}

static int begins_with(Slice text, Slice prefix)
{
    return text.length >= prefix.length && memcmp(text.at, prefix.at, prefix.length) == 0;
}

/* -- looking through a body, without the lock ------------------------------------------------------------- */

enum { STORABLE, BAD_TRACE_ID, BAD_SPAN_ID, BAD_TIME, REASONS };

typedef struct {
    Slice body, trace_id, stage;
    uint64_t start_ns, end_ns;
    double lost, expected;
    Py_ssize_t after; /* the next span of its trace; -1: none */
    uint8_t tells_pipeline, tells_stage, has_stage, has_expected, is_root, failed;
} Span;

typedef struct {
    Slice resource;
    size_t first, count; /* of its spans */
    size_t rejected[REASONS];
} Group;

typedef struct {
    Span *spans;
    size_t span_count, span_room;
    Group *groups;
    size_t group_count, group_room;
    int no_memory;
} Seen;

static void *one_more(void **list, size_t *count, size_t *room, size_t size)
{
    if (*count == *room) {
        size_t wanted = *room ? *room * 2 : 64;
        void *larger = wanted > SIZE_MAX / size ? NULL : realloc(*list, wanted * size);
        if (larger == NULL)
            return NULL;
        *list = larger;
        *room = wanted;
    }
    return (char *)*list + size * (*count)++;
}

static unsigned unstorable(const Span *span, Slice span_id)
{
    static const unsigned char nothing[16];
    if (span->trace_id.length != 16 || memcmp(span->trace_id.at, nothing, 16) == 0)
        return BAD_TRACE_ID;
    if (span_id.length != 8 || memcmp(span_id.at, nothing, 8) == 0)
        return BAD_SPAN_ID;
    if (span->start_ns == 0 || span->start_ns > INT64_MAX || span->end_ns > INT64_MAX)
        return BAD_TIME;
    return STORABLE;
}

/* What guiltiest() and _root_attributes() want to know; 0 where it is odd. */
static int note_attribute(const Scanner *names, Span *span, Slice pair, int depth)
{
    Slice key;
    Value value;
    double number = 0;
    if (!read_pair(pair, &key, &value, depth))
        return 0;
    int odd = value.kind > ANY_DOUBLE; /* bytes, lists and maps may be told as text: not here */
    if (same(key, names->stage.bytes)) {
        span->tells_stage = 1;
        span->has_stage = value.kind == ANY_TEXT;
        span->stage = value.inside;
        return !odd;
    }
    if (same(key, names->expected.bytes)) {
        span->has_expected = as_number(&value, &number);
        span->expected = number;
        return !odd;
    }
    if (same(key, names->pipeline.bytes)) {
        span->tells_pipeline = 1;
        return 1;
    }
    if (begins_with(key, names->lost.bytes) && !same(key, names->lost_total.bytes)) {
        if (as_number(&value, &number))
            span->lost += number;
        return !odd;
    }
    return 1;
}

static int look_at_span(const Scanner *names, Seen *seen, Group *group, Slice body, int depth)
{
    Span *span = one_more((void **)&seen->spans, &seen->span_count, &seen->span_room, sizeof(Span));
    if (span == NULL) {
        seen->no_memory = 1;
        return 0;
    }
    Slice nothing = {body.at, 0}, name = nothing, span_id = nothing;
    *span = (Span){.body = body, .trace_id = nothing, .stage = nothing, .after = -1};
    Reader from = reader(body, SPAN), status;
    Found found;
    int more;
    while ((more = next(&from, &found)) == 1) {
        switch (found.number) {
        case 1:
            span->trace_id = found.inside;
            break;
        case 2:
            span_id = found.inside;
            break;
        case 5:
            name = found.inside;
            break;
        case 7:
            span->start_ns = found.value;
            break;
        case 8:
            span->end_ns = found.value;
            break;
        case 9:
            if (!note_attribute(names, span, found.inside, depth + 1))
                return 0;
            break;
        case 15:
            status = reader(found.inside, STATUS);
            while ((more = next(&status, &found)) == 1)
                if (found.number == 3)
                    span->failed = (uint32_t)found.value == 2; /* STATUS_CODE_ERROR; enums have 32 bits */
            if (more < 0)
                return 0;
            break;
        default:
            if (found.kind == MESSAGE && !is_plain(found.inside, found.message, depth + 1))
                return 0;
        }
    }
    if (more < 0)
        return 0;
    unsigned reason = unstorable(span, span_id);
    if (reason != STORABLE) {
        group->rejected[reason]++;
        seen->span_count--;
        return 1;
    }
    span->is_root = span->tells_pipeline && !span->tells_stage && same(name, names->frame.bytes);
    return 1;
}

static int look_at_scope(const Scanner *names, Seen *seen, Group *group, Slice scope, int depth)
{
    Reader from = reader(scope, SCOPE_SPANS);
    Found found;
    int more;
    while ((more = next(&from, &found)) == 1) {
        if (found.number == 2) {
            if (!look_at_span(names, seen, group, found.inside, depth + 1))
                return 0;
        } else if (found.kind == MESSAGE && !is_plain(found.inside, found.message, depth + 1))
            return 0;
    }
    return more == 0;
}

static int look_through(const Scanner *names, Seen *seen, Slice request)
{
    Reader from = reader(request, REQUEST);
    Found found;
    int more;
    while ((more = next(&from, &found)) == 1) {
        Group *group = one_more((void **)&seen->groups, &seen->group_count, &seen->group_room, sizeof(Group));
        if (group == NULL) {
            seen->no_memory = 1;
            return 0;
        }
        *group = (Group){.resource = {found.inside.at, 0}, .first = seen->span_count};
        Reader inner = reader(found.inside, RESOURCE_SPANS);
        while ((more = next(&inner, &found)) == 1) {
            if (found.number == 2) {
                if (!look_at_scope(names, seen, group, found.inside, 2))
                    return 0;
            } else if (found.number == 1) {
                if (!is_plain(found.inside, RESOURCE, 2))
                    return 0;
                group->resource = found.inside;
            }
        }
        if (more < 0)
            return 0;
        group->count = seen->span_count - group->first;
    }
    return more == 0;
}

/* -- what is made of it, with the lock ------------------------------------------------------------------- */

static PyObject *bytes_of(Slice of)
{
    return PyBytes_FromStringAndSize((const char *)of.at, (Py_ssize_t)of.length);
}

static PyObject *text_of(Slice of)
{
    return PyUnicode_DecodeUTF8((const char *)of.at, (Py_ssize_t)of.length, "strict");
}

/* A new reference; NULL without an error where the value is one that is not read here. */
static PyObject *object_of(const Value *value)
{
    switch (value->kind) {
    case 0:
        return Py_NewRef(Py_None);
    case ANY_TEXT:
        return text_of(value->inside);
    case ANY_BOOL:
        return PyBool_FromLong(value->value != 0);
    case ANY_INT:
        return PyLong_FromLongLong((int64_t)value->value);
    case ANY_DOUBLE:
        return PyFloat_FromDouble(as_double(value->value));
    }
    return NULL;
}

/* The attributes of a root that are wanted; NULL as object_of. */
static PyObject *told_by(const Scanner *names, Slice root)
{
    PyObject *told = PyDict_New();
    if (told == NULL)
        return NULL;
    Reader from = reader(root, SPAN);
    Found found;
    Slice key;
    Value value;
    while (next(&from, &found) == 1) {
        if (found.number != 9 || !read_pair(found.inside, &key, &value, 0))
            continue;
        for (Py_ssize_t n = 0; n < names->told_count; n++) {
            if (!same(key, names->told[n].bytes))
                continue;
            PyObject *object = object_of(&value);
            int failed = object == NULL || PyDict_SetItem(told, names->told[n].text, object) < 0;
            Py_XDECREF(object);
            if (failed) {
                Py_DECREF(told);
                return NULL;
            }
            break;
        }
    }
    return told;
}

static size_t varint_length(size_t value)
{
    size_t length = 1;
    for (; value > 127; value >>= 7)
        length++;
    return length;
}

/* The spans of a trace but one, as the bytes of a ScopeSpans message. */
static PyObject *scope_of(const Span *spans, Py_ssize_t first, Py_ssize_t but)
{
    size_t size = 0;
    for (Py_ssize_t n = first; n >= 0; n = spans[n].after)
        if (n != but)
            size += 1 + varint_length(spans[n].body.length) + spans[n].body.length;
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (made == NULL)
        return NULL;
    unsigned char *to = (unsigned char *)PyBytes_AS_STRING(made);
    for (Py_ssize_t n = first; n >= 0; n = spans[n].after) {
        if (n == but)
            continue;
        size_t length = spans[n].body.length;
        *to++ = 2 << 3 | 2;
        for (; length > 127; length >>= 7)
            *to++ = (unsigned char)(length | 128);
        *to++ = (unsigned char)length;
        memcpy(to, spans[n].body.at, spans[n].body.length);
        to += spans[n].body.length;
    }
    return made;
}

/* A stage and how much, or None. */
static PyObject *guilt(const Span *span, double seconds)
{
    if (span == NULL)
        return Py_NewRef(Py_None);
    return Py_BuildValue("(Nd)", text_of(span->stage), seconds);
}

static PyObject *frame_of(const Scanner *names, const Span *spans, Py_ssize_t first, Py_ssize_t root)
{
    const Span *worst = NULL, *longest = NULL;
    double most = 0, most_over = 0;
    for (Py_ssize_t n = first; n >= 0; n = spans[n].after) {
        const Span *span = &spans[n];
        if (n == root || !span->has_stage)
            continue;
        if (span->lost > 0 && (worst == NULL || span->lost > most)) {
            worst = span;
            most = span->lost;
        }
        if (span->has_expected) {
            double over = (double)((int64_t)span->end_ns - (int64_t)span->start_ns) / 1e9 - span->expected;
            if (over > 0 && (longest == NULL || over > most_over)) {
                longest = span;
                most_over = over;
            }
        }
    }
    const Span *of = &spans[root];
    PyObject *told = told_by(names, of->body);
    if (told == NULL)
        return NULL;
    return Py_BuildValue("(NLLNNNNNN)", bytes_of(of->trace_id), (long long)of->start_ns,
                         (long long)(of->end_ns - of->start_ns), PyBool_FromLong(of->failed), told,
                         bytes_of(of->body), scope_of(spans, first, root), guilt(worst, most),
                         guilt(longest, most_over));
}

static PyObject *bodies_of(const Span *spans, Py_ssize_t first)
{
    PyObject *bodies = PyList_New(0);
    for (Py_ssize_t n = first; bodies != NULL && n >= 0; n = spans[n].after) {
        PyObject *body = bytes_of(spans[n].body);
        if (body == NULL || PyList_Append(bodies, body) < 0)
            Py_CLEAR(bodies);
        Py_XDECREF(body);
    }
    return bodies;
}

/* Append a new reference, which may be NULL. */
static int put(PyObject *list, PyObject *item)
{
    int result = item == NULL ? -1 : PyList_Append(list, item);
    Py_XDECREF(item);
    return result;
}

typedef struct {
    Py_ssize_t first, last, root;
    int roots; /* of frames with an end; more than one are told apart in Python, and so is one without */
} Trace;

/* Spans that follow each other are mostly of one trace; Python's dict has a secret hash, which senders cannot
 * make slow. */
static Py_ssize_t trace_of(PyObject *known, Slice trace_id, Py_ssize_t fresh)
{
    PyObject *key = bytes_of(trace_id), *number = NULL;
    Py_ssize_t found = -1;
    if (key != NULL && (number = PyDict_GetItemWithError(known, key)) != NULL)
        found = PyLong_AsSsize_t(number);
    else if (key != NULL && !PyErr_Occurred() && (number = PyLong_FromSsize_t(fresh)) != NULL) {
        found = PyDict_SetItem(known, key, number) < 0 ? -1 : fresh;
        Py_DECREF(number);
    }
    Py_XDECREF(key);
    return found;
}

static PyObject *group_of(const Scanner *names, Span *spans, const Group *group)
{
    PyObject *frames = PyList_New(0), *others = PyList_New(0), *known = PyDict_New(), *made = NULL;
    Trace *traces = NULL;
    size_t count = 0, room = 0;
    Py_ssize_t of_frames = 0, at = -1;
    if (frames == NULL || others == NULL || known == NULL)
        goto done;
    for (size_t n = group->first; n < group->first + group->count; n++) {
        Span *span = &spans[n];
        if (n == group->first || memcmp(span->trace_id.at, spans[n - 1].trace_id.at, 16) != 0)
            at = trace_of(known, span->trace_id, (Py_ssize_t)count);
        if (at < 0)
            goto done;
        if ((size_t)at == count) {
            Trace *trace = one_more((void **)&traces, &count, &room, sizeof(Trace));
            if (trace == NULL) {
                PyErr_NoMemory();
                goto done;
            }
            *trace = (Trace){(Py_ssize_t)n, (Py_ssize_t)n, -1, 0};
        } else {
            spans[traces[at].last].after = (Py_ssize_t)n;
            traces[at].last = (Py_ssize_t)n;
        }
        if (span->is_root) {
            traces[at].roots += span->end_ns < span->start_ns ? 2 : 1;
            traces[at].root = (Py_ssize_t)n;
        }
    }
    for (size_t n = 0; n < count; n++) {
        Py_ssize_t first = traces[n].first;
        if (traces[n].roots == 1) {
            for (Py_ssize_t one = first; one >= 0; one = spans[one].after)
                of_frames++;
            if (put(frames, frame_of(names, spans, first, traces[n].root)) < 0)
                goto done;
        } else if (put(others, bodies_of(spans, first)) < 0)
            goto done;
    }
    made = Py_BuildValue("(NOOn(nnn))", bytes_of(group->resource), frames, others, of_frames,
                         (Py_ssize_t)group->rejected[BAD_TRACE_ID], (Py_ssize_t)group->rejected[BAD_SPAN_ID],
                         (Py_ssize_t)group->rejected[BAD_TIME]);
done:
    free(traces);
    Py_XDECREF(frames);
    Py_XDECREF(others);
    Py_XDECREF(known);
    return made;
}

static PyObject *scanner_read(Scanner *self, PyObject *body)
{
    if (!PyBytes_CheckExact(body)) {
        PyErr_SetString(PyExc_TypeError, "a body is bytes");
        return NULL;
    }
    Slice request = {(Place)PyBytes_AS_STRING(body), (size_t)PyBytes_GET_SIZE(body)};
    Seen seen = {0};
    int plain;
    if (request.length <= BRIEF)
        plain = look_through(self, &seen, request);
    else {
        Py_BEGIN_ALLOW_THREADS
        plain = look_through(self, &seen, request);
        Py_END_ALLOW_THREADS
    }
    PyObject *groups = NULL;
    if (plain) {
        groups = PyList_New(0);
        for (size_t n = 0; groups != NULL && n < seen.group_count; n++)
            if (put(groups, group_of(self, seen.spans, &seen.groups[n])) < 0)
                Py_CLEAR(groups);
    }
    free(seen.spans);
    free(seen.groups);
    if (seen.no_memory)
        return PyErr_NoMemory();
    if (groups == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return groups;
}

/* -- the module ------------------------------------------------------------------------------------------ */

static int keep_name(Name *name, PyObject *text)
{
    Py_ssize_t length;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &length);
    if (bytes == NULL)
        return -1;
    *name = (Name){Py_NewRef(text), {(Place)bytes, (size_t)length}};
    return 0;
}

static PyObject *scanner_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *accepted[] = {"frame", "told", "pipeline", "stage", "expected", "lost", "lost_total", NULL};
    PyObject *frame, *told, *pipeline, *stage, *expected, *lost, *lost_total;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "$UO!UUUUU", accepted, &frame, &PyTuple_Type, &told, &pipeline,
                                     &stage, &expected, &lost, &lost_total))
        return NULL;
    if (PyTuple_GET_SIZE(told) > MOST_TOLD) {
        PyErr_Format(PyExc_ValueError, "more than %d names", MOST_TOLD);
        return NULL;
    }
    Scanner *self = (Scanner *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    int failed = keep_name(&self->frame, frame) || keep_name(&self->pipeline, pipeline) ||
                 keep_name(&self->stage, stage) || keep_name(&self->expected, expected) ||
                 keep_name(&self->lost, lost) || keep_name(&self->lost_total, lost_total);
    for (Py_ssize_t n = 0; !failed && n < PyTuple_GET_SIZE(told); n++, self->told_count += !failed)
        failed = keep_name(&self->told[n], PyTuple_GET_ITEM(told, n));
    if (failed)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void scanner_dealloc(Scanner *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Name *names[] = {&self->frame, &self->pipeline, &self->stage, &self->expected, &self->lost, &self->lost_total};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        Py_XDECREF(names[n]->text);
    for (Py_ssize_t n = 0; n < self->told_count; n++)
        Py_XDECREF(self->told[n].text);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMethodDef scanner_methods[] = {
    {"read", (PyCFunction)scanner_read, METH_O, "See framescope_ui.store.scan.scan."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot scanner_slots[] = {
    {Py_tp_new, scanner_new},
    {Py_tp_dealloc, scanner_dealloc},
    {Py_tp_methods, scanner_methods},
    {0, NULL},
};

static PyType_Spec scanner_spec = {
    .name = "framescope_ui.store._scan.Scanner",
    .basicsize = sizeof(Scanner),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = scanner_slots,
};

static int execute(PyObject *module)
{
    PyObject *scanner = PyType_FromModuleAndSpec(module, &scanner_spec, NULL);
    if (scanner == NULL || PyModule_AddObjectRef(module, "Scanner", scanner) < 0) {
        Py_XDECREF(scanner);
        return -1;
    }
    Py_DECREF(scanner);
    return PyModule_AddIntConstant(module, "VERSION", VERSION);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "framescope_ui.store._scan", .m_size = 0, .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__scan(void)
{
    return PyModuleDef_Init(&definition);
}
