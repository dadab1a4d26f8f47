"""The two stacks under test: one Collector each, configured by the project's own files."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from programs import ROOT, Program, free_ports, until

from framescope import signals

HOST = "127.0.0.1"
_SECOND = 1_000_000_000
_READABLE_WITHIN = 60.0
_MOST = 3000


class Collector(Program):
    """A real Collector on the project's own configuration."""

    def __init__(
        self,
        folder: Path,
        metrics_in: str,
        traces_in: str,
        layers: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        ports: Sequence[int] = (),
    ) -> None:
        """``metrics_in`` and ``traces_in`` are where it sends. ``layers`` are files laid over the first."""
        grpc, http, health, telemetry = ports or free_ports(4)
        self.otlp_grpc, self.otlp_http = f"{HOST}:{grpc}", f"http://{HOST}:{http}"
        self.telemetry_url = f"http://{HOST}:{telemetry}/metrics"
        folder.mkdir(parents=True, exist_ok=True)
        files = [str(ROOT / name) for name in ("otel-collector-config.yaml", *layers)]
        super().__init__(
            "otelcol",
            [part for file in files for part in ("--config", file)],
            folder,
            f"http://{HOST}:{health}/",
            {
                "COLLECTOR_HOST": HOST,
                "COLLECTOR_OTLP_GRPC_PORT": str(grpc),
                "COLLECTOR_OTLP_HTTP_PORT": str(http),
                "COLLECTOR_HEALTH_PORT": str(health),
                "COLLECTOR_TELEMETRY_PORT": str(telemetry),
                "COLLECTOR_QUEUE_DIR": str(folder / "queue"),
                "COLLECTOR_METRICS_ENDPOINT": metrics_in,
                "COLLECTOR_TRACES_ENDPOINT": traces_in,
                **(environment or {}),
            },
        )

    def push(self, spans: Sequence[ReadableSpan] = (), metrics: MetricsData | None = None) -> None:
        """Send over HTTP; returns when it is accepted."""
        if spans:
            span_exporter: SpanExporter = OTLPSpanExporter(f"{self.otlp_http}/v1/traces")
            assert span_exporter.export(spans) is SpanExportResult.SUCCESS
            span_exporter.shutdown()
        if metrics:
            metric_exporter: MetricExporter = OTLPMetricExporter(f"{self.otlp_http}/v1/metrics")
            assert metric_exporter.export(metrics) is MetricExportResult.SUCCESS
            metric_exporter.shutdown()


class Stack:
    """A Collector with a metric server and a trace server behind it."""

    name: str
    programs: tuple[str, ...]
    traces_backend: str
    metrics: Program
    traces: Program
    metrics_url: str
    traces_url: str

    def __init__(
        self, folder: Path, layers: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        """Nothing runs yet. ``layers`` and ``environment`` are the Collector's."""
        self.folder = folder
        ports = free_ports(4)
        self.metrics_in, self.traces_in = self._servers(f"{HOST}:{ports[3]}")
        self.collector = Collector(
            self._folder("collector"), self.metrics_in, self.traces_in, layers, environment, ports
        )

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @abstractmethod
    def _servers(self, telemetry: str) -> tuple[str, str]:
        """Make ``metrics`` and ``traces``; where OTLP goes for each. ``telemetry`` is to be scraped."""

    @property
    def read_from(self) -> dict[str, str]:
        """The app's settings, as environment variables."""
        return {
            "FRAMESCOPE_TRACES_BACKEND": self.traces_backend,
            "FRAMESCOPE_TRACES_URL": self.traces_url,
            "FRAMESCOPE_METRICS_URL": self.metrics_url,
        }

    # -- running ------------------------------------------------------------------------------------------

    def start_all(self) -> None:
        """Servers and Collector, ready."""
        self.start()
        self.collector.start()

    def start(self) -> None:
        """The two servers, ready, with what they held before."""
        for program in (self.metrics, self.traces):
            program.launch()
        for program in (self.metrics, self.traces):
            program.wait_ready()

    def stop(self) -> None:
        """Both servers end as an operator would end them; the Collector stays."""
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Program.stop, (self.metrics, self.traces)))

    def kill_all(self) -> None:
        """The end."""
        for program in (self.collector, self.metrics, self.traces):
            program.kill()

    # -- sending ------------------------------------------------------------------------------------------

    def send(self, spans: Sequence[ReadableSpan] = (), metrics: MetricsData | None = None) -> None:
        """Push to the Collector; returns when the servers answer with all of it."""
        self.collector.push(spans, metrics)
        with httpx.Client(timeout=30, trust_env=False) as http:
            if spans:
                wanted = {span_id(span) for span in spans}
                until(lambda: wanted <= self.span_ids(http, spans), "the spans", _READABLE_WITHIN, 0.1)
            if metrics:
                self._until_points(http, metrics)

    @abstractmethod
    def span_ids(self, http: httpx.Client, spans: Sequence[ReadableSpan]) -> set[str]:
        """Ids of the spans that a search finds by now, of those traces at least."""

    @abstractmethod
    def attributes(
        self, http: httpx.Client, service: str, name: str, keys: Sequence[str], start: float, end: float
    ) -> list[dict[str, str]]:
        """Some attributes of every span of that name that began in ``[start, end)`` (unix s), as texts.

        The service names of these tests need no escaping. At most ``_MOST`` spans.
        """

    def _until_points(self, http: httpx.Client, metrics: MetricsData) -> None:
        for group in metrics.resource_metrics:
            who = {
                key.replace(".", "_"): str(group.resource.attributes[key])
                for key in (signals.SERVICE_NAME, signals.SERVICE_INSTANCE_ID)
            }
            wanted = {
                (metric.name.replace(".", "_"), point.time_unix_nano // 1_000_000)
                for scope in group.scope_metrics
                for metric in scope.metrics
                for point in metric.data.data_points
            }
            until(partial(self._stored, http, who, wanted), "the points", _READABLE_WITHIN, 0.1)

    def _stored(self, http: httpx.Client, who: Mapping[str, str], wanted: set[tuple[str, int]]) -> bool:
        """Whether this emitter has all these points: (beginning of a translated name, unix ms)."""
        end = max(at for _, at in wanted) / 1000 + 1
        seconds = int(end - min(at for _, at in wanted) / 1000) + 2
        # VictoriaMetrics remembers for up to 10 s that a selector had no series: each try is another one.
        selector = ", ".join([f'{key}="{value}"' for key, value in who.items()] + [f'asked!="{uuid4()}"'])
        times: dict[str, set[int]] = defaultdict(set)
        for series in self.points(http, f"{{{selector}}}", end, seconds):
            times[series["metric"]["__name__"]] |= {round(float(at) * 1000) for at, _ in series["values"]}
        return all(
            any(at in found for called, found in times.items() if called.startswith(name))
            for name, at in wanted
        )

    def points(self, http: httpx.Client, selector: str, end: float, seconds: int) -> list[dict[str, Any]]:
        """Raw series of a selector over the seconds before ``end`` (unix), as the server keeps them."""
        answer = http.get(
            f"{self.metrics_url}/api/v1/query",
            params={"query": f"{selector}[{seconds}s]", "time": f"{end:.3f}"},
        )
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
        return found


class PrometheusTempo(Stack):
    """Stack (a)."""

    name = "Prometheus and Tempo"
    programs = ("otelcol", "prometheus", "tempo")
    traces_backend = "tempo"

    def _servers(self, telemetry: str) -> tuple[str, str]:
        metrics_port, http, grpc, otlp = free_ports(4)
        self.metrics_url, self.traces_url = f"http://{HOST}:{metrics_port}", f"http://{HOST}:{http}"
        self.metrics = Program(
            "prometheus",
            [
                f"--config.file={self._prometheus_file(telemetry, f'{HOST}:{metrics_port}')}",
                f"--storage.tsdb.path={self._folder('prometheus')}/data",
                f"--web.listen-address={HOST}:{metrics_port}",
                *(ROOT / "deploy/prometheus/flags").read_text().split(),
            ],
            self._folder("prometheus"),
            f"{self.metrics_url}/-/ready",
        )
        self.traces = Program(
            "tempo",
            [f"-config.file={ROOT}/deploy/tempo/tempo.yaml", "-config.expand-env=true", "-target=all"],
            self._folder("tempo"),
            f"{self.traces_url}/ready",
            {
                "TEMPO_LISTEN": HOST,
                "TEMPO_HTTP_PORT": str(http),
                "TEMPO_GRPC_PORT": str(grpc),
                "TEMPO_OTLP": f"{HOST}:{otlp}",
                "TEMPO_DATA": str(self._folder("tempo") / "data"),
            },
        )
        return f"{self.metrics_url}/api/v1/otlp", f"http://{HOST}:{otlp}"

    def _prometheus_file(self, telemetry: str, own: str) -> Path:
        text = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
        for address, here in (("otel-collector:8888", telemetry), ("localhost:9090", own)):
            assert address in text
            text = text.replace(address, here)
        file = self._folder("prometheus") / "prometheus.yml"
        file.write_text(text)
        return file

    def span_ids(self, http: httpx.Client, spans: Sequence[ReadableSpan]) -> set[str]:
        found: set[str] = set()
        for service, start, end in _ranges(spans):
            answer = http.get(
                f"{self.traces_url}/api/search",
                params={
                    "q": f'{{ resource.service.name = "{service}" }}',
                    "start": start // _SECOND - 1,
                    "end": end // _SECOND + 2,
                    "limit": 5000,
                    "spss": 100,
                },
            )
            for trace in answer.raise_for_status().json().get("traces", []):
                for group in trace.get("spanSets", []):
                    found |= {span["spanID"].rjust(16, "0") for span in group["spans"]}
        return found

    def attributes(
        self, http: httpx.Client, service: str, name: str, keys: Sequence[str], start: float, end: float
    ) -> list[dict[str, str]]:
        select = ", ".join(f"span.{key}" for key in keys)
        answer = http.get(
            f"{self.traces_url}/api/search",
            params={
                "q": f'{{ resource.service.name = "{service}" && name = "{name}" }} | select({select})',
                "start": int(start),
                "end": math.ceil(end),
                "limit": _MOST,
            },
        )
        traces = answer.raise_for_status().json().get("traces", [])
        assert len(traces) < _MOST
        return [
            _texts(span["attributes"])
            for trace in traces
            for group in trace["spanSets"]
            for span in group["spans"]
            if start <= int(span["startTimeUnixNano"]) / _SECOND < end
        ]


class VictoriaJaeger(Stack):
    """Stack (b)."""

    name = "VictoriaMetrics and Jaeger"
    programs = ("otelcol", "victoria-metrics", "jaeger")
    traces_backend = "jaeger"

    def _servers(self, telemetry: str) -> tuple[str, str]:
        metrics_port, query, query_grpc, otlp, otlp_http, health, own = free_ports(7)
        self.metrics_url, self.traces_url = f"http://{HOST}:{metrics_port}", f"http://{HOST}:{query}"
        self.metrics = Program(
            "victoria-metrics",
            [
                f"-httpListenAddr={HOST}:{metrics_port}",
                f"-storageDataPath={self._folder('victoria-metrics')}/data",
                *(ROOT / "deploy/victoria-metrics/flags").read_text().split(),
            ],
            self._folder("victoria-metrics"),
            f"{self.metrics_url}/health",
        )
        self.traces = Program(
            "jaeger",
            ["--config", str(ROOT / "deploy/jaeger/jaeger.yaml")],
            self._folder("jaeger"),
            f"http://{HOST}:{health}/status",
            {
                "JAEGER_HOST": HOST,
                "JAEGER_OTLP_GRPC_PORT": str(otlp),
                "JAEGER_OTLP_HTTP_PORT": str(otlp_http),
                "JAEGER_QUERY_PORT": str(query),
                "JAEGER_QUERY_GRPC_PORT": str(query_grpc),
                "JAEGER_HEALTH_PORT": str(health),
                "JAEGER_METRICS_PORT": str(own),
                "JAEGER_DATA": str(self._folder("jaeger") / "data"),
            },
        )
        return f"{self.metrics_url}/opentelemetry", f"http://{HOST}:{otlp}"

    def span_ids(self, http: httpx.Client, spans: Sequence[ReadableSpan]) -> set[str]:
        found: set[str] = set()
        for one in {trace_id(span) for span in spans}:
            answer = http.get(f"{self.traces_url}/api/v3/traces/{one}")
            if answer.status_code == 404:
                continue
            for group in answer.raise_for_status().json()["result"]["resourceSpans"]:
                for scope in group["scopeSpans"]:
                    found |= {span["spanId"].lower() for span in scope["spans"]}
        return found

    def attributes(
        self, http: httpx.Client, service: str, name: str, keys: Sequence[str], start: float, end: float
    ) -> list[dict[str, str]]:
        answer = http.get(
            f"{self.traces_url}/api/v3/traces",
            params={
                "query.service_name": service,
                "query.operation_name": name,
                "query.start_time_min": datetime.fromtimestamp(start, UTC).isoformat(),
                "query.start_time_max": datetime.fromtimestamp(end, UTC).isoformat(),
                "query.search_depth": _MOST,
            },
        )
        if answer.status_code == 404:
            return []
        spans = [
            span
            for group in answer.raise_for_status().json()["result"].get("resourceSpans", [])
            for scope in group["scopeSpans"]
            for span in scope["spans"]
            if span["name"] == name and start <= int(span["startTimeUnixNano"]) / _SECOND < end
        ]
        assert len(spans) < _MOST
        return [_texts(span["attributes"]) for span in spans]


STACKS: tuple[type[Stack], ...] = (PrometheusTempo, VictoriaJaeger)


def _texts(attributes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Attributes as OTLP JSON writes them, each value (not a list) as text."""
    return {one["key"]: str(next(iter(one["value"].values()), "")) for one in attributes}


def _ranges(spans: Iterable[ReadableSpan]) -> list[tuple[str, int, int]]:
    """Each service among the spans, with its earliest start and latest end (unix ns)."""
    ranges: dict[str, tuple[int, int]] = {}
    for span in spans:
        service = str(span.resource.attributes[signals.SERVICE_NAME])
        start, end = span.start_time or 0, span.end_time or 0
        before = ranges.get(service, (start, end))
        ranges[service] = (min(start, before[0]), max(end, before[1]))
    return [(service, start, end) for service, (start, end) in ranges.items()]


def span_id(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context
    return f"{context.span_id:016x}"


def trace_id(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context
    return f"{context.trace_id:032x}"
