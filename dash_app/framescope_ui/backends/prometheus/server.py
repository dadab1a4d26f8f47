"""What a server is and what it lacks, read from what it says of itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from framescope import signals
from framescope_ui.backends.protocols import BackendRefused, Shortcoming

from .names import JOB, escaped_label
from .query_api import QueryApi

VICTORIA_METRICS: Final = "VictoriaMetrics"
PROMETHEUS: Final = "Prometheus"
_SHORT_VERSION: Final = re.compile(r'vm_app_version\{[^}]*\bshort_version="v?([^"]+)"')


@dataclass(frozen=True, slots=True)
class Product:
    """Which program answers the API, and its version (None: it does not say)."""

    name: str
    version: str | None


async def speaks_metricsql(api: QueryApi) -> bool:
    """Whether it is VictoriaMetrics: it alone knows ``now()``, through every proxy and path."""
    try:
        await api.json("POST", "/api/v1/query", (("query", "now()"),))
    except BackendRefused:
        return False
    return True


async def product(api: QueryApi, metricsql: bool) -> Product:
    """Ask for it. VictoriaMetrics's build information is Prometheus's, to please Grafana."""
    if metricsql:
        page = await api.text("/metrics")
        found = _SHORT_VERSION.search(page) if page is not None else None
        return Product(VICTORIA_METRICS, found.group(1) if found is not None else None)
    build = await api.maybe("/api/v1/status/buildinfo")
    said = build if isinstance(build, dict) else {}
    name = said.get("application")
    if not name:
        name = "Thanos" if await api.maybe("/api/v1/stores") is not None else PROMETHEUS
    version = said.get("version")
    return Product(str(name), str(version) if version else None)


async def shortcomings(api: QueryApi, what: Product, labels: Collection[str]) -> list[Shortcoming]:
    """What it cannot answer as it is set up. ``labels`` are those of framescope's series, empty without."""
    found = of_labels(labels)
    if what.name == VICTORIA_METRICS:
        return [*found, *OF_VICTORIA_METRICS]
    if what.name == PROMETHEUS:
        flags = await api.maybe("/api/v1/status/flags")
        config = await api.maybe("/api/v1/status/config")
        if isinstance(flags, dict):
            found += of_flags(flags)
        if isinstance(config, dict):
            found += of_config(str(config.get("yaml", "")), promotion_seen=bool(labels))
    return found


_NO_SERVICE: Final = "service names as they were sent"
_PROMOTE: Final = "list service.name, service.instance.id and host.name in otlp.promote_resource_attributes"

OF_VICTORIA_METRICS: Final = (
    Shortcoming("exemplars", "VictoriaMetrics keeps none", inherent=True),
    Shortcoming(
        "the first value of a counter, exactly",
        "VictoriaMetrics keeps no start times; as in its increase(), a first value counts from 0 unless it "
        "is more than ten times the growth to the next one, plus ten",
        "framescope's agent sends a zero first; let other emitters do so",
        inherent=True,
    ),
)


def of_labels(labels: Collection[str]) -> list[Shortcoming]:
    """What the labels of framescope's own series lack."""
    if not labels:
        return []
    name, host = (
        any(spelling in labels for spelling in (attribute, escaped_label(attribute)))
        for attribute in (signals.SERVICE_NAME, signals.HOST_NAME)
    )
    found = []
    if not name:
        why = "resource attributes are not made labels" + (
            "; the label job stands in, without its namespace" if JOB in labels else ""
        )
        found.append(Shortcoming(_NO_SERVICE, why, _PROMOTE))
    if not host:
        found.append(Shortcoming("the host of a metric", "host.name is not made a label", _PROMOTE))
    return found


def of_flags(flags: Mapping[str, Any]) -> list[Shortcoming]:
    """What Prometheus's start options lack (``/api/v1/status/flags``)."""
    features = str(flags.get("enable-feature", "")).split(",")
    found = []
    if "exemplar-storage" not in features:
        found.append(
            Shortcoming(
                "exemplars",
                "the exemplar store is off",
                "start Prometheus with --enable-feature=exemplar-storage",
            )
        )
    if "created-timestamp-zero-ingestion" not in features:
        found.append(
            Shortcoming(
                "the first value of a counter whose emitter sends no zero before it",
                "start times are not kept",
                "start Prometheus with --enable-feature=created-timestamp-zero-ingestion",
            )
        )
    return found


def of_config(text: str, promotion_seen: bool) -> list[Shortcoming]:
    """What Prometheus's configuration lacks (``/api/v1/status/config``).

    ``promotion_seen`` says that the labels of stored series have told already what is promoted.
    """
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        return []
    if not isinstance(config, dict):
        return []
    found = []
    storage, otlp = _part(config, "storage"), _part(config, "otlp")
    if str(_part(storage, "tsdb").get("out_of_order_time_window", "0s")) in ("0", "0s"):
        found.append(
            Shortcoming(
                "points and exemplars that arrive late",
                "Prometheus drops, without a word, what is older than its newest point",
                "set storage.tsdb.out_of_order_time_window: 10m",
            )
        )
    promoted = otlp.get("promote_resource_attributes") or []
    if (
        not promotion_seen
        and not otlp.get("promote_all_resource_attributes")
        and signals.SERVICE_NAME not in promoted
    ):
        found.append(
            Shortcoming(_NO_SERVICE, "resource attributes are not made labels; job stands in", _PROMOTE)
        )
    return found


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = config.get(name)
    return part if isinstance(part, dict) else {}
