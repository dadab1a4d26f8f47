"""Every metric, attribute and span name framescope puts on the wire, in one table.

Nothing else in the project spells these names: the emitter, the store, the questions, the pages and
the docs read them here. Units follow UCUM as OpenTelemetry writes it: ``s``, ``By``, ``1``, ``Hz``,
``Cel``, ``W``, ``J``. Where a name comes from the OpenTelemetry semantic conventions its source says
so; names that start with ``frame.`` or ``framescope.`` are this project's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# --- spans -----------------------------------------------------------------------------------------
SPAN_FRAME: Final = "frame"
"""Root of a kept frame: from its due time to its end, so the span's duration is the latency."""
SPAN_FRAMES: Final = "frames"
"""One a second and pipeline: every frame's offset, latency and outcome."""
SPAN_MARK: Final = "mark"
"""A change marker, without length."""
SCOPE: Final = "framescope"
"""Instrumentation scope of everything framescope emits."""
TRIAL_SERVICE: Final = "framescope-doctor"
"""``service.name`` of the test frame that ``framescope doctor`` sends: no pipeline anybody watches."""

# --- attributes of the root span --------------------------------------------------------------------
FRAME_ID: Final = "frame.id"
FRAME_SEQUENCE: Final = "frame.sequence"
FRAME_PIPELINE: Final = "frame.pipeline"
FRAME_BUDGET_LIMIT: Final = "frame.budget.limit"
FRAME_BUDGET_LEARNED: Final = "frame.budget.learned"
"""true where nobody gave a budget and it was learned from the first frames."""
FRAME_PERIOD: Final = "frame.period"
FRAME_SLOW: Final = "frame.slow"
FRAME_LATE: Final = "frame.late"
FRAME_INTERVAL: Final = "frame.interval"
FRAME_OUTCOME: Final = "frame.outcome"
FRAME_DROP_REASON: Final = "frame.drop.reason"
FRAME_CLOCK_SHARED: Final = "frame.clock.shared"
"""false where part of the frame came from another machine and was laid on the wall clock."""
FRAME_KEPT: Final = "frame.kept"
FRAME_SAMPLING_WEIGHT: Final = "frame.sampling.weight"
FRAME_EXPECTED_DURATION: Final = "frame.expected.duration"
FRAME_EXPECTED_INTERVAL: Final = "frame.expected.interval"
FRAME_CAUSE_NAME: Final = "frame.cause.name"
FRAME_CAUSE_CONFIDENCE: Final = "frame.cause.confidence"
FRAME_CULPRIT_NAME: Final = "frame.culprit.name"
FRAME_CULPRIT_PID: Final = "frame.culprit.pid"
FRAME_LOST_TOTAL: Final = "frame.lost.total"
FRAME_OVERRUN_TOTAL: Final = "frame.overrun.total"
FRAME_LOST_PREFIX: Final = "frame.lost."
"""``frame.lost.<cause>``: s, on the root; on a child the part of it that was lost in that stage."""
FRAME_OVERRUN_PREFIX: Final = "frame.overrun."
FRAME_VERDICT_AXIS: Final = "frame.verdict.axis"
"""``latency`` or ``interval``: which of the two the shares account for."""

# --- attributes of a child span ---------------------------------------------------------------------
FRAME_STAGE_NAME: Final = "frame.stage.name"
FRAME_STAGE_KIND: Final = "frame.stage.kind"
FRAME_STAGE_EXPECTED: Final = "frame.stage.expected"
FRAME_STAGE_UNCLOSED: Final = "frame.stage.unclosed"
"""true where a stage was entered and never left: its end is the frame's."""
FRAME_STAGE_STACKS: Final = "frame.stage.stacks"
"""Python stacks seen while the stage took longer than usual: string[], a line a call, the innermost last."""
FRAME_STAGE_STACK_COUNTS: Final = "frame.stage.stack_counts"
"""int[]: how often each of ``frame.stage.stacks`` was seen."""
FRAME_QUEUE_DEPTH_AT_ENTRY: Final = "frame.queue.depth_at_entry"
FRAME_QUEUE_NAME: Final = "frame.queue.name"

# --- evidence: s, on the root, and on a child where it was read there -------------------------------
EVIDENCE_OFF: Final = "frame.evidence.off"
"""On the root, string[]: those of these that no probe took. Others that are absent had nothing to tell."""
CPU_TIME: Final = "frame.cpu.time"
RUNQUEUE_TIME: Final = "frame.cpu.runqueue.time"
QUOTA_TIME: Final = "frame.cpu.quota.time"
GIL_WAIT_TIME: Final = "frame.gil.wait.time"
GIL_STARVED_TIME: Final = "frame.gil.starved.time"
GC_TIME: Final = "frame.gc.time"
BLOCKED_TIME: Final = "frame.blocked.time"
BLOCKED_CALL: Final = "frame.blocked.call"
"""On a child: the system call its thread was seen in most often while off the CPU."""
IO_WAIT_TIME: Final = "frame.io.wait.time"
LOCK_WAIT_TIME: Final = "frame.lock.wait.time"
LOOP_WAIT_TIME: Final = "frame.loop.wait.time"
MEMORY_STALL_TIME: Final = "frame.memory.stall.time"
GPU_TIME: Final = "frame.gpu.time"
GPU_BUSY_TIME: Final = "frame.gpu.busy.time"
GPU_WAIT_TIME: Final = "frame.gpu.wait.time"
GPU_TRANSFER_TIME: Final = "frame.gpu.transfer.time"
GPU_THROTTLE_TIME: Final = "frame.gpu.throttle.time"
GPU_RUNQUEUE_TIME: Final = "frame.gpu.runqueue.time"
"""s a software accelerator was runnable but not running while it held this frame's work."""


def expected_name(evidence: str) -> str:
    """The attribute that says what a reading usually is: ``frame.cpu.time`` → ``frame.cpu.expected``."""
    return evidence.removesuffix("time") + "expected"


# --- device readings over the frame's window, on the root -------------------------------------------
GPU_ID: Final = "frame.gpu.id"
GPU_NAME: Final = "frame.gpu.name"
GPU_UTILIZATION_MEAN: Final = "frame.gpu.utilization.mean"
GPU_UTILIZATION_MAX: Final = "frame.gpu.utilization.max"
GPU_OTHER_UTILIZATION: Final = "frame.gpu.other.utilization"
GPU_OTHER_EXPECTED: Final = "frame.gpu.other.expected"
GPU_CLOCK_MIN: Final = "frame.gpu.clock.min"
GPU_CLOCK_EXPECTED: Final = "frame.gpu.clock.expected"
GPU_HELD_SHARE: Final = "frame.gpu.held.share"
"""Share of the time around the frame that the clocks were held back, for the reason that held longest."""
GPU_HELD_EXPECTED: Final = "frame.gpu.held.expected"
GPU_HELD_REASON: Final = "frame.gpu.held.reason"
GPU_IO_RATE: Final = "frame.gpu.io.rate"
"""Bytes a second over PCIe around the frame, both ways together."""
GPU_IO_EXPECTED: Final = "frame.gpu.io.expected"
GPU_ERRORS: Final = "frame.gpu.errors"
"""Errors that the driver told of during the frame, in words."""
GPU_MEMORY_USED: Final = "frame.gpu.memory.used"
GPU_TEMPERATURE: Final = "frame.gpu.temperature"
GPU_POWER: Final = "frame.gpu.power"
GPU_WINDOW: Final = "frame.gpu.window"
GPU_SIMULATED: Final = "frame.gpu.simulated"

# --- the `frames` record ----------------------------------------------------------------------------
BATCH_FIRST_ID: Final = "frame.batch.first_id"
BATCH_OFFSETS_US: Final = "frame.batch.offsets_us"
BATCH_LATENCIES_US: Final = "frame.batch.latencies_us"
BATCH_OUTCOMES: Final = "frame.batch.outcomes"
BATCH_CAUSES: Final = "frame.batch.causes"
BATCH_DEPTHS_PREFIX: Final = "frame.batch.depths."
BATCH_ATTRIBUTES_PREFIX: Final = "frame.batch.attributes."
MARK_TEXT: Final = "frame.mark.text"
MARK_KEPT: Final = "kept the last "
"""How the text of a mark begins that says which frames were kept whole: it is there because frames were slow,
and is no change that could have made them so."""

# --- metrics ----------------------------------------------------------------------------------------
FRAME_LATENCY: Final = "frame.latency"
FRAME_STAGE_DURATION: Final = "frame.stage.duration"
FRAME_QUEUE_WAIT: Final = "frame.queue.wait"
FRAME_BUDGET_USAGE: Final = "frame.budget.usage"
FRAME_COUNT: Final = "frame.count"
FRAME_MISSED: Final = "frame.missed"
FRAME_LOST_TIME: Final = "frame.lost.time"
FRAME_QUEUE_DEPTH: Final = "frame.queue.depth"
FRAME_QUEUE_CAPACITY: Final = "frame.queue.capacity"
FRAME_QUEUE_BLOCKED_TIME: Final = "frame.queue.blocked.time"
FRAME_QUEUE_DROPPED: Final = "frame.queue.dropped"
FRAME_CUSTOM: Final = "frame.custom"
FRAME_COUNTED: Final = "frame.counted"
FRAME_METRIC_NAME: Final = "frame.metric.name"

HW_GPU_UTILIZATION: Final = "hw.gpu.utilization"
HW_GPU_MEMORY_USAGE: Final = "hw.gpu.memory.usage"
HW_GPU_MEMORY_LIMIT: Final = "hw.gpu.memory.limit"
HW_GPU_MEMORY_UTILIZATION: Final = "hw.gpu.memory.utilization"
HW_GPU_IO: Final = "hw.gpu.io"
HW_TEMPERATURE: Final = "hw.temperature"
HW_POWER: Final = "hw.power"
HW_ENERGY: Final = "hw.energy"
HW_FAN_SPEED: Final = "hw.fan.speed"
HW_FAN_SPEED_RATIO: Final = "hw.fan.speed_ratio"
HW_ERRORS: Final = "hw.errors"
HW_STATUS: Final = "hw.status"
HW_ID: Final = "hw.id"
HW_NAME: Final = "hw.name"
HW_TYPE: Final = "hw.type"
HW_STATE: Final = "hw.state"
HW_PARENT: Final = "hw.parent"
HW_VENDOR: Final = "hw.vendor"
HW_MODEL: Final = "hw.model"
HW_DRIVER_VERSION: Final = "hw.driver_version"
HW_SERIAL_NUMBER: Final = "hw.serial_number"
HW_GPU_TASK: Final = "hw.gpu.task"
"""``general``, ``encoder`` or ``decoder``; absent it is ``general``."""
HW_SENSOR_LOCATION: Final = "hw.sensor_location"
"""``gpu`` or ``memory``; absent it is ``gpu``."""
ERROR_TYPE: Final = "error.type"
NETWORK_IO_DIRECTION: Final = "network.io.direction"
FS_GPU_CLOCK: Final = "framescope.gpu.clock"
FS_GPU_MEMORY_CLOCK: Final = "framescope.gpu.memory.clock"
FS_GPU_ACTIVITY: Final = "framescope.gpu.activity"
FS_GPU_PART: Final = "framescope.gpu.part"
FS_GPU_PROCESS_MEMORY: Final = "framescope.gpu.process.memory"
FS_GPU_THROTTLE_TIME: Final = "framescope.gpu.throttle.time"
FS_GPU_THROTTLE_REASON: Final = "framescope.gpu.throttle.reason"
FS_GPU_PROCESS_UTILIZATION: Final = "framescope.gpu.process.utilization"
FS_GPU_RUNQUEUE_TIME: Final = "framescope.gpu.runqueue.time"
FS_GPU_CANARY_DELAY: Final = "framescope.gpu.canary.delay"
FS_GPU_SIMULATED: Final = "framescope.gpu.simulated"
FS_PROCESS_SELF: Final = "framescope.process.self"
"""true on the per-process series of the pipeline's own process (or its children), false on others'."""

PROCESS_PID: Final = "process.pid"
PROCESS_EXECUTABLE_NAME: Final = "process.executable.name"
PROCESS_CPU_UTILIZATION: Final = "process.cpu.utilization"
PROCESS_MEMORY_USAGE: Final = "process.memory.usage"
SYSTEM_CPU_UTILIZATION: Final = "system.cpu.utilization"
SYSTEM_MEMORY_UTILIZATION: Final = "system.memory.utilization"
SYSTEM_CPU_FREQUENCY: Final = "system.cpu.frequency"
SYSTEM_PAGING_OPERATIONS: Final = "system.paging.operations"
SYSTEM_PAGING_DIRECTION: Final = "system.paging.direction"
SYSTEM_PAGING_FAULTS: Final = "system.paging.faults"
SYSTEM_PAGING_FAULT_TYPE: Final = "system.paging.fault.type"
PROCESS_CPU_TIME: Final = "process.cpu.time"
PROCESS_CONTEXT_SWITCHES: Final = "process.context_switches"
PROCESS_DISK_IO: Final = "process.disk.io"
PROCESS_MEMORY_VIRTUAL: Final = "process.memory.virtual"
PROCESS_FILE_DESCRIPTORS: Final = "process.open_file_descriptor.count"
PROCESS_THREADS: Final = "process.thread.count"
THREAD_ID: Final = "thread.id"
THREAD_NAME: Final = "thread.name"
CPU_MODE: Final = "cpu.mode"
PROCESS_CONTEXT_SWITCH_TYPE: Final = "process.context_switch.type"
DISK_IO_DIRECTION: Final = "disk.io.direction"
PROCESS_PAGING_FAULTS: Final = "process.paging.faults"
PROCESS_PAGING_FAULT_TYPE: Final = "process.paging.fault_type"
FS_CPU_STEAL: Final = "framescope.cpu.steal.share"
FS_CPU_QUOTA_TIME: Final = "framescope.cpu.quota.time"
FS_CPU_QUOTA_LIMIT: Final = "framescope.cpu.quota.limit"
FS_GC_PAUSE: Final = "framescope.gc.pause"
GC_GENERATION: Final = "cpython.gc.generation"
FS_PRESSURE: Final = "framescope.pressure.share"
FS_PRESSURE_RESOURCE: Final = "framescope.pressure.resource"

FS_FRAMES_RECORDED: Final = "framescope.frames.recorded"
FS_FRAMES_KEPT: Final = "framescope.frames.kept"
FS_FRAMES_LOST: Final = "framescope.frames.lost"
FS_PROBE_DURATION: Final = "framescope.probe.duration"
FS_PROBE_WINDOW: Final = "framescope.probe.window"
FS_PROBE_NAME: Final = "framescope.probe.name"
FS_CLOCK_ERROR: Final = "framescope.clock.error"
FS_INTERNAL_ERRORS: Final = "framescope.internal.errors"
REASON: Final = "reason"

SERVICE_NAME: Final = "service.name"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
SERVICE_VERSION: Final = "service.version"
HOST_NAME: Final = "host.name"

HISTOGRAM_BOUNDS: Final[tuple[float, ...]] = tuple(
    round(0.00025 * 2 ** (step / 3), 9) for step in range(3 * 13 + 1)
)
"""s. One grid for everyone: three bounds an octave, 0.25 ms to 2.048 s. Bounds that depend on a
pipeline's budget cannot be summed over pipelines."""

BUDGET_USAGE_BOUNDS: Final[tuple[float, ...]] = (
    0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98,
    1.0, 1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0, 3.0, 5.0, 10.0,
)  # fmt: skip
"""1. Latency over budget, dense at 1, where the question is asked."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its wire name, instrument, UCUM unit, meaning and where the name comes from."""

    name: str
    instrument: str  # histogram | counter | gauge | updowncounter
    unit: str
    meaning: str
    attributes: tuple[str, ...] = ()
    source: str = "framescope"


_SEMCONV = "OpenTelemetry semantic conventions"
_INSTRUMENTATION = "opentelemetry-instrumentation-system-metrics"
_GPU = (HW_ID, HW_NAME, FS_GPU_SIMULATED)

METRICS: Final[dict[str, Metric]] = {
    m.name: m
    for m in (
        Metric(FRAME_LATENCY, "histogram", "s", "due time to end of a finished frame", (FRAME_PIPELINE,)),
        Metric(FRAME_INTERVAL, "histogram", "s", "start of a frame to start of the next", (FRAME_PIPELINE,)),
        Metric(
            FRAME_STAGE_DURATION,
            "histogram",
            "s",
            "one stage",
            (FRAME_PIPELINE, FRAME_STAGE_NAME, FRAME_STAGE_KIND),
        ),
        Metric(
            FRAME_QUEUE_WAIT,
            "histogram",
            "s",
            "one item's wait in a queue",
            (FRAME_PIPELINE, FRAME_QUEUE_NAME),
        ),
        Metric(FRAME_BUDGET_USAGE, "histogram", "1", "latency over budget", (FRAME_PIPELINE,)),
        Metric(
            FRAME_COUNT,
            "counter",
            "{frame}",
            "frames by outcome",
            (FRAME_PIPELINE, FRAME_OUTCOME, FRAME_DROP_REASON),
        ),
        Metric(
            FRAME_MISSED,
            "counter",
            "{frame}",
            "frames the source numbered and the pipeline never began",
            (FRAME_PIPELINE,),
        ),
        Metric(
            FRAME_LOST_TIME,
            "counter",
            "s",
            "time slow frames lost, by cause",
            (FRAME_PIPELINE, FRAME_CAUSE_NAME),
        ),
        Metric(FRAME_BUDGET_LIMIT, "gauge", "s", "the frame budget", (FRAME_PIPELINE,)),
        Metric(FRAME_PERIOD, "gauge", "s", "the period a frame is expected at", (FRAME_PIPELINE,)),
        Metric(FRAME_QUEUE_DEPTH, "gauge", "{item}", "items in a queue", (FRAME_PIPELINE, FRAME_QUEUE_NAME)),
        Metric(
            FRAME_QUEUE_CAPACITY, "gauge", "{item}", "items a queue holds", (FRAME_PIPELINE, FRAME_QUEUE_NAME)
        ),
        Metric(
            FRAME_QUEUE_BLOCKED_TIME,
            "counter",
            "s",
            "time producers were held by a full queue",
            (FRAME_PIPELINE, FRAME_QUEUE_NAME),
        ),
        Metric(
            FRAME_QUEUE_DROPPED,
            "counter",
            "{frame}",
            "frames a queue refused or displaced",
            (FRAME_PIPELINE, FRAME_QUEUE_NAME, FRAME_DROP_REASON),
        ),
        Metric(FRAME_CUSTOM, "gauge", "", "a number the user reports", (FRAME_PIPELINE, FRAME_METRIC_NAME)),
        Metric(FRAME_COUNTED, "counter", "", "what the user counts", (FRAME_PIPELINE, FRAME_METRIC_NAME)),
        Metric(
            HW_GPU_UTILIZATION,
            "gauge",
            "1",
            "share of the window with a kernel running",
            (*_GPU, HW_GPU_TASK),
            _SEMCONV,
        ),
        Metric(HW_GPU_MEMORY_USAGE, "updowncounter", "By", "device memory in use", _GPU, _SEMCONV),
        Metric(HW_GPU_MEMORY_LIMIT, "updowncounter", "By", "device memory in all", _GPU, _SEMCONV),
        Metric(HW_GPU_MEMORY_UTILIZATION, "gauge", "1", "share of device memory in use", _GPU, _SEMCONV),
        Metric(
            HW_GPU_IO,
            "counter",
            "By",
            "bytes over PCIe, from the device (transmit) and to it",
            (*_GPU, NETWORK_IO_DIRECTION),
            _SEMCONV,
        ),
        Metric(HW_TEMPERATURE, "gauge", "Cel", "device temperature", (*_GPU, HW_SENSOR_LOCATION), _SEMCONV),
        Metric(HW_POWER, "gauge", "W", "device power", (*_GPU, HW_TYPE), _SEMCONV),
        Metric(HW_ENERGY, "counter", "J", "device energy", (*_GPU, HW_TYPE), _SEMCONV),
        Metric(HW_FAN_SPEED, "gauge", "rpm", "turns of the device's fan", _GPU, _SEMCONV),
        Metric(HW_FAN_SPEED_RATIO, "gauge", "1", "fan speed over its highest", _GPU, _SEMCONV),
        Metric(
            HW_ERRORS,
            "counter",
            "{error}",
            "errors of the device, by type",
            (*_GPU, HW_TYPE, ERROR_TYPE),
            _SEMCONV,
        ),
        Metric(
            HW_STATUS,
            "updowncounter",
            "1",
            "1 for the state a device is in, 0 for the others",
            (
                *_GPU,
                HW_TYPE,
                HW_STATE,
                HW_PARENT,
                HW_VENDOR,
                HW_MODEL,
                HW_DRIVER_VERSION,
                HW_SERIAL_NUMBER,
            ),
            _SEMCONV,
        ),
        Metric(FS_GPU_CLOCK, "gauge", "Hz", "clock of the compute engines", _GPU),
        Metric(FS_GPU_MEMORY_CLOCK, "gauge", "Hz", "clock of the device memory", _GPU),
        Metric(
            FS_GPU_ACTIVITY,
            "gauge",
            "1",
            "share of the window a part of the device worked",
            (*_GPU, FS_GPU_PART),
        ),
        Metric(
            FS_GPU_THROTTLE_TIME,
            "counter",
            "s",
            "time the device was held back",
            (*_GPU, FS_GPU_THROTTLE_REASON),
        ),
        Metric(
            FS_GPU_PROCESS_UTILIZATION,
            "gauge",
            "1",
            "share of the window one process used the device",
            (*_GPU, PROCESS_PID, PROCESS_EXECUTABLE_NAME, FS_PROCESS_SELF),
        ),
        Metric(
            FS_GPU_PROCESS_MEMORY,
            "updowncounter",
            "By",
            "device memory one process holds",
            (*_GPU, PROCESS_PID, PROCESS_EXECUTABLE_NAME, FS_PROCESS_SELF),
        ),
        Metric(FS_GPU_RUNQUEUE_TIME, "counter", "s", "a software accelerator's own run-queue time", _GPU),
        Metric(
            FS_GPU_CANARY_DELAY, "gauge", "s", "how long the device kept a small kernel waiting", (HW_ID,)
        ),
        Metric(PROCESS_CPU_UTILIZATION, "gauge", "1", "CPU of the host process over all cores", (), _SEMCONV),
        Metric(
            PROCESS_MEMORY_USAGE, "updowncounter", "By", "resident memory of the host process", (), _SEMCONV
        ),
        Metric(SYSTEM_CPU_UTILIZATION, "gauge", "1", "CPU of the machine over all cores", (), _SEMCONV),
        Metric(SYSTEM_MEMORY_UTILIZATION, "gauge", "1", "memory of the machine in use", (), _SEMCONV),
        Metric(SYSTEM_CPU_FREQUENCY, "gauge", "Hz", "clock of the cores, a mean", (), _SEMCONV),
        Metric(
            SYSTEM_PAGING_OPERATIONS,
            "counter",
            "{operation}",
            "pages swapped in and out",
            (SYSTEM_PAGING_DIRECTION,),
            _SEMCONV,
        ),
        Metric(
            SYSTEM_PAGING_FAULTS,
            "counter",
            "{fault}",
            "page faults of the machine",
            (SYSTEM_PAGING_FAULT_TYPE,),
            _SEMCONV,
        ),
        Metric(
            PROCESS_PAGING_FAULTS,
            "counter",
            "{fault}",
            "page faults of the host process",
            (PROCESS_PAGING_FAULT_TYPE,),
            _SEMCONV,
        ),
        Metric(
            PROCESS_CPU_TIME, "counter", "s", "CPU time of the host process", (CPU_MODE,), _INSTRUMENTATION
        ),
        Metric(
            PROCESS_CONTEXT_SWITCHES,
            "counter",
            "{context_switch}",
            "context switches of the host process",
            (PROCESS_CONTEXT_SWITCH_TYPE,),
            _INSTRUMENTATION,
        ),
        Metric(
            PROCESS_DISK_IO,
            "counter",
            "By",
            "bytes the host process moved to and from disks",
            (DISK_IO_DIRECTION,),
            _INSTRUMENTATION,
        ),
        Metric(
            PROCESS_MEMORY_VIRTUAL,
            "updowncounter",
            "By",
            "virtual memory of the host process",
            (),
            _INSTRUMENTATION,
        ),
        Metric(
            PROCESS_FILE_DESCRIPTORS,
            "updowncounter",
            "{file_descriptor}",
            "open file descriptors of the host process",
            (),
            _INSTRUMENTATION,
        ),
        Metric(
            PROCESS_THREADS, "updowncounter", "{thread}", "threads of the host process", (), _INSTRUMENTATION
        ),
        Metric(FS_CPU_STEAL, "gauge", "1", "share of all cores' time that a hypervisor gave to others"),
        Metric(
            FS_CPU_QUOTA_TIME, "counter", "s", "time a cgroup's quota held the host process back, over CPUs"
        ),
        Metric(FS_CPU_QUOTA_LIMIT, "gauge", "{cpu}", "CPUs that the tightest quota allows"),
        Metric(FS_GC_PAUSE, "histogram", "s", "one garbage collection of 20 µs or more", (GC_GENERATION,)),
        Metric(
            FS_PRESSURE,
            "gauge",
            "1",
            "share of the window some task was stalled (PSI)",
            (FS_PRESSURE_RESOURCE,),
        ),
        Metric(FS_FRAMES_RECORDED, "counter", "{frame}", "frames the agent has seen", (FRAME_PIPELINE,)),
        Metric(
            FS_FRAMES_KEPT, "counter", "{frame}", "frames kept whole, by why", (FRAME_PIPELINE, FRAME_KEPT)
        ),
        Metric(
            FS_FRAMES_LOST,
            "counter",
            "{frame}",
            "frames or records lost, by reason",
            (FRAME_PIPELINE, REASON),
        ),
        Metric(FS_PROBE_DURATION, "gauge", "s", "what one reading of a probe cost", (FS_PROBE_NAME,)),
        Metric(FS_PROBE_WINDOW, "gauge", "s", "how long one reading of a probe averages", (FS_PROBE_NAME,)),
        Metric(
            FS_CLOCK_ERROR,
            "gauge",
            "s",
            "bound on the error of wall times, or of the times of a probe's readings",
            (FS_PROBE_NAME,),
        ),
        Metric(FS_INTERNAL_ERRORS, "counter", "{error}", "faults inside framescope, by where", (REASON,)),
    )
}

# --- attributes, told of one by one ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: its wire name, what carries it, its type and UCUM unit, meaning and where the name
    comes from. A name that ends in a dot goes on with a cause or a queue."""

    name: str
    on: str
    type: str  # string | int | double | boolean | string[] | int[]
    unit: str
    meaning: str
    source: str = "framescope"


_TOLD: Final = (
    Attribute(
        SERVICE_NAME,
        "resource",
        "string",
        "",
        "whose frames: OTEL_SERVICE_NAME, else the first pipeline's name",
        _SEMCONV,
    ),
    Attribute(
        SERVICE_INSTANCE_ID,
        "resource",
        "string",
        "",
        "a fresh UUID for each process, and for each fork",
        _SEMCONV,
    ),
    Attribute(
        SERVICE_VERSION, "resource", "string", "", "of the service, where its resource says so", _SEMCONV
    ),
    Attribute(HOST_NAME, "resource", "string", "", "the machine", _SEMCONV),
    Attribute(FRAME_PIPELINE, "root, frames, metrics", "string", "", "the pipeline's name"),
    Attribute(FRAME_ID, "root", "int", "", "from 0, one more each frame of a pipeline"),
    Attribute(FRAME_SEQUENCE, "root", "int", "", "the source's own number, else the id"),
    Attribute(FRAME_BUDGET_LIMIT, "root, frames", "double", "s", "the budget in force"),
    Attribute(
        FRAME_BUDGET_LEARNED, "root", "boolean", "", "true where nobody gave the budget and it was learned"
    ),
    Attribute(FRAME_PERIOD, "root", "double", "s", "the period frames are due at"),
    Attribute(FRAME_INTERVAL, "root", "double", "s", "start of the frame before to this start"),
    Attribute(FRAME_SLOW, "root", "boolean", "", "latency > budget"),
    Attribute(FRAME_LATE, "root", "boolean", "", "interval > period and a quarter"),
    Attribute(FRAME_OUTCOME, "root, metrics", "string", "", "on_time, slow, dropped or failed"),
    Attribute(FRAME_DROP_REASON, "root, metrics", "string", "", "why it was dropped"),
    Attribute(
        FRAME_CLOCK_SHARED, "root", "boolean", "", "false where part of the frame came from another machine"
    ),
    Attribute(
        FRAME_KEPT,
        "root, metrics",
        "string",
        "",
        "why the frame was kept whole: failed, dropped, slow, late, baseline, neighbour or manual",
    ),
    Attribute(FRAME_SAMPLING_WEIGHT, "root", "int", "", "how many frames it stands for"),
    Attribute(FRAME_EXPECTED_DURATION, "root", "double", "s", "what an undisturbed frame takes"),
    Attribute(FRAME_EXPECTED_INTERVAL, "root", "double", "s", "the usual interval"),
    Attribute(FRAME_CAUSE_NAME, "root, metrics", "string", "", "the cause with the greatest share"),
    Attribute(FRAME_CAUSE_CONFIDENCE, "root", "double", "1", "how sure the verdict is"),
    Attribute(FRAME_VERDICT_AXIS, "root", "string", "", "what the shares account for: latency or interval"),
    Attribute(FRAME_CULPRIT_NAME, "root", "string", "", "the other process, where known"),
    Attribute(FRAME_CULPRIT_PID, "root", "int", "", "its process id"),
    Attribute(FRAME_LOST_TOTAL, "root", "double", "s", "latency beyond what is usual"),
    Attribute(
        FRAME_LOST_PREFIX, "root, stage", "double", "s", "of it by cause; on a stage the part lost there"
    ),
    Attribute(FRAME_OVERRUN_TOTAL, "root", "double", "s", "latency beyond the budget"),
    Attribute(FRAME_OVERRUN_PREFIX, "root", "double", "s", "of it by cause"),
    Attribute(FRAME_STAGE_NAME, "stage, GPU work, metrics", "string", "", "the stage"),
    Attribute(FRAME_STAGE_KIND, "stage, GPU work, metrics", "string", "", "cpu, gpu, io, queue or gap"),
    Attribute(FRAME_STAGE_EXPECTED, "stage, GPU work", "double", "s", "what it usually takes"),
    Attribute(FRAME_STAGE_UNCLOSED, "stage", "boolean", "", "true where it was entered and never left"),
    Attribute(
        FRAME_STAGE_STACKS, "stage", "string[]", "", "Python stacks seen while it took longer than usual"
    ),
    Attribute(FRAME_STAGE_STACK_COUNTS, "stage", "int[]", "", "how often each was seen"),
    Attribute(FRAME_QUEUE_DEPTH_AT_ENTRY, "stage", "int", "{item}", "items found in the queue"),
    Attribute(THREAD_ID, "stage", "int", "", "the thread it began on, where the frame was on several"),
    Attribute(THREAD_NAME, "stage", "string", "", "its name; read where others send it"),
    Attribute(FRAME_QUEUE_NAME, "metrics", "string", "", "the queue"),
    Attribute(
        EVIDENCE_OFF,
        "root",
        "string[]",
        "",
        "names of readings that no probe took: their causes are not measured",
    ),
    Attribute(CPU_TIME, "root, stage", "double", "s", "CPU time of the threads"),
    Attribute(RUNQUEUE_TIME, "root, stage", "double", "s", "ready to run and not running"),
    Attribute(QUOTA_TIME, "root, stage", "double", "s", "of it held back by a cgroup's quota"),
    Attribute(
        GIL_WAIT_TIME, "root, stage", "double", "s", "waiting for the interpreter lock, held by one who ran"
    ),
    Attribute(
        GIL_STARVED_TIME,
        "root, stage",
        "double",
        "s",
        "waiting for the interpreter lock, whose holder got no core",
    ),
    Attribute(GC_TIME, "root, stage", "double", "s", "overlap with garbage collections, of any thread"),
    Attribute(BLOCKED_TIME, "root, stage", "double", "s", "off the CPU and not ready"),
    Attribute(BLOCKED_CALL, "stage", "string", "", "the system call it was seen in most often meanwhile"),
    Attribute(IO_WAIT_TIME, "root, stage", "double", "s", "of it waiting for files, disks or pipes"),
    Attribute(LOCK_WAIT_TIME, "root, stage", "double", "s", "of it waiting for locks"),
    Attribute(LOOP_WAIT_TIME, "root, stage", "double", "s", "ready while the event loop ran others"),
    Attribute(MEMORY_STALL_TIME, "root, stage", "double", "s", "of the blocked time waiting for memory"),
    Attribute(GPU_TIME, "root, GPU work, stage", "double", "s", "first GPU start to last GPU end"),
    Attribute(GPU_BUSY_TIME, "root, GPU work", "double", "s", "its kernels ran"),
    Attribute(GPU_WAIT_TIME, "root, GPU work", "double", "s", "launched and not running"),
    Attribute(GPU_TRANSFER_TIME, "root, GPU work", "double", "s", "copies"),
    Attribute(GPU_THROTTLE_TIME, "root, GPU work", "double", "s", "executing while held back"),
    Attribute(
        GPU_RUNQUEUE_TIME, "root, GPU work", "double", "s", "a software accelerator's own wait for a core"
    ),
    Attribute(GPU_ID, "root, GPU work, stage", "string", "", "the device; equal to hw.id"),
    Attribute(GPU_NAME, "root", "string", "", "its name"),
    Attribute(GPU_SIMULATED, "root", "boolean", "", "true for a simulated device"),
    Attribute(GPU_WINDOW, "root", "double", "s", "how long one of these readings averages"),
    Attribute(GPU_UTILIZATION_MEAN, "root", "double", "1", "a kernel was running"),
    Attribute(GPU_UTILIZATION_MAX, "root", "double", "1", "the highest reading of it"),
    Attribute(GPU_OTHER_UTILIZATION, "root", "double", "1", "use by other processes"),
    Attribute(GPU_OTHER_EXPECTED, "root", "double", "1", "what that usually is"),
    Attribute(GPU_CLOCK_MIN, "root", "double", "Hz", "the lowest compute clock"),
    Attribute(GPU_CLOCK_EXPECTED, "root", "double", "Hz", "what it usually is"),
    Attribute(
        GPU_HELD_SHARE,
        "root",
        "double",
        "1",
        "time the clocks were held back, for the reason that held longest",
    ),
    Attribute(GPU_HELD_EXPECTED, "root", "double", "1", "what that usually is"),
    Attribute(GPU_HELD_REASON, "root", "string", "", "that reason"),
    Attribute(GPU_IO_RATE, "root", "double", "By/s", "over PCIe, both ways together"),
    Attribute(GPU_IO_EXPECTED, "root", "double", "By/s", "what that usually is"),
    Attribute(GPU_ERRORS, "root", "string[]", "", "errors the driver told of, in words"),
    Attribute(GPU_MEMORY_USED, "root", "int", "By", "device memory in use"),
    Attribute(GPU_TEMPERATURE, "root", "double", "Cel", "of the device"),
    Attribute(GPU_POWER, "root", "double", "W", "of the device"),
    Attribute(BATCH_FIRST_ID, "frames", "int", "", "id of the first frame"),
    Attribute(BATCH_OFFSETS_US, "frames", "int[]", "us", "due time of each, from the span's start"),
    Attribute(BATCH_LATENCIES_US, "frames", "int[]", "us", "latency of each"),
    Attribute(BATCH_OUTCOMES, "frames", "string", "", "a letter each"),
    Attribute(BATCH_CAUSES, "frames", "string[]", "", "the code of each slow frame's cause"),
    Attribute(BATCH_DEPTHS_PREFIX, "frames", "int[]", "{item}", "items each found in that queue, −1 unknown"),
    Attribute(BATCH_ATTRIBUTES_PREFIX, "frames", "string[]", "", "that content attribute of each, as text"),
    Attribute(MARK_TEXT, "mark", "string", "", "what changed"),
    Attribute(FRAME_METRIC_NAME, "metrics", "string", "", "what the user calls a number of his own"),
    Attribute(HW_ID, "metrics", "string", "", "the device", _SEMCONV),
    Attribute(HW_NAME, "metrics", "string", "", "its name", _SEMCONV),
    Attribute(HW_TYPE, "metrics", "string", "", "gpu", _SEMCONV),
    Attribute(HW_STATE, "metrics", "string", "", "ok, degraded, failed or predicted_failure", _SEMCONV),
    Attribute(HW_PARENT, "metrics", "string", "", "the GPU that a slice is cut from", _SEMCONV),
    Attribute(HW_VENDOR, "metrics", "string", "", "who made it", _SEMCONV),
    Attribute(HW_MODEL, "metrics", "string", "", "its model", _SEMCONV),
    Attribute(HW_DRIVER_VERSION, "metrics", "string", "", "its driver", _SEMCONV),
    Attribute(HW_SERIAL_NUMBER, "metrics", "string", "", "its serial number", _SEMCONV),
    Attribute(HW_GPU_TASK, "metrics", "string", "", "general, encoder or decoder", _SEMCONV),
    Attribute(HW_SENSOR_LOCATION, "metrics", "string", "", "gpu or memory", _SEMCONV),
    Attribute(ERROR_TYPE, "metrics", "string", "", "what kind of error", _SEMCONV),
    Attribute(
        NETWORK_IO_DIRECTION, "metrics", "string", "", "transmit or receive, as the device sees it", _SEMCONV
    ),
    Attribute(FS_GPU_SIMULATED, "metrics", "string", "", "true on the series of a simulated device"),
    Attribute(FS_GPU_PART, "metrics", "string", "", "which part of the device worked"),
    Attribute(FS_GPU_THROTTLE_REASON, "metrics", "string", "", "why its clocks were held back"),
    Attribute(
        FS_PROCESS_SELF, "metrics", "string", "", "true for the pipeline's own process, false for others"
    ),
    Attribute(PROCESS_PID, "metrics", "string", "", "a process on the GPU", _SEMCONV),
    Attribute(PROCESS_EXECUTABLE_NAME, "metrics", "string", "", "its name", _SEMCONV),
    Attribute(
        PROCESS_PAGING_FAULT_TYPE, "metrics", "string", "", "major: a page had to be read in", _SEMCONV
    ),
    Attribute(SYSTEM_PAGING_FAULT_TYPE, "metrics", "string", "", "major: a page had to be read in", _SEMCONV),
    Attribute(SYSTEM_PAGING_DIRECTION, "metrics", "string", "", "in or out", _SEMCONV),
    Attribute(CPU_MODE, "metrics", "string", "", "user or system", _SEMCONV),
    Attribute(PROCESS_CONTEXT_SWITCH_TYPE, "metrics", "string", "", "voluntary or involuntary", _SEMCONV),
    Attribute(DISK_IO_DIRECTION, "metrics", "string", "", "read or write", _SEMCONV),
    Attribute(GC_GENERATION, "metrics", "string", "", "0, 1 or 2", _SEMCONV),
    Attribute(
        FS_PRESSURE_RESOURCE,
        "metrics",
        "string",
        "",
        "cpu, memory or io: some task was stalled; memory.full, io.full: all were",
    ),
    Attribute(FS_PROBE_NAME, "metrics", "string", "", "which probe"),
    Attribute(REASON, "metrics", "string", "", "why something was lost, or where a fault was"),
)
_USUALLY: Final = (
    CPU_TIME, RUNQUEUE_TIME, QUOTA_TIME, GIL_WAIT_TIME, GC_TIME, BLOCKED_TIME, IO_WAIT_TIME, LOCK_WAIT_TIME,
    LOOP_WAIT_TIME, MEMORY_STALL_TIME, GPU_BUSY_TIME, GPU_WAIT_TIME, GPU_TRANSFER_TIME, GPU_THROTTLE_TIME,
    GPU_RUNQUEUE_TIME, GIL_STARVED_TIME,
)  # fmt: skip
"""Evidence that is told beside what it usually is."""
ATTRIBUTES: Final[dict[str, Attribute]] = {
    a.name: a
    for a in (
        *_TOLD,
        *(
            Attribute(
                expected_name(name),
                "root, GPU work" if name.startswith("frame.gpu.") else "root",
                "double",
                "s",
                f"what {name} usually is",
            )
            for name in _USUALLY
        ),
    )
}

# --- causes (design §4) -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause: its wire name, the name shown, its two-letter code and its family."""

    name: str
    title: str
    code: str
    parent: str | None
    meaning: str


CAUSES: Final[dict[str, Cause]] = {
    c.name: c
    for c in (
        Cause("structural", "Structural", "ST", None, "its usual cost already exceeds the budget"),
        Cause("late_input", "Late input", "WL", None, "the source delivered late"),
        Cause("queue_wait", "Queue wait", "WQ", None, "waited in a queue whose consumer was behind"),
        Cause("cpu", "CPU, not split", "C?", None, "host CPU, not known which way"),
        Cause("cpu_work", "CPU work", "CW", "cpu", "its own host code ran longer"),
        Cause(
            "cpu_contention",
            "CPU contention",
            "CS",
            "cpu",
            "runnable but not running: other work held the cores",
        ),
        Cause("cpu_quota", "CPU quota", "CQ", "cpu", "held back by a cgroup limit"),
        Cause("blocked", "Blocked, not split", "B?", None, "off the CPU and not runnable, not known why"),
        Cause("python_gil", "Python GIL", "BG", "blocked", "waited for the interpreter lock"),
        Cause("gc_pause", "GC pause", "BP", "blocked", "Python's garbage collector ran"),
        Cause("io_wait", "I/O wait", "BI", "blocked", "waited for a file, a disk or a pipe"),
        Cause("lock_wait", "Lock wait", "BK", "blocked", "waited for a lock"),
        Cause("loop_wait", "Event-loop wait", "BE", "blocked", "ready, but the event loop was busy"),
        Cause("memory_pressure", "Memory pressure", "BM", "blocked", "stalled on memory reclaim"),
        Cause("gpu", "GPU, not split", "G?", None, "GPU, not known whether work, waiting or throttling"),
        Cause("gpu_work", "GPU work", "GW", "gpu", "its own kernels ran longer"),
        Cause("gpu_contention", "GPU contention", "GS", "gpu", "another process held the GPU"),
        Cause("gpu_throttle", "GPU throttle", "GT", "gpu", "the GPU's clock was held back"),
        Cause("gpu_transfer", "GPU transfer", "GX", "gpu", "copies took longer"),
        Cause("unknown", "Unknown", "?", None, "no evidence covers it"),
    )
}
CAUSE_BY_CODE: Final = {c.code: c for c in CAUSES.values()}


def add_cause(name: str, title: str, parent: str, meaning: str) -> None:
    """A cause of the user's own (``framescope.causes``): its code is U and a letter or digit."""
    used = {code for code in CAUSE_BY_CODE if code[0] == "U"}
    code = next(code for sign in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" if (code := "U" + sign) not in used)
    CAUSES[name] = CAUSE_BY_CODE[code] = Cause(name, title, code, parent, meaning)


def remove_cause(name: str) -> None:
    """Take away what ``add_cause`` added."""
    del CAUSE_BY_CODE[CAUSES.pop(name).code]


OUTCOMES: Final = {"on_time": "o", "slow": "s", "dropped": "d", "failed": "f"}
"""Outcome → its letter in ``frame.batch.outcomes``."""
SOFTWARE_ACCELERATOR: Final = "software accelerator (no GPU found)"
"""The name a simulated device carries wherever it appears."""


# --- reasons of framescope.frames.lost ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Loss:
    """One reason why something is missing from the record, and what of it.

    ``of``: ``frame``, a whole one, counted nowhere; ``kept``, one that is counted and was not kept whole;
    ``delivery``, one that was kept and did not reach its receiver; ``part``, of a frame that is counted;
    ``reading``, beside the frames.
    """

    reason: str
    of: str
    meaning: str


LOSSES: Final[dict[str, Loss]] = {
    one.reason: one
    for one in (
        Loss("outbox_full", "frame", "20 000 frames waited for an agent already"),
        Loss("agent_died", "frame", "an agent had taken it and died before its receiver confirmed"),
        Loss("agent_overloaded", "frame", "more frames waited in the agent than it has room for"),
        Loss("after_close", "frame", "its pipeline was closed"),
        Loss("begun_before_fork", "frame", "begun in the parent, ended in a forked child"),
        Loss("interrupted", "frame", "a signal handler raised while it ended"),
        Loss("fault", "frame", "a fault of framescope's own, or no memory"),
        Loss("unpackable", "frame", "something in it could not be handed over"),
        Loss("malformed", "frame", "what was handed over made no sense to the agent"),
        Loss("keep_budget", "kept", "more were slow than the keep budget takes"),
        Loss("export_queue_full", "delivery", "the receiver was away for longer than the agent can hold"),
        Loss("export_refused", "delivery", "the receiver refused the message for good"),
        Loss("export_rejected", "delivery", "the receiver took a part of the message: at most so many"),
        Loss("export_at_exit", "delivery", "the receiver was away when the agent ended"),
        Loss("points_rejected", "reading", "metric points that the receiver did not take"),
        Loss("reading_limit", "reading", "readings of devices beyond what one message holds"),
        Loss("collection_limit", "reading", "garbage collections beyond what is held until they are shipped"),
        Loss("knock_limit", "reading", "knocks at the interpreter lock, likewise"),
        Loss("stack_limit", "reading", "looks at stacks, likewise"),
        Loss("wait_limit", "reading", "waits in a watched queue, likewise"),
        Loss("watch_limit", "reading", "a queue to be watched beyond the 64th of a pipeline"),
        Loss("gauge_limit", "reading", "custom gauges beyond the limit"),
        Loss("gauge_not_a_number", "reading", "a custom gauge was set to no number"),
        Loss("count_limit", "reading", "custom counters beyond the limit"),
        Loss("count_not_a_number", "reading", "a custom counter was given no number"),
        Loss("keep_last_not_a_time", "reading", "a wish to keep the last frames told no time"),
        Loss("attribute_limit", "part", "content attributes beyond the 16th"),
        Loss("attribute_after_end", "part", "an attribute set when the frame had ended"),
        Loss("stage_limit", "part", "stages beyond the 1 024th of a frame"),
        Loss("stage_names", "part", "stages of a name beyond the 256th of a pipeline"),
        Loss("stage_without_frame", "part", "a stage entered where no frame was open"),
        Loss("stage_after_end", "part", "a stage entered when the frame had ended"),
        Loss("stage_of_another_pipeline", "part", "a stage entered in a frame of another pipeline"),
        Loss("marks_torn", "part", "stages from where a signal handler raised inside framescope"),
        Loss("ended_twice", "part", "an end after the first"),
        Loss("left_elsewhere", "part", "a frame left in another context than it was entered in"),
        Loss("lent_limit", "part", "stages on other threads beyond the 64th of a task's frame"),
        Loss("sequence_not_a_number", "part", "a sequence number that is none"),
        Loss("captured_at_not_a_time", "part", "a time of capture that is none"),
        Loss("carried_nothing", "part", "a frame came from another process without its header"),
        Loss("carried_malformed", "part", "its header made no sense"),
        Loss("carried_too_late", "part", "it had been on its way for longer than any frame is"),
        Loss("carried_cut", "part", "its header had no room for all of it"),
        Loss("gpu_work_not_carried", "part", "GPU work of a frame that went on in another process"),
        Loss("spans_not_carried", "part", "spans of a frame that went on in another process"),
        Loss("span_limit", "part", "spans inside a frame beyond what it holds"),
        Loss("span_after_frame", "part", "a span that ended after its frame"),
        Loss("gpu_no_context", "part", "nobody had used CUDA on this thread yet"),
        Loss("gpu_capturing", "part", "a graph was being captured on the stream"),
        Loss("gpu_pool_empty", "part", "all event pairs of the context were under way"),
        Loss("gpu_stream_unknown", "part", "the stream could not be asked for"),
        Loss("gpu_context_gone", "part", "the context was destroyed with work under way"),
        Loss("gpu_error", "part", "the CUDA driver answered with an error"),
        Loss("gpu_stage_never_closed", "part", "a GPU stage was entered a minute ago and never left"),
        Loss("gpu_work_missing", "part", "GPU work was not over 2 s after its frame"),
        Loss("gpu_burst_dropped", "part", "CUPTI dropped records of a burst"),
        Loss("gpu_burst_record", "part", "a record of CUPTI's made no sense"),
    )
}
