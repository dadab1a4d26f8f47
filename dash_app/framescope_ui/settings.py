"""The app's settings: what it reads from, the store, the page server, the state's thresholds, the demo.

Declared here as tables and read by the emitter's own mechanism (`framescope.config`), so that one file and
one set of rules serve both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from framescope.config import CAUSES, EMITTER, ConfigError, Configuration, Kind, Setting
from framescope_ui.options import AppOptions
from framescope_ui.questions.thresholds import Limits, Thresholds
from framescope_ui.trace_links import TraceLink


def default_data_dir(environ: Mapping[str, str], home: Path) -> Path:
    """Where data lie when nobody says: ``$XDG_DATA_HOME/framescope``, else ``~/.local/share/framescope``.

    A relative ``XDG_DATA_HOME`` is invalid by its specification and passed over.
    """
    given = Path(environ.get("XDG_DATA_HOME", ""))
    return (given if given.is_absolute() else home / ".local" / "share") / "framescope"


def data_dir(environ: Mapping[str, str], home: Path) -> Setting:
    return Setting(
        "data_dir",
        "path",
        default_data_dir(environ, home),
        "where the embedded store keeps its files and its socket, and the app the frames that were pinned",
        env=("FRAMESCOPE_DATA_DIR",),
        flag="--data-dir",
    )


LINKED_TOOLS: Final = {
    "Grafana": "https://grafana.example/d/frames?var-trace={trace_id}&from={start_ms}&to={end_ms}",
    "Tempo": "https://tempo.example/api/v2/traces/{trace_id}",
    "Jaeger": "https://jaeger.example/trace/{trace_id}",
}
"""Tools the Frame page can lead to, each with an example of its template."""

UI: Final[tuple[Setting, ...]] = (
    Setting(
        "ui.host",
        "str",
        "127.0.0.1",
        "address the app listens on",
        env=("FRAMESCOPE_UI_HOST",),
        flag="--host",
    ),
    Setting(
        "ui.port",
        "int",
        8050,
        "port the app listens on",
        env=("FRAMESCOPE_UI_PORT", "DASHBOARD_PORT"),
        flag="--port",
        minimum=0,
        maximum=65535,
    ),
    Setting(
        "ui.interval",
        "duration",
        1.0,
        "time between two pushes to the pages",
        env=("FRAMESCOPE_UI_INTERVAL",),
        flag="--interval",
        unit="s",
        minimum=0.1,
        maximum=60,
    ),
    Setting(
        "ui.history",
        "int",
        300,
        "points of history on the Live page, one a second",
        env=("FRAMESCOPE_UI_HISTORY",),
        flag="--history",
        unit="points",
        minimum=10,
        maximum=3600,
    ),
    Setting(
        "ui.brand_color",
        "color",
        None,
        "accent colour of the pages instead of framescope's own, as light or dark as each theme needs it",
        env=("FRAMESCOPE_UI_BRAND_COLOR",),
    ),
    Setting(
        "ui.logo",
        "path",
        None,
        "picture at the top of the rail instead of framescope's own: SVG, PNG, JPEG or WebP",
        env=("FRAMESCOPE_UI_LOGO",),
    ),
    Setting(
        "ui.base",
        "str",
        None,
        "what the pages' addresses begin with, such as /framescope, behind a proxy that takes it away",
        env=("FRAMESCOPE_UI_BASE",),
    ),
    Setting(
        "ui.brand_name",
        "str",
        "framescope",
        "name shown at the top of the pages",
        env=("FRAMESCOPE_UI_BRAND_NAME",),
    ),
    Setting(
        "ui.theme",
        "str",
        "auto",
        "theme of the pages until the viewer picks one",
        env=("FRAMESCOPE_UI_THEME",),
        choices=("auto", "light", "dark"),
    ),
    Setting(
        "ui.allowed_origins",
        "str",
        None,
        "other origins whose pages may open the websockets and pin frames, separated by commas",
        env=("FRAMESCOPE_UI_ALLOWED_ORIGINS",),
    ),
    *(
        Setting(
            f"links.{tool.lower()}",
            "str",
            None,
            f"a trace's address in {tool}, for a link on the Frame page, such as {example}",
            env=(f"FRAMESCOPE_LINKS_{tool.upper()}",),
        )
        for tool, example in LINKED_TOOLS.items()
    ),
)


def _pair(
    signal: str, kind: Kind, default: Limits | None, unit: str, meaning: str
) -> tuple[Setting, Setting]:
    """The two limits of one signal, from which on it is a WARNING and from which on CRITICAL."""

    def one(level: str, value: float | None) -> Setting:
        key = f"thresholds.{signal}.{level}"
        variable = "FRAMESCOPE_" + key.upper().replace(".", "_")
        return Setting(
            key, kind, value, f"{level.upper()} when {meaning}", env=(variable,), unit=unit, minimum=0
        )

    return (
        one("warning", default.warning if default else None),
        one("critical", default.critical if default else None),
    )


_DEFAULT: Final = Thresholds()
# The shares are of the pipeline's own target, so that a 60 FPS pipeline is healthy at 60. The absolute ones
# are unset, and take the place of the shares where they are set.
THRESHOLDS: Final[tuple[Setting, ...]] = (
    *_pair(
        "fps_share", "float", _DEFAULT.fps_share, "of target", "the rate is below this share of its target"
    ),
    *_pair(
        "latency_share", "float", _DEFAULT.latency_share, "of budget", "p99 is above this share of the budget"
    ),
    *_pair("slow_share", "float", _DEFAULT.slow_share, "of frames", "more frames than this are over budget"),
    *_pair("gpu_utilization", "float", _DEFAULT.gpu_utilization, "of 1", "a GPU is busier than this"),
    *_pair("fps", "float", _DEFAULT.fps, "1/s", "the rate is below this"),
    *_pair("latency", "duration", _DEFAULT.latency, "s", "p99 is above this"),
)


def _backend(signal: str, kinds: tuple[str, ...], port: int) -> tuple[Setting, ...]:
    """Where one signal is read from, and with which credentials. ``port`` is a usual one, for the help."""

    def one(name: str, kind: Kind, meaning: str, default: str | float | None = None, **more: Any) -> Setting:
        key = f"{signal}.{name}"
        variable = "FRAMESCOPE_" + key.upper().replace(".", "_")
        return Setting(key, kind, default, meaning, env=(variable,), **more)

    return (
        one(
            "backend",
            "str",
            f"what {signal} are read from; unset: the embedded store, or with an address what it looks like",
            choices=kinds,
            flag=f"--{signal}-backend",
        ),
        one(
            "url",
            "url",
            f"address {signal} are read from, with its path prefix, such as http://host:{port}",
            flag=f"--{signal}-url",
        ),
        one("timeout", "duration", "time one question may take", 10.0, unit="s", minimum=0.1, maximum=300),
        one("username", "str", "user of basic authentication"),
        one("password", "str", "its password", secret=True),
        one("bearer", "str", "bearer token; from a file it is read anew for each question", secret=True),
        one("headers", "str", "more headers: `Name: value` lines, or name=value,name=value", secret=True),
        one("tenant", "str", "tenant, sent as X-Scope-OrgID"),
        one("ca_file", "path", "certificates to trust instead of the system's (PEM)"),
        one("cert_file", "path", "client certificate (PEM)"),
        one("key_file", "path", "the client certificate's key (PEM)"),
    )


TRACES: Final = _backend("traces", ("embedded", "tempo", "jaeger"), 3200)
METRICS: Final = _backend("metrics", ("embedded", "prometheus"), 9090)

STORE: Final[tuple[Setting, ...]] = (
    Setting(
        "store.host",
        "str",
        "127.0.0.1",
        "address the store takes OTLP on",
        env=("FRAMESCOPE_STORE_HOST",),
    ),
    Setting(
        "store.grpc_port",
        "int",
        4317,
        "port for OTLP over gRPC",
        env=("FRAMESCOPE_STORE_GRPC_PORT",),
        flag="--grpc-port",
        minimum=0,
        maximum=65535,
    ),
    Setting(
        "store.http_port",
        "int",
        4318,
        "port for OTLP over HTTP",
        env=("FRAMESCOPE_STORE_HTTP_PORT",),
        flag="--http-port",
        minimum=0,
        maximum=65535,
    ),
    Setting(
        "store.retention_age",
        "duration",
        3 * 86400.0,
        "data older than this are dropped",
        env=("FRAMESCOPE_STORE_RETENTION_AGE",),
        flag="--retention-age",
        unit="s",
        minimum=60,
    ),
    Setting(
        "store.retention_size",
        "size",
        2 * 1024**3,
        "the oldest data are dropped beyond this",
        env=("FRAMESCOPE_STORE_RETENTION_SIZE",),
        flag="--retention-size",
        unit="bytes",
        minimum=10_000_000,
    ),
    Setting(
        "store.segment",
        "duration",
        600.0,
        "time one file covers; retention drops whole files",
        env=("FRAMESCOPE_STORE_SEGMENT",),
        unit="s",
        minimum=10,
        maximum=86400,
    ),
    Setting(
        "store.max_body",
        "size",
        16 * 1024**2,
        "largest OTLP request taken, after unpacking",
        env=("FRAMESCOPE_STORE_MAX_BODY",),
        unit="bytes",
        minimum=1024,
    ),
)

DEMO: Final[tuple[Setting, ...]] = (
    Setting("demo.duration", "duration", None, "end after this long", flag="--duration", unit="s", minimum=1),
    Setting("demo.headless", "bool", False, "without the pages", flag="--headless"),
    Setting("demo.json", "bool", False, "the last line of output is one JSON object", flag="--json"),
    Setting("demo.report", "path", None, "write the result there, .json or else Markdown", flag="--report"),
    Setting(
        "demo.disturb",
        "str",
        "default",
        "what disturbs the frames: all, default, none, or names separated by commas",
        env=("FRAMESCOPE_DEMO_DISTURB",),
        flag="--disturb",
    ),
    Setting(
        "demo.fps",
        "float",
        60.0,
        "rate the ultrasound loop is played at",
        env=("FRAMESCOPE_DEMO_FPS",),
        flag="--fps",
        unit="1/s",
        minimum=1,
        maximum=1000,
    ),
    Setting(
        "demo.accelerator_mode",
        "str",
        "full",
        "what the software accelerator tells: everything, or only what CUDA events and NVML would",
        env=("FRAMESCOPE_DEMO_ACCELERATOR_MODE",),
        flag="--accelerator-mode",
        choices=("full", "nvml"),
    ),
)

DEMO_DATA_DIR: Final = Setting(
    "data_dir",
    "path",
    None,
    "where the store keeps its files, instead of a directory of the demo's own",
    env=("FRAMESCOPE_DATA_DIR",),
    flag="--data-dir",
)


def reader(environ: Mapping[str, str], home: Path) -> tuple[Setting, ...]:
    """The settings of whatever reads: the pages on their own, inside another app, a notebook."""
    return (data_dir(environ, home), *TRACES, *METRICS, *UI, *THRESHOLDS, CAUSES)


def every_setting(environ: Mapping[str, str], home: Path) -> tuple[Setting, ...]:
    """All settings there are, the emitter's too: what may stand in one file."""
    return (data_dir(environ, home), *UI, *TRACES, *METRICS, *THRESHOLDS, *STORE, *DEMO, *EMITTER)


def app_options(found: Configuration) -> AppOptions:
    """The page server's options. Raises `ConfigError` where values contradict each other."""
    base = (found.optional_text("ui.base") or "").rstrip("/")
    if not re.fullmatch(r"(/[\w.~-]+)*", base, re.ASCII):
        raise ConfigError([f"ui.base ({found.origin('ui.base')}): {base!r} is no path such as /framescope"])
    origins = (origin.strip() for origin in (found.optional_text("ui.allowed_origins") or "").split(","))
    return AppOptions(
        host=found.text("ui.host"),
        port=found.whole("ui.port"),
        interval_seconds=found.number("ui.interval"),
        history=found.whole("ui.history"),
        thresholds=thresholds(found),
        brand_name=found.text("ui.brand_name"),
        brand_color=found.optional_text("ui.brand_color"),
        theme=found.text("ui.theme"),
        allowed_origins=tuple(origin for origin in origins if origin),
        trace_links=_trace_links(found),
        logo=found.optional_path("ui.logo"),
        base=base,
    )


def _trace_links(found: Configuration) -> tuple[TraceLink, ...]:
    links: list[TraceLink] = []
    problems: list[str] = []
    for tool in LINKED_TOOLS:
        key = f"links.{tool.lower()}"
        template = found.optional_text(key)
        try:
            links += [TraceLink(tool, template)] if template is not None else []
        except ValueError as error:
            problems.append(f"{key} ({found.origin(key)}): {error}")
    if problems:
        raise ConfigError(problems)
    return tuple(links)


def thresholds(found: Configuration) -> Thresholds:
    """What the overall state is judged by. Raises `ConfigError` for limits that contradict each other."""

    def share(signal: str) -> Limits:
        return Limits(
            found.number(f"thresholds.{signal}.warning"), found.number(f"thresholds.{signal}.critical")
        )

    def absolute(signal: str) -> Limits | None:
        warning = found.optional_number(f"thresholds.{signal}.warning")
        critical = found.optional_number(f"thresholds.{signal}.critical")
        if warning is None and critical is None:
            return None
        if warning is None or critical is None:
            missing = "warning" if warning is None else "critical"
            raise ConfigError([f"thresholds.{signal}: set thresholds.{signal}.{missing} too, or neither"])
        return Limits(warning, critical)

    try:
        return Thresholds(
            fps_share=share("fps_share"),
            latency_share=share("latency_share"),
            slow_share=share("slow_share"),
            gpu_utilization=share("gpu_utilization"),
            fps=absolute("fps"),
            latency=absolute("latency"),
        )
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError([f"thresholds.{error}"]) from error
