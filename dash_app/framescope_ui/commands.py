"""The commands `framescope ui`, `framescope store` and `framescope demo`: settings in, exit code out.

Nothing heavy is imported before the arguments are understood, so that `--help` and a wrong flag answer
at once, and a missing extra is one clear line.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from framescope.causes import load
from framescope.cli import needs_extra
from framescope.config import (
    CAUSES,
    FILE_VARIABLE,
    ConfigError,
    Configuration,
    FlagParser,
    Setting,
    modules_in,
    read_text,
    resolve,
)
from framescope.exit_codes import OK
from framescope_ui import settings


def ui(arguments: Sequence[str]) -> int:
    """The pages and the REST interface, over the backends that are configured."""
    table = settings.reader(os.environ, Path.home())
    parser = FlagParser("framescope ui", "Serve the pages, over the backends that are configured.", table)
    found = _in_force(parser.parse_strictly(arguments), table)
    if found is None:
        return OK
    options = replace(settings.app_options(found), data_dir=found.path("data_dir"))
    load(modules_in(found.optional_text(CAUSES.key)))
    with needs_extra("ui", "ui"):
        from framescope_ui.connections import open_stores
        from framescope_ui.server import serve
    _log_to_stderr()
    return serve(options, open_stores(found))


def store(arguments: Sequence[str]) -> int:
    """The embedded store alone: takes OTLP, keeps it, answers questions."""
    table = (_data_dir(), *settings.STORE)
    parser = FlagParser("framescope store", "Run the embedded store alone.", table)
    found = _in_force(parser.parse_strictly(arguments), table)
    if found is None:
        return OK
    with needs_extra("store", "ui"):
        from framescope_ui.store.server import StoreOptions, run
    _log_to_stderr()
    return run(
        StoreOptions(
            data_dir=found.path("data_dir"),
            host=found.text("store.host"),
            grpc_port=found.whole("store.grpc_port"),
            http_port=found.whole("store.http_port"),
            retention_seconds=found.number("store.retention_age"),
            retention_bytes=found.whole("store.retention_size"),
            segment_seconds=found.number("store.segment"),
            max_body_bytes=found.whole("store.max_body"),
        )
    )


def demo(arguments: Sequence[str]) -> int:
    """Everything at once: the store, the pages, and the ultrasound example as a process of its own."""
    listening = tuple(
        setting
        for setting in settings.STORE
        if setting.key in ("store.host", "store.grpc_port", "store.http_port")
    )
    addresses = tuple(setting for setting in settings.UI if setting.key in ("ui.host", "ui.port"))
    table = (settings.DEMO_DATA_DIR, *settings.DEMO, *addresses, *listening)
    parser = FlagParser("framescope demo", "Run the ultrasound example on the embedded store.", table)
    parsed = parser.parse_strictly(arguments)
    found = _in_force(parsed, table)
    if found is None:
        return OK
    report = found.optional_path("demo.report")
    if report is not None and not report.absolute().parent.is_dir():
        raise ConfigError(
            [f"demo.report ({found.origin('demo.report')}): {report.parent} is not a directory"]
        )
    # The store and the app read their own settings: what is wrong there is said before anything starts.
    app = (*settings.UI, *settings.TRACES, *settings.METRICS, *settings.THRESHOLDS)
    _resolved((*app, *settings.STORE), parsed)
    with needs_extra("demo", "ui,demo"):
        from framescope_ui.demo import DemoOptions, run
    if parsed.config is not None:
        # The store and the app are processes of their own and read the same file.
        os.environ[FILE_VARIABLE] = str(parsed.config.absolute())
    return run(
        DemoOptions(
            duration=found.optional_number("demo.duration"),
            headless=found.truth("demo.headless"),
            json=found.truth("demo.json"),
            report=report,
            disturb=found.text("demo.disturb"),
            host=found.text("ui.host"),
            port=found.whole("ui.port"),
            grpc_port=found.whole("store.grpc_port"),
            http_port=found.whole("store.http_port"),
            fps=found.number("demo.fps"),
            accelerator_mode=found.text("demo.accelerator_mode"),
            data_dir=found.optional_path("data_dir"),
            store_host=found.text("store.host"),
        )
    )


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def _data_dir() -> Setting:
    return settings.data_dir(os.environ, Path.home())


def _in_force(parsed: argparse.Namespace, table: Sequence[Setting]) -> Configuration | None:
    """The configuration, or ``None`` once `--print-config` has shown it. Raises `ConfigError`."""
    found = _resolved(table, parsed)
    if parsed.print_config:
        print(found.table())
        return None
    return found


def _resolved(table: Sequence[Setting], parsed: argparse.Namespace) -> Configuration:
    return resolve(
        table,
        environ=os.environ,
        read_file=read_text,
        flags={setting.key: getattr(parsed, setting.key, None) for setting in table},
        file=parsed.config,
        also_known=settings.every_setting(os.environ, Path.home()),
    )
