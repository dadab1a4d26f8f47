"""The compose file started for real: what a user sees, what the containers may, what is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from engine import Engine
from project import COMPOSE, PROFILES, Project

T = TypeVar("T")


def until(project: Project, what: str, ask: Callable[[], T | None], seconds: float = 90.0) -> T:
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}\n{project.logs()}"
        time.sleep(0.5)
    return answer


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_valid(engine: Engine, profile: str) -> None:
    engine.compose(COMPOSE, "--profile", profile, "config", "--quiet")


def test_a_slow_frame_of_the_example_is_shown_with_its_verdict(project: Project, say: list[str]) -> None:
    began = time.monotonic()
    assert project.get("/readyz")[0] == 200

    def pipeline() -> Any:
        known = (project.ask("/api/pipelines") or {}).get("pipelines", [])
        return [one for one in known if one["service"] == one["pipeline"] == "ultrasound"]

    until(project, "the ultrasound pipeline is known", pipeline)

    def slow() -> Any:
        asked = "/api/frames?service=ultrasound&pipeline=ultrasound&outcome=slow"
        return (project.ask(asked) or {}).get("frames")

    newest = until(project, "a slow frame is listed", slow)[0]
    say.append(f"{project.profile}: first slow frame listed {time.monotonic() - began:.0f} s after healthy")
    assert newest["latency_seconds"] > 0.012

    frame = project.ask(f"/api/frames/{newest['trace_id']}")
    assert frame["verdict"]["sentence"]
    assert {stage["name"] for stage in frame["stages"]} >= {"decode", "despeckle", "segment", "overlay"}

    def live() -> Any:
        latest = project.ask("/api/metrics/latest?service=ultrasound&pipeline=ultrasound") or {}
        return latest.get("fps_out") and latest.get("latency_ms") and latest

    until(project, "live numbers", live)


def test_doctor_finds_every_link_in_order(project: Project) -> None:
    asked = {"demo": "app", "jaeger-demo": "app-jaeger", "embedded-demo": "store"}[project.profile]
    assert " 0 fail" in project.execute(asked, "framescope", "doctor")


@pytest.mark.parametrize("path", ["/", "/live", "/frames"])
def test_the_pages_are_served(project: Project, path: str) -> None:
    status, page = project.get(path)
    assert status == 200
    assert "<html" in page


def test_containers_run_with_no_more_than_they_need(project: Project) -> None:
    for container in project.containers():
        name, host = container["Name"], container["HostConfig"]
        assert container["Config"]["User"].split(":")[0] not in ("", "0", "root"), name
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["Memory"] > 0 and host["PidsLimit"] > 0, name
        assert host["NanoCpus"] > 0 or "ultrasound" in name, name
        assert host["RestartPolicy"]["Name"] == "unless-stopped", name
        published = [one for ports in (host["PortBindings"] or {}).values() for one in ports]
        assert {one["HostIp"] for one in published} <= {"127.0.0.1"}, name


def test_the_kernel_agrees(project: Project) -> None:
    if not project.engine.own:
        pytest.skip("the processes of another's engine are not ours to read")
    for container in project.containers():
        status = Path(f"/proc/{container['State']['Pid']}/status").read_text()
        said = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert "0" not in said["Uid"].split() + said["Gid"].split(), container["Name"]
        assert int(said["CapEff"], 16) == int(said["CapBnd"], 16) == 0, container["Name"]
        assert said["NoNewPrivs"] == "1", container["Name"]


def test_nothing_was_started_again(project: Project) -> None:
    assert {one["Name"]: one["RestartCount"] for one in project.containers() if one["RestartCount"]} == {}
