"""Kept frames, their records and other people's traces from Jaeger's query API v3."""

from .store import JaegerStore

__all__ = ["JaegerStore"]
