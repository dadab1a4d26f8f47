"""The contract every backend keeps, on real servers behind a real Collector."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from contract import StoreContract, Stores, base, service
from stacks import Stack

from framescope_ui.backends.access import Access
from framescope_ui.backends.jaeger import JaegerStore
from framescope_ui.backends.prometheus import PrometheusStore
from framescope_ui.backends.tempo import TempoStore

__all__ = ["base", "service"]
pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


class TestPrometheusAndTempo(StoreContract):
    @pytest.fixture
    async def stores(self, prometheus_tempo: Stack) -> AsyncIterator[Stores]:
        stack = prometheus_tempo
        traces = TempoStore(Access(stack.traces_url))
        metrics = PrometheusStore(Access(stack.metrics_url))
        yield Stores(traces, metrics, stack.send, stop=stack.stop, start=stack.start)
        await traces.aclose()
        await metrics.aclose()


class TestVictoriaMetricsAndJaeger(StoreContract):
    @pytest.fixture
    async def stores(self, victoria_jaeger: Stack) -> AsyncIterator[Stores]:
        stack = victoria_jaeger
        traces = JaegerStore(Access(stack.traces_url))
        metrics = PrometheusStore(Access(stack.metrics_url))
        yield Stores(traces, metrics, stack.send, stop=stack.stop, start=stack.start)
        await traces.aclose()
        await metrics.aclose()
