"""The software accelerator: real kernels for several clients, and numbers that were measured."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from running_accelerator import Running, answers, until

from framescope.probes.device import GpuWork
from framescope.probes.software_accelerator import StatusFile
from ultrasound import children, kernels
from ultrasound.accelerator_client import AcceleratorAway, AcceleratorClient, KernelFailed
from ultrasound.jpeg import Image


def timed(client: AcceleratorClient, grey: Image, *names: str) -> GpuWork:
    """The work of one stage that runs these kernels one after the other."""
    token = client.begin()
    for name in names:
        client.run(name, grey)
    client.end(token)
    (work,) = client.collect()
    assert work.token == token
    return work


def told(work: GpuWork) -> tuple[int, int, int, int]:
    assert work.busy_ns is not None and work.wait_ns is not None
    assert work.transfer_ns is not None and work.throttle_ns is not None
    return work.busy_ns, work.wait_ns, work.transfer_ns, work.throttle_ns


def test_its_kernels_give_what_they_give_anywhere(accelerator: Running, grey: Image) -> None:
    client = accelerator.client("one")
    for name in kernels.KERNELS:
        assert np.array_equal(client.run(name, grey), kernels.run(name, grey))


def test_the_parts_of_a_stage_add_up_to_its_time(accelerator: Running, grey: Image) -> None:
    work = timed(accelerator.client("one"), grey, "despeckle", "segment")
    busy, wait, transfer, throttle = told(work)
    assert work.queued_ns is not None
    assert busy > 0 and transfer > 0 and throttle == 0
    assert work.queued_ns <= work.start_ns < work.end_ns <= time.monotonic_ns()
    # What lies between the two jobs is the host's time, not the accelerator's.
    assert busy + wait + transfer <= work.end_ns - work.queued_ns


def test_another_client_s_kernel_is_waited_for(accelerator: Running, grey: Image) -> None:
    """The host's small job comes while a large one runs: it starts after that, and its wait says so."""
    large = np.tile(grey, (3, 3))
    neighbour, host = accelerator.client("neighbour"), accelerator.client("host")
    page = StatusFile(accelerator.status_page)

    def under_way() -> bool:
        status = page.read()
        return status is not None and any(c.name == "neighbour" and c.busy_ns for c in status.clients)

    host.set_clock(0.1)  # so slow that the large one cannot be over when the small one comes
    works: list[GpuWork] = []
    thread = threading.Thread(target=lambda: works.append(timed(neighbour, large, "despeckle")))
    try:
        thread.start()
        until(under_way)
        mine = timed(host, grey, "despeckle")
        thread.join()
    finally:
        host.set_clock(1.0)
    (theirs,) = works
    _, wait, transfer, _ = told(mine)
    assert mine.queued_ns is not None
    executed_ns = theirs.end_ns - told(theirs)[2]  # its client copies the result while the next one runs
    assert mine.queued_ns < executed_ns <= mine.start_ns  # first in, first out
    assert wait + transfer >= executed_ns - mine.queued_ns
    status = page.read()
    assert status is not None
    assert {c.pid for c in status.clients} == {os.getpid()}
    page.close()


def test_a_clock_held_back_stretches_busy_and_counts_the_gated_time(
    accelerator: Running, grey: Image
) -> None:
    client = accelerator.client("one")
    assert client.set_clock(0.25) == 0.25
    try:
        busy, _, _, throttle = told(timed(client, grey, "despeckle"))
    finally:
        client.set_clock(1.0)
    ran = busy - throttle
    assert throttle >= 2.9 * ran  # it idles three times as long as it ran; a sleep never ends early
    assert told(timed(client, grey, "despeckle"))[3] == 0


def test_a_clock_is_free_again_when_who_held_it_back_is_gone(accelerator: Running, grey: Image) -> None:
    holder, client = accelerator.client("holder"), accelerator.client("one")
    holder.set_clock(0.25)
    assert told(timed(client, grey, "despeckle"))[3] > 0
    accelerator.client("bystander").close()
    assert told(timed(client, grey, "despeckle"))[3] > 0
    holder.close()
    until(lambda: told(timed(client, grey, "despeckle"))[3] == 0)


def test_a_clock_whose_answer_came_too_late_is_free_again(accelerator: Running, grey: Image) -> None:
    holder, client = accelerator.client("holder", timeout=0.2), accelerator.client("one")
    holder.set_clock(0.25)
    os.kill(accelerator.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(AcceleratorAway):
            holder.set_clock(0.5)
    finally:
        os.kill(accelerator.process.pid, signal.SIGCONT)
    until(lambda: told(timed(client, grey, "despeckle"))[3] == 0)


def test_no_clock_is_slower_than_the_slowest(accelerator: Running) -> None:
    client = accelerator.client("one")
    assert client.set_clock(0.0) > 0
    assert client.set_clock(7.0) == 1.0


def test_bad_jobs_are_refused_and_the_next_one_is_served(accelerator: Running, grey: Image) -> None:
    client = accelerator.client("one")
    with pytest.raises(KernelFailed, match=r"no kernel 'sharpen'; there are despeckle, segment"):
        client.run("sharpen", grey)
    with pytest.raises(ValueError, match="grey images"):
        client.run("despeckle", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="pixels"):
        client.run("despeckle", np.zeros((3000, 3000), np.uint8))
    assert answers(client)


def test_a_stage_without_a_finished_job_has_no_work(accelerator: Running, grey: Image) -> None:
    client = accelerator.client("one")
    token = client.begin()
    with pytest.raises(KernelFailed):
        client.run("sharpen", grey)
    client.end(token)
    client.end(token)
    assert client.collect() == []


def test_nvml_mode_tells_only_what_event_pairs_tell(tmp_path: Path, grey: Image) -> None:
    running = Running(tmp_path, "nvml")
    try:
        work = timed(running.client("one"), grey, "despeckle", "segment")
        assert work.end_ns > work.start_ns
        withheld = (work.queued_ns, work.busy_ns, work.wait_ns, work.transfer_ns, work.throttle_ns)
        assert {*withheld, work.runqueue_ns} == {None}
        status = StatusFile(running.status_page).read()
        assert status is not None and status.mode == "nvml"
        assert (status.runqueue_ns, status.transfer_ns, status.queue_length) == (None, None, None)
    finally:
        children.stop(running.process)


def test_a_stuck_accelerator_does_not_hold_its_client(fragile: Running, grey: Image) -> None:
    client = fragile.client("one", timeout=0.1)
    assert answers(client)
    fragile.process.send_signal(signal.SIGSTOP)
    with pytest.raises(AcceleratorAway, match="no answer in time"):
        client.run("despeckle", grey)
    fragile.process.send_signal(signal.SIGCONT)
    until(lambda: answers(client))


def test_a_killed_accelerator_is_away_at_once_and_back_after_a_restart(fragile: Running, grey: Image) -> None:
    client = fragile.client("one")
    assert answers(client)
    fragile.process.kill()
    fragile.process.wait()
    for _ in range(20):
        with pytest.raises(AcceleratorAway):
            client.run("despeckle", grey)
    fragile.start()
    until(lambda: answers(client))


def test_it_ends_when_its_parent_is_gone(fragile: Running) -> None:
    assert fragile.process.stdin is not None
    fragile.process.stdin.close()
    assert fragile.process.wait(20) == 0
