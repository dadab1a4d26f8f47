"""What the documents promise is so: their examples run, their commands and files exist."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from receiver import Receiver

import framescope
from framescope import signals as sig

ROOT = Path(__file__).parents[3]
DOCUMENTS = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [
    pytest.param(code, id=f"{document.name}-{number}")
    for document in DOCUMENTS
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", document.read_text(), re.S))
    if "127.0.0.1:8050" not in code  # those ask a running app: tests/demo runs them
    and "connect()" not in code  # nor a store: tests/unit/embed runs the notebook with the same calls
]


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("code", EXAMPLES)
def test_a_documented_example_runs_and_what_it_records_arrives(code):
    receiver = Receiver()  # without one `close()` waits its whole 5 s
    done = run("-c", code, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    receiver.close()
    assert done.returncode == 0, done.stderr
    if "pipeline.close()" in code:
        assert receiver.metrics


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_every_linked_file_is_there(document):
    for target in re.findall(r"\]\(([^)#\s]+)\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_every_command_named_exists(document):
    text = document.read_text()
    for target in re.findall(r"`(?:framescope) ([a-z]+)", text):
        assert run("-m", "framescope.cli", target, "--help").returncode == 0, target
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", text, re.M):
        assert re.search(rf"^{''.join(target)}:", makefile, re.M), target


def test_every_file_that_the_architecture_names_exists():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
    names = {path.name for path in itertools.chain(ROOT.glob("*.py"), *(f.rglob("*.py") for f in folders))}
    for name in set(re.findall(r"`(?:[a-z_/]+/)?([a-z_]+\.py)`", text)):
        assert name in names, name


def test_the_public_names_are_those_that_are_documented():
    assert framescope.__all__ == ["Frame", "Pipeline", "Queue"]


# -- the table of names -----------------------------------------------------------------------------------


def test_no_attribute_is_the_prefix_of_another():
    names = {
        v
        for k, v in vars(sig).items()
        if k.isupper() and isinstance(v, str) and v.startswith(("frame.", "framescope."))
    }
    names = {name for name in names if not name.endswith(".")}
    for name in names:
        assert not any(other.startswith(name + ".") for other in names), name


def test_no_other_file_spells_a_wire_name():
    spelled = re.compile(r"""["'](?:frame|framescope|hw)\.[a-z_]+\.[a-z_.]+["']""")
    allowed = {"signals.py", "config.py", "settings.py"}
    found = []
    for folder in ("instrumentation", "dash_app", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            # Emitters without framescope have to spell them; test_wire.py holds theirs against the table.
            if path.name not in allowed and path.parent.name != "emitters":
                found += [f"{path.name}: {hit}" for hit in spelled.findall(path.read_text())]
    assert found == []


def test_the_histogram_grid_has_three_bounds_an_octave_from_a_quarter_ms_to_two_seconds():
    bounds = sig.HISTOGRAM_BOUNDS
    assert bounds[0] == 0.00025
    assert 2.0 <= bounds[-1] < 2.1
    assert all(abs(b / a - 2 ** (1 / 3)) < 1e-4 for a, b in itertools.pairwise(bounds))
