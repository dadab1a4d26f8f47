"""docs/backends.md: its configurations can be used, its commands and settings exist, its advice is ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from framescope.config import FlagParser, resolve
from framescope_ui import settings
from framescope_ui.connections import connection

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "backends.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.S)
OURS = [block for block in BLOCKS if block.startswith(("metrics:", "traces:"))]
THEIRS = {block.split("\n")[0].removeprefix("# "): block for block in BLOCKS if block.startswith("# ")}
TABLE = settings.every_setting({}, Path("/home/somebody"))


def test_there_are_configurations_of_both_kinds() -> None:
    assert len(OURS) == 3
    assert set(THEIRS) == {"prometheus.yml", "tempo.yaml"}


@pytest.mark.parametrize("block", OURS)
def test_a_configuration_that_is_shown_can_be_used(block: str) -> None:
    def read(path: Path) -> str:
        if str(path) == "framescope.yaml":
            return block
        if str(path).startswith("/run/secrets/"):
            return "X-Key: s3cret" if "headers" in path.name else "s3cret"
        raise FileNotFoundError(2, "No such file or directory", str(path))

    found = resolve(TABLE, environ={}, read_file=read)
    shown = yaml.safe_load(block)
    for signal in ("metrics", "traces"):
        where = connection(found, signal, read)
        assert where.access is not None
        assert where.access.url == shown[signal]["url"]
        assert all(value for value in where.access.headers().values())


@pytest.mark.parametrize("name", ["prometheus.yml", "tempo.yaml"])
def test_what_a_server_needs_is_what_we_deploy(name: str) -> None:
    (deployed,) = (ROOT / "deploy").glob(f"*/{name}")

    def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
        if not isinstance(tree, dict):
            return {path: tree}
        found: dict[tuple[str, ...], Any] = {}
        for key, value in tree.items():
            found |= leaves(value, (*path, key))
        return found

    ours = leaves(yaml.safe_load(deployed.read_text()))
    for path, value in leaves(yaml.safe_load(THEIRS[name])).items():
        assert ours[path] == value, path


def test_every_variable_and_setting_that_is_named_exists() -> None:
    known = {name for setting in TABLE for name in setting.env}
    for name in set(re.findall(r"FRAMESCOPE_[A-Z_]*[A-Z]", TEXT)) - {
        "FRAMESCOPE_METRICS",
        "FRAMESCOPE_TRACES",
    }:
        assert name in known, name
    listed = re.findall(r"^\| (`[a-z_`, ]+`) \| ", TEXT.split("## Metrics")[0], re.M)
    names = {name for cell in listed for name in re.findall(r"[a-z_]+", cell)}
    assert names == {s.key.partition(".")[2] for s in settings.TRACES}


def test_every_flag_that_is_named_exists() -> None:
    usage = FlagParser("framescope ui", "", TABLE).format_help()
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT / "examples")])}
    for module, arguments in (("framescope.cli", ["doctor", "--help"]), ("ultrasound", ["--help"])):
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        usage += done.stdout
    servers = {"--web.route-prefix", "--web.enable-otlp-receiver", "--enable-feature"}
    for flag in set(re.findall(r"(?<![\w-])--[a-z][a-z.-]*[a-z]", TEXT)) - servers:
        assert flag in usage, flag
