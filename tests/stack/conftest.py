"""Both stacks, started once for all tests that ask for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from programs import need
from stacks import PrometheusTempo, Stack, VictoriaJaeger


def _running(kind: type[Stack], factory: pytest.TempPathFactory) -> Iterator[Stack]:
    need(*kind.programs)
    stack = kind(factory.mktemp(kind.__name__.lower()))
    try:
        stack.start_all()
        yield stack
    finally:
        stack.kill_all()


@pytest.fixture(scope="session")
def prometheus_tempo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    yield from _running(PrometheusTempo, tmp_path_factory)


@pytest.fixture(scope="session")
def victoria_jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    yield from _running(VictoriaJaeger, tmp_path_factory)
