"""What each cause rests on, what can fool it, and what to do: one table for the page and the docs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Advice:
    """``rests_on``: the readings behind the name. ``fooled_by``: what looks the same, or hides it. ``steps``:
    what to do, the surest first; each is a sentence."""

    rests_on: str
    fooled_by: str
    steps: tuple[str, ...]


ADVICE: Final[dict[str, Advice]] = {
    "structural": Advice(
        "The usual latency, a median of on-time frames (with none, the lower quartile of all), is over "
        "the budget already. No disturbance is needed for a miss.",
        "A budget that was learned or set for another machine, resolution or rate.",
        (
            "Look at the stages' expected times on the Frame page: the longest one on the critical path"
            " is what to shorten.",
            "Move a stage to another thread, with a queue before it: latency stays, but the rate rises.",
            "If the budget is wrong, set it: Pipeline(…, budget_ms=…).",
        ),
    ),
    "late_input": Advice(
        "The time from when the frame was due (its capture time, or the period) until it started, "
        "beyond what is usual, while the thread had nothing else to do; with emitter.probes.system_calls it "
        "was seen to sleep, or to wait for something, until then.",
        "A wrong capture clock looks like a late source: framescope drops capture times that cannot be."
        " Without captured_at, a late source and a slow last frame are told apart only by the thread's "
        "own evidence.",
        (
            "Give captured_at or captured_at_ns, so that it is known when the source had the frame.",
            "Look at the sequence numbers: gaps are frames lost before the pipeline.",
            "Look at the driver, the link and the source's own clock.",
        ),
    ),
    "queue_wait": Advice(
        "The frame lay in a queue longer than usual, and neither what the frames ahead of it lost (in the "
        "consumer's hands, or waiting for room in the next queue) nor the consumer's own readiness explains "
        "it. Where the consumer stood waiting for the frame it is no queue wait.",
        "Work of the consumer that is in no stage (after the frame's end) reads as queue wait: put it "
        "in a stage.",
        (
            "Look at the consumer's stages in the frames ahead: whose time is it?",
            "Prefer a short queue that drops (policy pop: the newest frame counts) to a long one that "
            "delays.",
            "Add a second consumer, if frames may overtake each other.",
        ),
    ),
    "cpu": Advice(
        "Evidence of the CPU as a family, without the readings that tell work from waiting for a core.",
        "Whatever fools its members.",
        ("Let framescope read the scheduler (emitter.probes.scheduler; Linux): docs/platforms.md.",),
    ),
    "cpu_work": Advice(
        "The thread's own CPU time beyond what is usual, less collections inside it.",
        "A neighbour on the same core's caches or its other hyper-thread made the same work take up to "
        "45 % more CPU time. A lower core clock does so too: the machine's frequency reading shows it. "
        "Spinning while waiting for the GPU is CPU time; where the GPU's own time is known it is given "
        "to that first.",
        (
            "Compare the frame's attributes (size, mode, model) with on-time frames: Correlate ranks them.",
            "Switch stack sampling on (emitter.probes.stacks): it shows the line that took longer.",
            "Move work out of the frame, or to the GPU.",
        ),
    ),
    "cpu_contention": Advice(
        "Run-queue time of the frame's own thread, by the kernel's account: it was ready and other work"
        " had the cores. Exact to the kernel's bookkeeping. And the time it waited for the interpreter lock "
        "while whoever held the lock got no core: no thread of the process can have run, and some in the "
        "machine waited for a core.",
        "A cgroup quota shows as the same; where the quota can be read it goes first. Time stolen by a "
        "hypervisor shows as CPU work or as nothing. A library that waits for something without giving the "
        "interpreter lock away looks like a holder without a core, where others wait for cores meanwhile.",
        (
            "Pin the pipeline's threads, and keep others off their cores (taskset, cpuset, isolcpus).",
            "Raise its priority: chrt -f for the real-time class where that is allowed, nice otherwise.",
            "Limit the thread pools of libraries (OMP_NUM_THREADS, cv2.setNumThreads, "
            "torch.set_num_threads).",
            "Find who took the cores: the process list at that time, or Correlate over CPU load.",
        ),
    ),
    "cpu_quota": Advice(
        "The control group's throttled time around the frame (cpu.stat), never more than the thread's "
        "run-queue time and that of the interpreter lock's holder, which it waited for.",
        "The counter is the group's: another thread of it may have been throttled instead.",
        (
            "Raise the limit (Kubernetes: resources.limits.cpu; Docker: --cpus), or remove it and keep "
            "the request.",
            "Use fewer threads: a quota is used up by all of them together, within each 100 ms.",
        ),
    ),
    "blocked": Advice(
        "Time off the CPU and not ready to run, beyond what is usual, that no finer reading explains.",
        "A wait for a device of the host's own looks the same as a sleep.",
        (
            "Switch emitter.probes.system_calls on: it tells a pipe, a file, a lock and a sleep apart.",
            "Switch emitter.probes.stacks on: it shows the line that waits.",
        ),
    ),
    "python_gil": Advice(
        "Knocks at the interpreter lock that were let in late; the frame's thread seen waiting for it from "
        "outside, in the frame or before it began (emitter.probes.system_calls); or an event loop that was "
        "due to go on, by its own clock, and whose thread neither ran nor was ready to.",
        "From knocks alone: a wait for a pipe beside a thread that computes in Python all the time "
        "looks the same (56 of 85 such frames were called the lock; its confidence is at most 0.65). Beside "
        "one that computes in C, none of 134.",
        (
            "Find the thread that holds it: long calls into C that do not release it (a large sort, a "
            "regular expression, json of megabytes), or plain Python in another thread.",
            "Move that to another process, or to a library that releases the lock.",
            "A free-threaded Python has no such lock.",
        ),
    ),
    "gc_pause": Advice(
        "Python's collector, timed by its own callbacks, in whatever thread it ran: it holds the "
        "interpreter lock.",
        "Nothing found so far for collections in the frame's own thread. One in another thread shows as"
        " blocked time and a collection at once; only their overlap counts, and with "
        "emitter.probes.system_calls only from when the thread was last seen to wait for anything but the "
        "lock.",
        (
            "gc.freeze() after start-up: what stays is not looked at again.",
            "gc.disable() and collect between frames, or raise gc.set_threshold.",
            "Make less cyclic garbage in frames: reuse buffers, break cycles by weakref.",
        ),
    ),
    "io_wait": Advice(
        "Two witnesses: the thread moved blocks and the machine's pressure on I/O shows that somebody "
        "waited then; or the thread was seen in a call on a file, disk, pipe or socket.",
        "Writes are counted when they dirty a page, not when anybody waits. Without system calls, "
        "another process's I/O at the same moment can stand witness.",
        (
            "Write on another thread, or asynchronously; never fsync in a frame.",
            "Read ahead, on another thread.",
            "Look at the device: another process's I/O (iotop), a full disk, a slow network file system.",
        ),
    ),
    "lock_wait": Advice(
        "The frame's thread was seen waiting for a lock (futex) other than the interpreter's.",
        "A condition variable or an Event is a lock too: waiting for another thread's result looks the same.",
        (
            "Find the holder: switch stack sampling on, and look at the line.",
            "Hold it for less: copy under the lock, work outside.",
        ),
    ),
    "loop_wait": Advice(
        "The event loop was busy with others without a break until the task's step, less the time that its "
        "thread waited for a core or for the interpreter lock: measured at each step.",
        "Only frames that are driven by framescope (framed, or Python 3.12 and later) have it. It is the "
        "most it can have been: an answer that came while the loop was busy is taken to have come before.",
        (
            "Find the task that computes without awaiting (loop.slow_callback_duration with asyncio "
            "debug mode).",
            "Move it to a thread or process (asyncio.to_thread, a ProcessPoolExecutor).",
        ),
    ),
    "memory_pressure": Advice(
        "Three witnesses: the memory stall of the host's control group (else of the machine) in the frame's "
        "window, pages that the process had to read in again, and blocks that the thread itself read.",
        "A first touch of a mapped file also reads pages in, and stalls where memory is short anyway.",
        (
            "Lock what must stay (mlockall, memory.min), or raise the group's memory limit.",
            "Find who takes the memory; look for swap in use.",
        ),
    ),
    "gpu": Advice(
        "The GPU's time of the frame (an event pair) beyond what is usual: it was the GPU, not known "
        "whether it worked or waited.",
        "A pair measures elapsed time on its stream. It holds what the host lost between two launches, "
        "when the stream had nothing to do; what the host's own evidence shows of that is taken out "
        "first.",
        (
            "Let NVML be read (emitter.probes.gpu), so that clocks and other processes are known.",
            "Record bursts with CUPTI (emitter.probes.cupti): they tell work, waiting and copies apart.",
        ),
    ),
    "gpu_work": Advice(
        "The time this frame's own kernels executed, where it is measured (profiler bursts, the "
        "software accelerator), beyond what is usual.",
        "A lower clock makes the same work longer: where the throttle time is known it goes first.",
        (
            "Compare the input's size and mode with on-time frames: Correlate ranks them.",
            "Look at the kernels in a profiler (Nsight) while it happens.",
        ),
    ),
    "gpu_contention": Advice(
        "The frame's GPU work waited, or took longer, while another process used the device more than usual.",
        "NVML's windows are 0.1 to 1 s: another process's use is known for that window, not for the "
        "frame. Under MIG it is not told.",
        (
            "Move the other process to another GPU, or to a MIG slice of its own.",
            "Give the pipeline's streams the highest priority (it helps within one process).",
            "Under MPS, limit the other's share (CUDA_MPS_ACTIVE_THREAD_PERCENTAGE).",
        ),
    ),
    "gpu_throttle": Advice(
        "The device's own throttle times, or a clock below the usual, in the frame's window.",
        "Idle devices lower their clocks by themselves: that is not called throttling unless the device"
        " says so.",
        (
            "Look at the reason in the evidence: power cap, temperature, power brake.",
            "Power: raise the limit (nvidia-smi -pl) where the card and the supply allow it.",
            "Temperature: look at fans, filters and the neighbour cards.",
            "Lock the clocks to what can be held (nvidia-smi -lgc): a steady lower one beats a changing one.",
        ),
    ),
    "gpu_transfer": Advice(
        "The time copies took, where it is measured, beyond what is usual; bytes over PCIe beside it.",
        "From PCIe bytes alone no time is given to it.",
        (
            "Copy from pinned memory, asynchronously, on a stream of its own.",
            "Copy less: keep images on the device between stages.",
            "Look at the link (nvidia-smi -q: generation and width): a card in a wrong slot halves it.",
        ),
    ),
    "unknown": Advice(
        "No reading covers this part of the loss.",
        "It is not a guess, and no small cause: it may be anything that is not measured here.",
        (
            "See under “Not measured” on the Frame page which readings were missing, and framescope "
            "doctor for how to get them.",
            "Put stages around what is in none: the time between stages is nobody's.",
        ),
    ),
}
