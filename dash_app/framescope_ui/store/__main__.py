"""``python -m framescope_ui.store``: the embedded store alone."""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import fields
from pathlib import Path

from .server import StoreOptions, run


def main(arguments: list[str] | None = None) -> int:
    """Parse flags, run the store, answer its exit code."""
    default = {field.name: field.default for field in fields(StoreOptions)}
    parser = argparse.ArgumentParser(prog="framescope store", description="OTLP receivers and a store.")
    add = parser.add_argument
    add("--data-dir", type=Path, required=True, help="directory for the data files")
    add("--host", default=default["host"], help="address to listen on")
    add("--grpc-port", type=int, default=default["grpc_port"], help="OTLP gRPC port, 0 for any")
    add("--http-port", type=int, default=default["http_port"], help="OTLP HTTP port, 0 for any")
    add("--retention-seconds", type=float, default=default["retention_seconds"], help="age data are kept to")
    add("--retention-bytes", type=int, default=default["retention_bytes"], help="disk all data may take")
    add("--segment-seconds", type=float, default=default["segment_seconds"], help="time one data file spans")
    add("--max-body-bytes", type=int, default=default["max_body_bytes"], help="largest request, unpacked")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    return run(StoreOptions(**vars(given)))


if __name__ == "__main__":
    sys.exit(main())
