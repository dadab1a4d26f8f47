"""The engine and the images, made once; under CI what cannot run is a failure, elsewhere a skip."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import images
import pytest
from engine import CannotRun, Engine, building, own_folder, running_engine, secluded
from programs import Missing
from project import COMPOSE, Project, images_named

SAID: list[str] = []
"""What was measured, for the end of the run."""


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """An engine that has every image."""
    with ExitStack() as stack:
        try:
            # A CI machine proves it the same way each time, whatever runs there.
            found = None if os.environ.get("CI") else running_engine()
            found = stack.enter_context(_own_engine() if found is None else _with_true_images(found))
        except (CannotRun, Missing) as reason:
            if os.environ.get("CI"):
                pytest.fail(str(reason))
            pytest.skip(str(reason))
        yield found


@contextmanager
def _with_true_images(engine: Engine) -> Iterator[Engine]:
    engine.compose(COMPOSE, "--profile", "demo", "build")
    SAID.append("the engine that runs here, with the servers' true images")
    yield engine


@contextmanager
def _own_engine() -> Iterator[Engine]:
    """An engine of the test's own: stand-ins of the servers' images, the project's own built for real."""
    began = time.monotonic()
    with own_folder() as folder:
        with building(folder) as builder:
            base = images.base_image()
            images.python_base(builder, base)
            settings = images.pip_settings(folder / "pip.conf")
            for name in images_named():
                if target := images.BUILT.get(name.partition(":")[0]):
                    images.project_image(builder, target, name, base, settings)
                else:
                    images.stand_in(builder, name)
            settings.unlink()
            sizes = builder.run("images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}").splitlines()
            SAID.append(f"images made in {time.monotonic() - began:.0f} s: {', '.join(sizes)}")
        with secluded(folder) as engine:
            SAID.append(f"an engine of its own, Compose {engine.compose_version()}")
            yield engine


@pytest.fixture(scope="module", params=["demo", "jaeger-demo", "embedded-demo"])
def project(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Project]:
    """One profile of the compose file, up and healthy; taken down at the end, and nothing is left."""
    began = time.monotonic()
    with Project(engine, request.param) as running:
        SAID.append(f"{running.profile}: healthy {time.monotonic() - began:.0f} s after `up`")
        yield running
    assert running.leftovers() == []


@pytest.fixture
def say() -> list[str]:
    """Lines for the end of the run."""
    return SAID


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in SAID:
        terminalreporter.write_line(line)
