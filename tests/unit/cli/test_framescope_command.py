"""The command `framescope`, run as users run it: exit codes, usage, and what it says of wrong input."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RUN = "import sys; from framescope.cli import main; sys.exit(main(sys.argv[1:]))"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The metadata an installation would have, made from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    site = tmp_path_factory.mktemp("site")
    info = site / f"framescope-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: framescope\nVersion: {project['version']}\n"
    )
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))
    return site


@pytest.fixture
def framescope(installed: Path, tmp_path: Path) -> Run:
    def run(*arguments: str, missing: str | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("FRAMESCOPE_", "OTEL_"))
        }
        path = os.pathsep.join(
            str(place) for place in (installed, ROOT / "instrumentation", ROOT / "dash_app")
        )
        prelude = f"import sys; sys.modules[{missing!r}] = None; " if missing else ""
        return subprocess.run(
            [sys.executable, "-c", prelude + RUN, *arguments],
            env={**clean, "PYTHONPATH": path, "HOME": str(tmp_path), **environ},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_without_arguments_it_shows_its_usage_on_stderr_and_exits_2(framescope: Run) -> None:
    done = framescope()
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: framescope" in done.stderr


def test_help_lists_every_command_and_exits_0(framescope: Run) -> None:
    done = framescope("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "commands: demo, doctor, store, ui" in done.stdout


def test_version_is_the_installed_one(framescope: Run) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert framescope("--version").stdout == f"framescope {project['version']}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dmeo"], "unknown command dmeo; did you mean demo?"),
        (["--hlep"], "unknown argument --hlep; did you mean --help?"),
        (["ui", "--prot", "1"], "unknown argument --prot; did you mean --port?"),
        (["store", "--retention-aeg=1d"], "unknown argument --retention-aeg; did you mean --retention-age?"),
        (["demo", "more"], "unknown argument more"),
        (["ui", "--port"], "--port: expected one argument"),
        (["doctor", "--jsno"], "--jsno"),
    ],
)
def test_wrong_arguments_name_the_nearest_right_one_and_exit_2(
    framescope: Run, arguments: list[str], said: str
) -> None:
    done = framescope(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: framescope" in done.stderr
    assert said in done.stderr


@pytest.mark.parametrize("command", ["ui", "store", "demo", "doctor"])
def test_every_command_has_help(framescope: Run, command: str) -> None:
    done = framescope(command, "--help")
    assert done.returncode == 0
    assert f"usage: framescope {command}" in done.stdout


@pytest.mark.parametrize("command", ["ui", "store", "demo"])
def test_print_config_shows_each_value_and_where_it_came_from(
    framescope: Run, command: str, tmp_path: Path
) -> None:
    (tmp_path / "framescope.yaml").write_text("store: {http_port: 5318}\nui: {host: 0.0.0.0}\n")
    done = framescope(command, "--data-dir", "/data", "--print-config", DASHBOARD_PORT="9000")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("data_dir") and line.endswith("flag --data-dir") for line in lines)
    if command != "ui":
        assert any("5318" in line and line.endswith("framescope.yaml: store.http_port") for line in lines)
    if command != "store":
        assert any("9000" in line and line.endswith("environment DASHBOARD_PORT") for line in lines)


def test_the_data_directory_follows_the_platforms_convention(framescope: Run, tmp_path: Path) -> None:
    assert str(tmp_path / ".local/share/framescope") in framescope("store", "--print-config").stdout
    assert "/x/framescope" in framescope("store", "--print-config", XDG_DATA_HOME="/x").stdout
    relative = framescope("store", "--print-config", XDG_DATA_HOME="x").stdout
    assert str(tmp_path / ".local/share/framescope") in relative


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["ui", "--port", "http"], {}, "ui.port (flag --port): 'http' is not allowed"),
        (
            ["ui"],
            {"FRAMESCOPE_UI_PROT": "1"},
            "unknown variable FRAMESCOPE_UI_PROT; did you mean FRAMESCOPE_UI_PORT?",
        ),
        (["ui", "--config", "gone.yaml"], {}, "gone.yaml: there is no such file"),
        (["ui"], {"FRAMESCOPE_THRESHOLDS_FPS_WARNING": "70"}, "set thresholds.fps.critical too"),
        (
            ["ui"],
            {
                "FRAMESCOPE_THRESHOLDS_LATENCY_WARNING": "50ms",
                "FRAMESCOPE_THRESHOLDS_LATENCY_CRITICAL": "30ms",
            },
            "thresholds.latency: higher is worse",
        ),
        (["demo", "--report", "none/there.json"], {}, "is not a directory"),
        (["demo", "--duration", "soon"], {}, "a duration such as"),
        (["demo"], {"FRAMESCOPE_STORE_RETENTION_AGE": "soon"}, "store.retention_age"),
        (["demo"], {"FRAMESCOPE_THRESHOLDS_FPS_SHARE_WARNING": "much"}, "thresholds.fps_share.warning"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_explained_and_exits_2(
    framescope: Run, arguments: list[str], environ: dict[str, str], said: str
) -> None:
    done = framescope(*arguments, **environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [("ui", "dash", "ui"), ("store", "duckdb", "ui"), ("demo", "httpx", "ui,demo")],
)
def test_a_missing_extra_is_one_clear_line(framescope: Run, command: str, module: str, extra: str) -> None:
    done = framescope(command, missing=module)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"framescope {command} needs the extra: pip install 'framescope[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_needs_no_extra_and_loads_nothing_heavy(framescope: Run) -> None:
    for module in ("dash", "duckdb", "plotly", "opentelemetry", "yaml", "psutil"):
        assert framescope("ui", "--help", missing=module).returncode == 0
