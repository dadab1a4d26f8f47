"""The built wheel holds both packages, the assets and the example, and nothing of the tests."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built).namelist()


@pytest.mark.parametrize(
    "needed",
    [
        "framescope/__init__.py",
        "framescope/agent/__main__.py",
        "framescope_ui/store/__main__.py",
        "framescope_ui/assets/style.css",
        "framescope_ui/assets/tokens.css",
        "framescope_ui/examples/ultrasound/__main__.py",
    ],
)
def test_it_holds_what_runs(wheel, needed):
    assert needed in wheel


def test_it_holds_nothing_else(wheel):
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"framescope", "framescope_ui"}


def test_both_packages_say_that_they_are_typed(wheel):
    assert "framescope/py.typed" in wheel
    assert "framescope_ui/py.typed" in wheel
