"""OpenTelemetry names as Prometheus and VictoriaMetrics store them, and back.

A server stores ``frame.latency`` in one of four spellings, by its configuration: with ``.`` kept or turned
into ``_``, and with or without the unit and type at the end. Prometheus calls it
``otlp.translation_strategy``; VictoriaMetrics has ``-opentelemetry.usePrometheusNaming`` and
``-opentelemetry.convertMetricNamesToPrometheus``, which leaves labels as they were. The rules are those of
the OpenTelemetry specification's "Prometheus compatibility" as github.com/prometheus/otlptranslator 1.0 and
VictoriaMetrics 1.150 apply them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from framescope import signals

UNIT_WORDS: Final[Mapping[str, str]] = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "Cel": "celsius",
    "Hz": "hertz",
    "rpm": "rpm",
    "%": "percent",
}
"""What a UCUM unit is called at the end of a name. ``1`` and ``{things}`` have no word."""

JOB: Final = "job"
"""``service.name``, after ``service.namespace`` and a slash where there is one."""
INSTANCE: Final = "instance"
"""``service.instance.id``."""

_IDENTITY: Final = (signals.SERVICE_NAME, signals.SERVICE_INSTANCE_ID, signals.HOST_NAME)
_ATTRIBUTES: Final = frozenset(
    {attribute for metric in signals.METRICS.values() for attribute in metric.attributes} | {*_IDENTITY}
)
_RESOURCE: Final = re.compile(
    r"(service|host|process|os|telemetry|container|k8s|cloud|deployment|faas|otel_scope|otel\.scope|scope)[._]"
)
"""Beginnings of names that tell who emitted, not what was measured."""
_NO_LETTER: Final = re.compile(r"[^A-Za-z0-9:]+")


def metric_names(metric: str, instrument: str | None = None) -> tuple[str, ...]:
    """Every name the metric may be stored under. One that ``signals`` does not know has no unit here.

    ``instrument`` is only for those (``counter``, say).
    """
    known = signals.METRICS.get(metric)
    unit = known.unit if known is not None else ""
    kind = known.instrument if known is not None else instrument
    return tuple(
        dict.fromkeys(
            name
            for name in (
                _escaped_with_suffixes(metric, unit, kind),
                _escaped(metric),
                _kept_with_suffixes(metric, unit, kind),
                metric,
            )
            if name
        )
    )


def histogram_names(metric: str) -> tuple[str, ...]:
    """Every name the metric's native histogram, classic buckets and sum may be stored under."""
    return tuple(f"{name}{part}" for name in metric_names(metric, "histogram") for part in ("", BUCKET, SUM))


BUCKET: Final = "_bucket"
SUM: Final = "_sum"
"""What a classic histogram's series end with. Its count is its last bucket."""


def _escaped_with_suffixes(name: str, unit: str, instrument: str | None) -> str:
    tokens = [token for token in _NO_LETTER.split(name) if token]
    word = UNIT_WORDS.get(unit)
    if word is not None and word not in tokens:
        tokens.append(word)
    if ending := _ending(unit, instrument):
        tokens = [*(token for token in tokens if token != ending), ending]
    return _not_a_digit_first("_".join(tokens))


def _escaped(name: str) -> str:
    return _not_a_digit_first("_".join(part for part in re.split(r"[^A-Za-z0-9:_]+", name) if part))


def _kept_with_suffixes(name: str, unit: str, instrument: str | None) -> str:
    ending = _ending(unit, instrument)
    if ending and name.endswith(ending) and len(name) > len(ending) + 1:
        name = name[: -len(ending) - 1]
    word = UNIT_WORDS.get(unit)
    if word is not None and not name.endswith(word):
        name = f"{name}_{word}"
    return f"{name}_{ending}" if ending else name


def _ending(unit: str, instrument: str | None) -> str:
    if instrument == "counter":
        return "total"
    return "ratio" if instrument == "gauge" and unit == "1" else ""


def _not_a_digit_first(name: str) -> str:
    return f"_{name}" if name[:1].isdigit() else name


def escaped_label(attribute: str) -> str:
    """The attribute's name where ``.`` and everything else unusual became ``_``."""
    label = re.sub(r"[^A-Za-z0-9_]", "_", attribute)
    return f"key_{label}" if label[:1].isdigit() else label


_BY_ESCAPED_LABEL: Final = {escaped_label(attribute): attribute for attribute in sorted(_ATTRIBUTES)}


def label_of(attribute: str, labels: Collection[str], escaped: bool) -> str | None:
    """The label that holds an attribute in one of both spellings; None where there is no such label.

    ``service.name`` and ``service.instance.id`` are in ``job`` and ``instance`` where the server does not
    make labels of resource attributes.
    """
    label = escaped_label(attribute) if escaped else attribute
    if label in labels and not label.startswith("__"):
        return label
    stand_in = {signals.SERVICE_NAME: JOB, signals.SERVICE_INSTANCE_ID: INSTANCE}.get(attribute)
    return stand_in if stand_in in labels else None


def service_of(job: str) -> str:
    """The service's name in a job: ``hospital/scanner`` is ``scanner``."""
    return job.rpartition("/")[2]


def attributes_of(metric: str, labels: Mapping[str, str]) -> dict[str, str]:
    """A point's attributes from its labels, with the service, its instance and host.

    Left out: the metric's name, a bucket's bound, the instrumentation scope, and what else was promoted
    from the resource.
    """
    known = signals.METRICS.get(metric)
    own = {*_IDENTITY, *(known.attributes if known is not None else ())}
    found: dict[str, str] = {}
    for label, value in labels.items():
        attribute = _BY_ESCAPED_LABEL.get(label, label)
        if attribute in own:
            found[attribute] = value
        elif label.startswith("__") or label in _NO_ATTRIBUTES or _RESOURCE.match(label):
            continue
        else:
            found[attribute] = value
    if signals.SERVICE_NAME not in found and JOB in labels:
        found[signals.SERVICE_NAME] = service_of(labels[JOB])
    if signals.SERVICE_INSTANCE_ID not in found and INSTANCE in labels:
        found[signals.SERVICE_INSTANCE_ID] = labels[INSTANCE]
    return found


_NO_ATTRIBUTES: Final = frozenset({"le", "vmrange", JOB, INSTANCE})
