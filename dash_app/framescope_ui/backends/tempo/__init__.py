"""Kept frames, ``frames`` records and marks from Grafana Tempo."""

from .store import TempoStore

__all__ = ["TempoStore"]
