"""The commands `framescope ui`, `framescope store` and `framescope demo`: settings in, exit code out.

Nothing heavy is imported before the arguments are understood, so that `--help` and a wrong flag answer
at once, and a missing extra is one clear line.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from framescope.cli import needs_extra
from framescope.config import Configuration, FlagParser, Setting, read_text, resolve
from framescope.exit_codes import OK
from framescope_ui import settings


def ui(arguments: Sequence[str]) -> int:
    """The pages and the REST interface, over a store that runs."""
    table = (_data_dir(), *settings.UI, *settings.THRESHOLDS)
    parser = FlagParser("framescope ui", "Serve the pages, over a store that runs.", table)
    found = _in_force(parser.parse_strictly(arguments), table)
    if found is None:
        return OK
    options = settings.app_options(found)
    with needs_extra("ui", "ui"):
        from framescope_ui.backends.embedded import EmbeddedStore
        from framescope_ui.questions.stores import Stores
        from framescope_ui.server import serve
    _log_to_stderr()
    store = EmbeddedStore(found.path("data_dir"))
    return serve(options, Stores(store, store))


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


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def _data_dir() -> Setting:
    return settings.data_dir(os.environ, Path.home())


def _in_force(parsed: argparse.Namespace, table: Sequence[Setting]) -> Configuration | None:
    """The configuration, or ``None`` once `--print-config` has shown it. Raises `ConfigError`."""
    found = resolve(
        table,
        environ=os.environ,
        read_file=read_text,
        flags={setting.key: getattr(parsed, setting.key, None) for setting in table},
        file=parsed.config,
        also_known=settings.every_setting(os.environ, Path.home()),
    )
    if parsed.print_config:
        print(found.table())
        return None
    return found
