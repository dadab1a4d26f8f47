"""Configuration: file < environment < flags, every fault named with its place and what is allowed."""

from __future__ import annotations

import json
import string
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope.config import (
    EMITTER,
    ConfigError,
    Configuration,
    Setting,
    allowed,
    emitter_settings,
    parse,
    parse_file,
    resolve,
)

PORT = Setting(
    "ui.port",
    "int",
    8050,
    "port",
    env=("FRAMESCOPE_UI_PORT", "DASHBOARD_PORT"),
    flag="--port",
    minimum=1,
    maximum=65535,
)
PACE = Setting("ui.interval", "duration", 1.0, "pace", env=("FRAMESCOPE_UI_INTERVAL",), unit="s", minimum=0.1)
ROOM = Setting("store.size", "size", 10**9, "room", env=("FRAMESCOPE_STORE_SIZE",), unit="bytes")
MODE = Setting(
    "ui.theme", "str", "auto", "theme", env=("FRAMESCOPE_UI_THEME",), choices=("auto", "light", "dark")
)
QUIET = Setting("quiet", "bool", False, "say less", env=("FRAMESCOPE_QUIET",), flag="--quiet")
TOKEN = Setting("hook.token", "str", None, "token", env=("FRAMESCOPE_HOOK_TOKEN",), secret=True)
TABLE = (PORT, PACE, ROOM, MODE, QUIET, TOKEN)


def resolved(
    files: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    file: str | None = None,
    strict: bool = True,
) -> Configuration:
    def read(path: Path) -> str:
        try:
            return (files or {})[str(path)]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", str(path)) from None

    return resolve(
        TABLE,
        environ=environ or {},
        read_file=read,
        flags=flags,
        file=Path(file) if file else None,
        strict=strict,
    )


def problems(**sources: object) -> str:
    with pytest.raises(ConfigError) as caught:
        resolved(**sources)  # type: ignore[arg-type]
    return str(caught.value)


# --- merging ----------------------------------------------------------------------------------------


def test_without_any_source_the_defaults_are_in_force() -> None:
    found = resolved()
    assert found.whole("ui.port") == 8050
    assert {entry.origin for entry in found} == {"default"}


def test_the_file_wins_over_the_default_and_says_so() -> None:
    found = resolved({"framescope.yaml": "ui:\n  port: 9000\n"})
    assert found.whole("ui.port") == 9000
    assert found.origin("ui.port") == "framescope.yaml: ui.port"


def test_the_environment_wins_over_the_file_and_flags_over_both() -> None:
    files = {"framescope.yaml": "ui: {port: 9000, interval: 2, theme: dark}"}
    found = resolved(
        files, {"FRAMESCOPE_UI_PORT": "9001", "FRAMESCOPE_UI_INTERVAL": "3"}, {"ui.port": "9002"}
    )
    assert (found.whole("ui.port"), found.origin("ui.port")) == (9002, "flag --port")
    assert (found.number("ui.interval"), found.origin("ui.interval")) == (
        3.0,
        "environment FRAMESCOPE_UI_INTERVAL",
    )
    assert (found.text("ui.theme"), found.origin("ui.theme")) == ("dark", "framescope.yaml: ui.theme")


def test_an_alias_is_honoured_and_its_own_name_comes_first() -> None:
    assert resolved(environ={"DASHBOARD_PORT": "7000"}).origin("ui.port") == "environment DASHBOARD_PORT"
    assert resolved(environ={"DASHBOARD_PORT": "7000", "FRAMESCOPE_UI_PORT": "7001"}).whole("ui.port") == 7001


def test_an_empty_variable_is_an_unset_one() -> None:
    assert resolved(environ={"FRAMESCOPE_UI_PORT": ""}).origin("ui.port") == "default"


@given(
    file=st.none() | st.integers(1, 65535),
    variable=st.none() | st.integers(1, 65535),
    flag=st.none() | st.integers(1, 65535),
)
def test_the_last_source_that_speaks_wins(file: int | None, variable: int | None, flag: int | None) -> None:
    found = resolved(
        {} if file is None else {"framescope.yaml": json.dumps({"ui": {"port": file}})},
        {} if variable is None else {"FRAMESCOPE_UI_PORT": str(variable)},
        {"ui.port": None if flag is None else str(flag)},
    )
    spoken = [value for value in (file, variable, flag) if value is not None]
    assert found.whole("ui.port") == (spoken[-1] if spoken else 8050)


# --- the file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "ui:\n  port: 9000\n"),
        ("a.yml", "ui.port: 9000"),
        ("a.json", '{"ui": {"port": 9000}}'),
        ("a.toml", "[ui]\nport = 9000\n"),
    ],
)
def test_yaml_json_and_toml_say_the_same(name: str, text: str) -> None:
    assert resolved({name: text}, file=name).whole("ui.port") == 9000


def test_the_file_may_be_named_by_the_environment() -> None:
    found = resolved({"x.toml": "quiet = true"}, {"FRAMESCOPE_CONFIG": "x.toml"})
    assert found.truth("quiet") is True


def test_a_named_file_must_exist_and_the_usual_one_need_not() -> None:
    assert "gone.yaml: there is no such file" in problems(file="gone.yaml")
    assert resolved().whole("ui.port") == 8050


def test_an_empty_file_says_nothing() -> None:
    assert resolved({"framescope.yaml": "# nothing yet\n"}).whole("ui.port") == 8050
    assert resolved({"framescope.yaml": "ui:\n  # nothing yet\n"}).whole("ui.port") == 8050


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "ui: [", "not valid YAML"),
        ("a.json", "{", "not valid JSON"),
        ("a.toml", "=", "not valid TOML"),
        ("a.yaml", "- 1", "expected settings by name at the top, found list"),
        ("a.ini", "x=1", "unknown kind of file"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(name: str, text: str, said: str) -> None:
    assert said in problems(files={name: text}, file=name)


def test_without_pyyaml_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    said = problems(files={"framescope.yaml": "quiet: true"})
    assert "needs pyyaml" in said and "pip install" in said and ".toml" in said


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading_of_a_file_in_another_way(text: str) -> None:
    for name in ("a.yaml", "a.json", "a.toml"):
        try:
            parse_file(Path(name), text)
        except ConfigError as error:
            assert name in str(error)


_keys = st.text(string.ascii_lowercase, min_size=1, max_size=4)
_trees: st.SearchStrategy[object] = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=5),
    lambda inner: st.dictionaries(_keys, inner, min_size=1, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(_keys, _trees, max_size=3))
def test_every_leaf_of_a_file_is_found_under_its_dotted_key(tree: dict[str, object]) -> None:
    flat = parse_file(Path("a.json"), json.dumps(tree))
    for key, value in flat.items():
        place: object = tree
        for part in key.split("."):
            assert isinstance(place, dict)
            place = place[part]
        assert place == value


# --- unknown keys -----------------------------------------------------------------------------------


def test_an_unknown_key_is_an_error_that_names_the_place_and_the_nearest_key() -> None:
    said = problems(files={"framescope.yaml": "ui: {prot: 9000}"})
    assert said == "framescope.yaml: unknown setting ui.prot; did you mean ui.port?"


def test_an_unknown_variable_is_an_error_that_names_the_nearest_one() -> None:
    said = problems(environ={"FRAMESCOPE_UI_PROT": "1"})
    assert said == "environment: unknown variable FRAMESCOPE_UI_PROT; did you mean FRAMESCOPE_UI_PORT?"


def test_every_fault_is_told_at_once() -> None:
    said = problems(
        files={"framescope.yaml": "ui: {prot: 1, theme: pink}"}, environ={"FRAMESCOPE_UI_PORT": "x"}
    )
    assert len(said.splitlines()) == 3


def test_inside_somebodys_program_foreign_sections_pass_and_a_slip_is_a_warning() -> None:
    found = resolved(
        {"framescope.yaml": "theirs: {a: 1}"},
        {"FRAMESCOPE_UI_PROT": "1", "FRAMESCOPE_ELSE": "1"},
        strict=False,
    )
    assert len(found.warnings) == 1
    assert "did you mean FRAMESCOPE_UI_PORT?" in found.warnings[0]


def test_inside_somebodys_program_an_unknown_key_of_our_own_section_is_still_an_error() -> None:
    assert "ui.prot" in problems(files={"framescope.yaml": "ui: {prot: 1}"}, strict=False)


# --- values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "raw", "value"),
    [
        (PORT, "80", 80),
        (PORT, 80.0, 80),
        (PACE, "250ms", 0.25),
        (PACE, "2m", 120.0),
        (PACE, "1.5 h", 5400.0),
        (PACE, 2, 2.0),
        (ROOM, "2GiB", 2 * 2**30),
        (ROOM, "500 MB", 500 * 10**6),
        (QUIET, "on", True),
        (QUIET, "0", False),
        (QUIET, True, True),
        (MODE, "dark", "dark"),
    ],
)
def test_a_value_is_read_as_its_setting_wants_it(setting: Setting, raw: object, value: object) -> None:
    assert parse(setting, raw) == value
    assert type(parse(setting, raw)) is type(value)


@pytest.mark.parametrize(
    ("setting", "raw"),
    [
        (PORT, "eighty"),
        (PORT, 0),
        (PORT, 65536),
        (PORT, 80.5),
        (PORT, True),
        (PORT, None),
        (PORT, [80]),
        (PACE, "fast"),
        (PACE, "1 fortnight"),
        (PACE, "0.01"),
        (PACE, float("nan")),
        (ROOM, "-1"),
        (QUIET, "perhaps"),
        (MODE, "pink"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_is_allowed(setting: Setting, raw: object) -> None:
    with pytest.raises(ValueError, match="is not allowed") as caught:
        parse(setting, raw)
    assert allowed(setting) in str(caught.value)


def test_a_wrong_value_names_its_setting_its_place_and_what_is_allowed() -> None:
    said = problems(environ={"DASHBOARD_PORT": "http"})
    assert said.startswith("ui.port (environment DASHBOARD_PORT): 'http' is not allowed")
    assert said.endswith("expected a whole number, from 1 to 65535")


@given(st.sampled_from(TABLE), st.text() | st.integers() | st.floats() | st.booleans() | st.none())
def test_any_value_is_either_within_what_is_allowed_or_refused(setting: Setting, raw: object) -> None:
    try:
        value = parse(setting, raw)
    except ValueError:
        return
    if setting.choices:
        assert value in setting.choices
    if setting.minimum is not None:
        assert isinstance(value, int | float) and value >= setting.minimum
    if setting.maximum is not None:
        assert isinstance(value, int | float) and value <= setting.maximum


@given(st.floats(0.1, 1e6))
def test_a_duration_reads_the_same_in_every_unit(seconds: float) -> None:
    assert parse(PACE, f"{seconds!r}s") == parse(PACE, seconds) == seconds


# --- secrets ----------------------------------------------------------------------------------------


def test_a_secret_comes_from_its_variable_and_is_never_shown() -> None:
    found = resolved(environ={"FRAMESCOPE_HOOK_TOKEN": "s3cret"})
    assert found.text("hook.token") == "s3cret"
    assert "s3cret" not in found.table() and "***" in found.table()


def test_a_secret_comes_from_the_file_that_is_named() -> None:
    files = {"framescope.yaml": "hook: {token_file: /run/token}", "/run/token": "s3cret\n"}
    assert resolved(files).text("hook.token") == "s3cret"
    assert resolved(files, {"FRAMESCOPE_HOOK_TOKEN_FILE": "/run/token"}).text("hook.token") == "s3cret"


def test_a_secret_in_the_file_itself_is_refused_without_being_shown() -> None:
    said = problems(files={"framescope.yaml": "hook: {token: s3cret}"})
    assert "hook.token_file" in said and "s3cret" not in said


def test_a_secret_file_that_is_missing_is_named() -> None:
    assert "cannot be read" in problems(environ={"FRAMESCOPE_HOOK_TOKEN_FILE": "/run/none"})


# --- what is shown ----------------------------------------------------------------------------------


def test_print_config_shows_each_value_with_its_unit_and_origin() -> None:
    lines = resolved(environ={"FRAMESCOPE_UI_INTERVAL": "250ms"}).table().splitlines()
    assert len(lines) == 1 + len(TABLE)
    assert [line.split("  ") for line in lines if line.startswith("ui.interval")]
    assert any(
        line.startswith("ui.interval")
        and "0.25 s" in line
        and line.endswith("environment FRAMESCOPE_UI_INTERVAL")
        for line in lines
    )


# --- the emitter's own table ------------------------------------------------------------------------


def no_files(path: Path) -> str:
    raise FileNotFoundError(2, "No such file or directory", str(path))


def test_the_emitter_runs_with_a_helper_process_unless_told_otherwise() -> None:
    found = emitter_settings({}, no_files)
    assert (found.enabled, found.agent, found.keep_budget) == (True, "process", 50.0)
    assert found.probes == {"gpu", "host", "pressure", "scheduler", "gc", "gil"}


@pytest.mark.parametrize("name", ["FRAMESCOPE_ENABLED", "KPI_LOGGING"])
def test_one_variable_switches_the_emitter_off(name: str) -> None:
    assert emitter_settings({name: "0"}, no_files).enabled is False


def test_what_the_program_gives_wins_over_the_environment() -> None:
    environ = {"FRAMESCOPE_AGENT": "process", "FRAMESCOPE_PROBES_GPU": "0"}
    found = emitter_settings(environ, no_files, {"emitter.agent": "thread"})
    assert found.agent == "thread"
    assert "gpu" not in found.probes


def test_one_file_serves_the_emitter_and_the_app() -> None:
    found = emitter_settings({}, lambda path: "ui: {port: 1}\nemitter: {baseline: 10}\n")
    assert found.baseline == 10


def test_every_emitter_setting_can_be_set_by_a_variable_of_its_own() -> None:
    names = [setting.env[0] for setting in EMITTER]
    assert all(name.startswith("FRAMESCOPE_") for name in names)
    assert len(set(names)) == len(names)
