"""More of the host process, through OpenTelemetry's own system-metrics instrumentation. Opt-in.

That instrumentation reads the process it runs in; here it is pointed at another, by the one attribute that
holds the process (``_proc``, in all versions so far; where it is missing the probe says so). Only its
process metrics are taken: its system ones are a series per core and state, its swap is bytes called pages.
Costs: 8 MB of memory (4 of an agent that holds parts of it already) and 0.9 ms of CPU time a reading, which
is why nobody has it who did not ask.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import psutil

from framescope import signals as sig

PACKAGE: Final = "opentelemetry.instrumentation.system_metrics"
CONFIG: Final[dict[str, list[str] | None]] = {
    sig.PROCESS_CPU_TIME: ["user", "system"],
    sig.PROCESS_CONTEXT_SWITCHES: ["involuntary", "voluntary"],
    sig.PROCESS_DISK_IO: ["read", "write"],
    sig.PROCESS_MEMORY_VIRTUAL: None,
    sig.PROCESS_FILE_DESCRIPTORS: None,
    sig.PROCESS_THREADS: None,
}
CONVENTIONAL: Final = {
    (sig.PROCESS_CPU_TIME, "type"): sig.CPU_MODE,
    (sig.PROCESS_CONTEXT_SWITCHES, "type"): sig.PROCESS_CONTEXT_SWITCH_TYPE,
    (sig.PROCESS_DISK_IO, "direction"): sig.DISK_IO_DIRECTION,
}
"""Attributes it still gives by names of its own, and what the semantic conventions call them."""


class ProcessMetric(NamedTuple):
    """One value as the instrumentation gave it: its name, attributes, and the value in its unit."""

    name: str
    attributes: tuple[tuple[str, str], ...]
    value: float


def is_there() -> bool:
    """Whether the instrumentation is installed: ``pip install framescope[system]``."""
    try:
        return importlib.util.find_spec(PACKAGE) is not None
    except ImportError:  # not even its parent
        return False


class ProcessMetricsProbe:
    """Reads process ``pid``. The instrumentation is imported with the first reading, which raises
    ``ImportError`` without it and ``AttributeError`` where a version cannot be pointed at a process."""

    name = "process"

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._reader: Any = None
        self._provider: Any = None

    def read(self, now_ns: int) -> Sequence[ProcessMetric] | None:
        """All values now; ``None`` once the process is gone."""
        if not psutil.pid_exists(self._pid):
            return None
        if self._reader is None:
            self._start()
        data = self._reader.get_metrics_data()
        if data is None:
            return None
        return [
            ProcessMetric(
                metric.name,
                tuple(
                    (CONVENTIONAL.get((metric.name, name), name), str(value))
                    for name, value in (point.attributes or {}).items()
                ),
                float(point.value),
            )
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]

    def close(self) -> None:
        provider, self._provider, self._reader = self._provider, None, None
        if provider is not None:
            provider.shutdown()

    def _start(self) -> None:
        from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        class OfAnother(SystemMetricsInstrumentor):
            """A class has one instance: the application's own stays what it is."""

            _instance = None

        instrumentor = OfAnother(config=CONFIG)
        if not hasattr(instrumentor, "_proc"):
            raise AttributeError(f"this version of {PACKAGE} cannot be pointed at another process")
        instrumentor._proc = psutil.Process(self._pid)
        reader = InMemoryMetricReader()
        self._provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
        instrumentor.instrument(meter_provider=self._provider, skip_dep_check=True)
        self._reader = reader
