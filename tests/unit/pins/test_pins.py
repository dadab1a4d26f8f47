"""Pinned frames: kept over a restart, bounded, and clear about a file that cannot be used."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from framescope_ui import pins as module
from framescope_ui.pins import LONGEST_NOTE, PinnedFrame, Pins, PinsFull, PinsUnavailable

FRAME = PinnedFrame("a" * 32, "us", "cine", 7, 1000.0, 0.031, "gpu_contention", "11 ms over budget.")


def other(number: int) -> PinnedFrame:
    return replace(FRAME, trace_id=f"{number:032x}", frame_id=number)


async def test_a_pin_its_note_and_its_copy_survive_a_restart(tmp_path: Path) -> None:
    await Pins(tmp_path, clock=lambda: 5.0).put(FRAME, "after the driver update\nsee ticket 12", "{}")
    again = Pins(tmp_path)
    (pin,) = await again.all()
    assert (pin.frame, pin.note, pin.pinned, pin.copied) == (
        FRAME, "after the driver update\nsee ticket 12", 5.0, True,
    )  # fmt: skip
    assert await again.copy(FRAME.trace_id) == "{}"


async def test_another_note_replaces_the_first_and_leaves_the_copy_and_its_time(tmp_path: Path) -> None:
    clock = iter([5.0, 9.0])
    pins = Pins(tmp_path, clock=lambda: next(clock))
    await pins.put(FRAME, "one", "copy")
    pin = await pins.put(FRAME, "two", None)
    assert (pin.note, pin.pinned, pin.changed, pin.copied) == ("two", 5.0, 9.0, True)
    assert await pins.copy(FRAME.trace_id) == "copy"


async def test_unpinned_is_gone_and_before_anything_was_pinned_nothing_is_written(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "not there yet")
    assert (await pins.all(), await pins.one(FRAME.trace_id), await pins.remove(FRAME.trace_id)) == (
        [], None, False,
    )  # fmt: skip
    assert not (tmp_path / "not there yet").exists()
    await pins.put(FRAME, "", None)
    assert await pins.remove(FRAME.trace_id)
    assert await pins.all() == []


async def test_the_newest_comes_first_and_there_are_only_so_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PINS", 3)
    times = iter(range(100))
    pins = Pins(tmp_path, clock=lambda: float(next(times)))
    for number in (1, 2, 3):
        await pins.put(other(number), "", None)
    with pytest.raises(PinsFull, match="3 frames are pinned"):
        await pins.put(other(4), "", None)
    await pins.put(other(2), "a note is still taken", None)
    assert [pin.frame.frame_id for pin in await pins.all()] == [3, 2, 1]


async def test_a_note_and_a_copy_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pins = Pins(tmp_path)
    with pytest.raises(ValueError, match="at most 4000 characters, this one has 4001"):
        await pins.put(FRAME, "x" * (LONGEST_NOTE + 1), None)
    monkeypatch.setattr(module, "MOST_COPY_BYTES", 10)
    pin = await pins.put(FRAME, "x", "a copy that is too large to keep")
    assert not pin.copied


async def test_two_apps_on_one_directory_see_each_others_pins(tmp_path: Path) -> None:
    first, second = Pins(tmp_path), Pins(tmp_path)
    await asyncio.gather(*((first, second)[n % 2].put(other(n), "", None) for n in range(12)))
    assert len(await first.all()) == len(await second.all()) == 12


async def test_a_file_that_cannot_be_used_is_said_with_its_place(tmp_path: Path) -> None:
    (tmp_path / module.FILE_NAME).write_text("this is no database, it is a text of some length" * 40)
    with pytest.raises(PinsUnavailable, match=r"pins\.sqlite3"):
        await Pins(tmp_path).all()
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(PinsUnavailable, match="data_dir"):
        await Pins(blocked / "below").put(FRAME, "", None)


async def test_a_copy_that_was_damaged_is_as_good_as_none(tmp_path: Path) -> None:
    pins = Pins(tmp_path)
    await pins.put(FRAME, "", "text")
    with sqlite3.connect(tmp_path / module.FILE_NAME) as connection:
        connection.execute("update pins set copy = x'00ff'")
    assert await pins.copy(FRAME.trace_id) is None
