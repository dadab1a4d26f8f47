"""The agent as a thread of the host, where a second process is unwanted or cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from agency import agent, batch, record

from framescope import pipeline as front
from framescope import signals as sig
from framescope.agent import identity
from framescope.agent.on_thread import ThreadLink
from framescope.handover import pack


def test_its_thread_is_there_before_the_first_frame() -> None:
    """Python 3.12 and newer start no thread while the interpreter ends: when a short host's frames come."""
    link = front._thread_link()
    assert isinstance(link, ThreadLink)
    assert link._thread is not None and link._thread.is_alive()
    link.close(30)


def test_an_agent_that_cannot_be_made_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def make() -> None:
        raise ValueError("OTLP protocol 'carrier pigeon' is not supported")

    link = ThreadLink(make)  # type: ignore[arg-type]
    link.revive()
    link.close(30)
    assert [one.message for one in caplog.records] == ["the agent's thread ended by a fault"]
    with pytest.raises(ConnectionError):
        link.send(b"", 0)
    assert not link.revive()  # once is enough


def test_a_batch_that_makes_no_sense_does_not_end_it() -> None:
    made, sent, _ = agent()
    link = ThreadLink(lambda: made)
    link.revive()
    link.send(pack(replace(batch(), frames=[(1, 2)])), 1)
    link.send(pack(batch(record(0))), 1)
    link.close(30)
    assert len(sent.records()) == 1


def test_who_emits_is_told_also_while_the_interpreter_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(attributes: object) -> None:
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(identity.Resource, "create", create)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment=bench")
    told = identity.resource_for(batch(record(0))).attributes
    assert (told["deployment"], told[sig.SERVICE_NAME], told[sig.SERVICE_INSTANCE_ID]) == (
        "bench",
        "p",
        "instance",
    )
