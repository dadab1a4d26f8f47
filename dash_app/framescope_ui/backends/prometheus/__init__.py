"""Metrics from Prometheus and what answers its query API: Mimir, Thanos, VictoriaMetrics."""

from .store import PrometheusStore

__all__ = ["PrometheusStore"]
