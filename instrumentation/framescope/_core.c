/* The two dearest things of a frame in C: entering and leaving a stage, and reading the scheduler.
 *
 * Each does exactly what its Python does (recorder/marker.py, probes/scheduler.py), and the tests of those
 * run on both. What is rare goes back to Python: a full frame, no frame, an exception, another clock.
 * Nothing here releases the interpreter lock. Linux only; not built for free-threaded interpreters.
 */

#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define VERSION 2 /* compiled.py reads nothing but this one */

static PyObject *text_append, *text_get, *text_not_written, *text_note_error, *text_fault;
static PyObject *text_enter, *text_exit;

static long long nanoseconds(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        return -1;
    return (long long)now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* -- a stage's marks --------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    PyObject *marks;   /* a ContextVar, or the bound get() of whoever holds the open frame's marks */
    PyObject *clock;   /* NULL: CLOCK_MONOTONIC, which is what time.monotonic_ns reads */
    PyObject *index;
    PyObject *leaving;
    Py_ssize_t room;
} Marker;

static int marker_init(Marker *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"index", "room", NULL};
    long index;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "ln", names, &index, &self->room))
        return -1;
    Py_XSETREF(self->index, PyLong_FromLong(index));
    Py_XSETREF(self->leaving, PyLong_FromLong(~index));
    return self->index && self->leaving ? 0 : -1;
}

static int marker_traverse(Marker *self, visitproc visit, void *arg)
{
    Py_VISIT(self->marks);
    Py_VISIT(self->clock);
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static int marker_clear(Marker *self)
{
    Py_CLEAR(self->marks);
    Py_CLEAR(self->clock);
    return 0;
}

static void marker_dealloc(Marker *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    marker_clear(self);
    Py_XDECREF(self->index);
    Py_XDECREF(self->leaving);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyObject *marker_rebind(Marker *self, PyObject *holder)
{
    PyObject *marks;
    if (PyContextVar_CheckExact(holder))
        marks = Py_NewRef(holder);
    else if ((marks = PyObject_GetAttr(holder, text_get)) == NULL)
        return NULL;
    Py_XSETREF(self->marks, marks);
    Py_RETURN_NONE;
}

static PyObject *marker_keep_time_by(Marker *self, PyObject *clock)
{
    PyObject *time_module = PyImport_ImportModule("time");
    if (time_module == NULL)
        return NULL;
    PyObject *usual = PyObject_GetAttrString(time_module, "monotonic_ns");
    Py_DECREF(time_module);
    if (usual == NULL)
        return NULL;
    Py_XSETREF(self->clock, clock == usual ? NULL : Py_NewRef(clock));
    Py_DECREF(usual);
    Py_RETURN_NONE;
}

static PyObject *marker_now(Marker *self)
{
    if (self->clock != NULL)
        return PyObject_CallNoArgs(self->clock);
    return PyLong_FromLongLong(nanoseconds(CLOCK_MONOTONIC));
}

static PyObject *marker_marks(Marker *self)
{
    PyObject *marks = NULL;
    if (self->marks == NULL)
        PyErr_SetString(PyExc_RuntimeError, "this stage belongs to no pipeline");
    else if (!PyContextVar_CheckExact(self->marks))
        return PyObject_CallNoArgs(self->marks);
    else if (PyContextVar_Get(self->marks, NULL, &marks) == 0 && marks == NULL)
        PyErr_SetString(PyExc_LookupError, "no marks and no default");
    return marks;
}

static int append(PyObject *marks, PyObject *what)
{
    if (PyList_CheckExact(marks))
        return PyList_Append(marks, what);
    PyObject *done = PyObject_CallMethodOneArg(marks, text_append, what);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int append_pair(Marker *self, PyObject *marks, PyObject *what)
{
    if (append(marks, what) < 0)
        return -1;
    PyObject *now = marker_now(self);
    int failed = now == NULL || append(marks, now) < 0;
    Py_XDECREF(now);
    return failed ? -1 : 0;
}

/* An Exception is noted and gone, unless it is the host's own; anything else (KeyboardInterrupt) passes. */
static PyObject *guarded(Marker *self, int failed, PyObject *where, PyObject *result)
{
    if (failed) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return NULL;
        PyObject *type, *error, *trace;
        PyErr_Fetch(&type, &error, &trace);
        PyErr_NormalizeException(&type, &error, &trace);
        if (trace != NULL)
            PyException_SetTraceback(error, trace);
        PyObject *noted = PyObject_CallMethodObjArgs((PyObject *)self, text_fault, where, error, NULL);
        Py_XDECREF(type);
        Py_XDECREF(error);
        Py_XDECREF(trace);
        if (noted == NULL)
            return NULL; /* the host's own; and under test faults raise */
        Py_DECREF(noted);
    }
    return Py_NewRef(result);
}

static PyObject *marker_enter(Marker *self, PyObject *unused)
{
    int failed = 1;
    PyObject *marks = marker_marks(self);
    if (marks != NULL) {
        Py_ssize_t size = PyList_CheckExact(marks) ? PyList_GET_SIZE(marks) : PyObject_Size(marks);
        if (size >= 0 && size < self->room)
            failed = append_pair(self, marks, self->index) < 0;
        else if (size >= 0) {
            PyObject *done = PyObject_CallMethodOneArg((PyObject *)self, text_not_written, marks);
            failed = done == NULL;
            Py_XDECREF(done);
        }
        Py_DECREF(marks);
    }
    return guarded(self, failed, text_enter, (PyObject *)self);
}

static PyObject *marker_exit(Marker *self, PyObject *const *args, Py_ssize_t count)
{
    int failed = 1;
    PyObject *marks = marker_marks(self);
    if (marks != NULL) {
        failed = append_pair(self, marks, self->leaving) < 0;
        if (!failed && count > 0 && args[0] != Py_None) {
            PyObject *done = PyObject_CallMethodObjArgs((PyObject *)self, text_note_error, marks, args[0], NULL);
            failed = done == NULL;
            Py_XDECREF(done);
        }
        Py_DECREF(marks);
    }
    return guarded(self, failed, text_exit, Py_None);
}

static PyObject *marker_index(Marker *self, void *unused)
{
    return Py_NewRef(self->index ? self->index : Py_None);
}

static PyMethodDef marker_methods[] = {
    {"rebind", (PyCFunction)marker_rebind, METH_O, "Look there for the open frame's marks."},
    {"keep_time_by", (PyCFunction)marker_keep_time_by, METH_O, "Read this clock, in monotonic ns."},
    {"__enter__", (PyCFunction)marker_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))marker_exit, METH_FASTCALL, NULL},
    {NULL},
};

static PyGetSetDef marker_values[] = {
    {"index", (getter)marker_index, NULL, "The stage's number in its pipeline.", NULL},
    {NULL},
};

static PyType_Slot marker_slots[] = {
    {Py_tp_init, marker_init},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_traverse, marker_traverse},
    {Py_tp_clear, marker_clear},
    {Py_tp_dealloc, marker_dealloc},
    {Py_tp_methods, marker_methods},
    {Py_tp_getset, marker_values},
    {0, NULL},
};

static PyType_Spec marker_spec = {
    .name = "framescope._core.Marker",
    .basicsize = sizeof(Marker),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = marker_slots,
};

/* -- the scheduler ----------------------------------------------------------------------------------- */

typedef struct {
    int descriptor;
    long switches;
    long long run_queue;
    unsigned generation;
} ThreadStat;

static pthread_key_t thread_key;
static unsigned generation = 1; /* a forked child's descriptors tell of its parent's threads */

static void next_generation(void) { generation++; }

/* A host that became a daemon has closed all files, ours too; our number may be one of its own by now. */
static void close_ours(int descriptor)
{
    char link[32], target[128];
    if (descriptor < 0)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length <= 0)
        return;
    target[length] = 0;
    if (strstr(target, "/schedstat") != NULL)
        close(descriptor);
}

static void let_go(void *held)
{
    close_ours(((ThreadStat *)held)->descriptor);
    free(held);
}

static ThreadStat *this_thread(void)
{
    ThreadStat *stat = pthread_getspecific(thread_key);
    if (stat != NULL && stat->generation == generation)
        return stat;
    if (stat == NULL) {
        stat = calloc(1, sizeof *stat);
        if (stat == NULL)
            return NULL;
        if (pthread_setspecific(thread_key, stat) != 0) {
            free(stat);
            return NULL;
        }
    }
    else
        close_ours(stat->descriptor);
    stat->generation = generation;
    stat->switches = -1;
    stat->run_queue = -1;
    stat->descriptor = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    return stat;
}

static long long read_run_queue(ThreadStat *stat)
{
    char text[96];
    ssize_t length = stat->descriptor < 0 ? -1 : pread(stat->descriptor, text, sizeof text - 1, 0);
    if (length > 0) {
        text[length] = 0;
        char *second = strchr(text, ' ');
        if (second != NULL && second[1] >= '0' && second[1] <= '9')
            return strtoll(second + 1, NULL, 10);
    }
    /* Somebody closed our descriptor, and perhaps another file has its number now: leave it alone. */
    stat->descriptor = -1;
    return -1;
}

static PyObject *scheduler_read(PyObject *module, PyObject *unused)
{
    struct rusage usage;
    long long run_queue = -1, blocks = -1;
    ThreadStat *stat = this_thread();
    if (stat != NULL && getrusage(RUSAGE_THREAD, &usage) == 0) {
        long switches = usage.ru_nvcsw + usage.ru_nivcsw;
        if (switches != stat->switches) {
            /* A switch between the two calls is in this time already, and seen by the next reading. */
            stat->switches = switches;
            stat->run_queue = read_run_queue(stat);
        }
        run_queue = stat->run_queue;
        blocks = usage.ru_inblock + usage.ru_oublock;
    }
    return Py_BuildValue("(LLL)", nanoseconds(CLOCK_THREAD_CPUTIME_ID), run_queue, blocks);
}

/* -- the module -------------------------------------------------------------------------------------- */

static PyMethodDef functions[] = {
    {"read_scheduler", scheduler_read, METH_NOARGS, "See framescope.probes.scheduler.Reading."},
    {NULL},
};

static int execute(PyObject *module)
{
    PyObject *marker = PyType_FromModuleAndSpec(module, &marker_spec, NULL);
    if (marker == NULL || PyModule_AddObjectRef(module, "Marker", marker) < 0) {
        Py_XDECREF(marker);
        return -1;
    }
    Py_DECREF(marker);
    return PyModule_AddIntConstant(module, "VERSION", VERSION);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "framescope._core", .m_size = 0, .m_methods = functions, .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__core(void)
{
    static int once = 0;
    if (!once) {
        if (pthread_key_create(&thread_key, let_go) != 0 || pthread_atfork(NULL, NULL, next_generation) != 0) {
            PyErr_SetString(PyExc_ImportError, "no thread storage");
            return NULL;
        }
        once = 1;
    }
    text_append = PyUnicode_InternFromString("append");
    text_get = PyUnicode_InternFromString("get");
    text_not_written = PyUnicode_InternFromString("_not_written");
    text_note_error = PyUnicode_InternFromString("_note_error");
    text_fault = PyUnicode_InternFromString("_fault");
    text_enter = PyUnicode_InternFromString("stage.enter");
    text_exit = PyUnicode_InternFromString("stage.exit");
    return PyModuleDef_Init(&definition);
}
