"""The embedded store keeps the contract, over both of its receivers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from contract import StoreContract, Stores, base, service
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from store_process import StoreProcess

from framescope_ui.backends.embedded import EmbeddedStore

__all__ = ["base", "service"]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    data: Path = tmp_path_factory.mktemp("store")
    store = StoreProcess(data).start()
    yield store
    store.stop()


class _Embedded(StoreContract):
    over = ""

    @pytest.fixture
    async def stores(self, process: StoreProcess) -> AsyncIterator[Stores]:
        backend = EmbeddedStore(process.data_dir)

        def send(spans: Sequence[ReadableSpan] = (), metrics: MetricsData | None = None) -> None:
            if self.over == "grpc":
                at = f"127.0.0.1:{process.grpc_port}"
                span_exporter, metric_exporter = GrpcSpans(at, insecure=True), GrpcMetrics(at, insecure=True)
            else:
                span_exporter = HttpSpans(f"{process.url}/v1/traces", compression=Compression.Gzip)
                metric_exporter = HttpMetrics(f"{process.url}/v1/metrics")
            try:
                if spans:
                    assert span_exporter.export(spans) is SpanExportResult.SUCCESS
                if metrics:
                    assert metric_exporter.export(metrics) is MetricExportResult.SUCCESS
            finally:
                span_exporter.shutdown()
                metric_exporter.shutdown()

        yield Stores(backend, backend, send, stop=process.kill, start=lambda: process.start() and None)
        await backend.aclose()


class TestEmbeddedStoreOverHttp(_Embedded):
    over = "http"


class TestEmbeddedStoreOverGrpc(_Embedded):
    over = "grpc"
