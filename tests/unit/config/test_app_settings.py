"""The app's settings: what file, environment and flags make of the page server and the thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from framescope.config import ConfigError, Configuration, parse, resolve
from framescope_ui import settings
from framescope_ui.options import AppOptions
from framescope_ui.questions.thresholds import Limits, Thresholds
from framescope_ui.store.server import StoreOptions

HOME = Path("/home/somebody")


def configured(text: str = "", environ: Mapping[str, str] | None = None) -> Configuration:
    table = settings.every_setting(environ or {}, HOME)
    return resolve(table, environ=environ or {}, read_file=lambda path: text)


def test_without_any_source_the_app_runs_as_its_own_defaults_say() -> None:
    assert settings.app_options(configured()) == AppOptions()


def test_without_any_source_the_store_runs_as_its_own_defaults_say() -> None:
    found, default = configured(), StoreOptions(Path())
    assert found.text("store.host") == default.host
    assert found.whole("store.grpc_port") == default.grpc_port
    assert found.whole("store.http_port") == default.http_port
    assert found.number("store.retention_age") == default.retention_seconds
    assert found.whole("store.retention_size") == default.retention_bytes
    assert found.number("store.segment") == default.segment_seconds
    assert found.whole("store.max_body") == default.max_body_bytes


def test_the_app_is_reached_on_8050_of_this_machine_only_unless_told_otherwise() -> None:
    options = settings.app_options(configured())
    assert (options.host, options.port) == ("127.0.0.1", 8050)


def test_the_file_sets_address_pace_looks_and_origins() -> None:
    text = """
    ui:
      host: 0.0.0.0
      port: 9000
      interval: 500ms
      history: 600
      brand_color: "#8800CC"
      theme: light
      logo: /somewhere/logo.svg
      base: /framescope/
      allowed_origins: "https://a.example, https://b.example"
    """
    options = settings.app_options(configured(text))
    assert (options.host, options.port, options.interval_seconds, options.history) == (
        "0.0.0.0",
        9000,
        0.5,
        600,
    )
    assert (options.brand_color, options.theme) == ("#8800cc", "light")
    assert (options.logo, options.base) == (Path("/somewhere/logo.svg"), "/framescope")
    assert options.allowed_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize("base", ["framescope", "//evil.example", "/a b", "/a?b"])
def test_a_base_that_is_no_plain_path_is_refused(base: str) -> None:
    with pytest.raises(ConfigError, match=r"ui\.base .* no path such as /framescope"):
        settings.app_options(configured(f"ui: {{base: {base!r}}}"))


def test_thresholds_are_relative_to_the_target_by_default() -> None:
    found = settings.thresholds(configured())
    assert found == Thresholds()
    assert (found.fps, found.latency) == (None, None)


def test_absolute_thresholds_can_be_set_in_units_people_use() -> None:
    text = "thresholds: {fps: {warning: 70, critical: 50}, latency: {warning: 30ms, critical: 50ms}}"
    found = settings.thresholds(configured(text))
    assert found.fps == Limits(70, 50)
    assert found.latency == Limits(0.030, 0.050)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("thresholds: {fps: {warning: 70}}", "set thresholds.fps.critical too"),
        ("thresholds: {fps: {warning: 50, critical: 70}}", "thresholds.fps: lower is worse"),
        ("thresholds: {gpu_utilization: {warning: 0.99}}", "thresholds.gpu_utilization: higher is worse"),
    ],
)
def test_limits_that_contradict_each_other_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings.thresholds(configured(text))


@pytest.mark.parametrize("color", ["red", "#fff", "#12345g", "url(x)", "#000000;x"])
def test_a_brand_colour_is_six_hexadecimal_digits_and_nothing_else(color: str) -> None:
    with pytest.raises(ConfigError, match=r"a colour such as"):
        configured(f"ui: {{brand_color: {color!r}}}")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({}, "/home/somebody/.local/share/framescope"),
        ({"XDG_DATA_HOME": "/data"}, "/data/framescope"),
        ({"XDG_DATA_HOME": "relative"}, "/home/somebody/.local/share/framescope"),
    ],
)
def test_data_lie_where_the_platform_says(environ: dict[str, str], folder: str) -> None:
    assert settings.default_data_dir(environ, HOME) == Path(folder)


def test_every_key_flag_and_variable_means_one_thing() -> None:
    table = settings.every_setting({}, HOME)
    keys = [setting.key for setting in table]
    variables = [name for setting in table for name in setting.env]
    flags = [setting.flag for setting in table if setting.flag]
    for names in (keys, variables, flags):
        assert len(names) == len(set(names))


def test_every_default_is_allowed_by_its_own_setting() -> None:
    for setting in settings.every_setting({}, HOME):
        if setting.default is not None:
            assert parse(setting, str(setting.default)) == setting.default, setting.key
