"""What the compose file promises, read from the file itself; `make test-compose` starts it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from framescope.config import EMITTER
from framescope_ui import settings

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy" / "compose"
FILE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


def started(profile: str) -> set[str]:
    return {name for name, service in SERVICES.items() if profile in service["profiles"]}


@pytest.mark.parametrize(
    ("profile", "services"),
    [
        ("tempo", {"otel-collector", "prometheus", "tempo", "watch", "app"}),
        ("demo", {"otel-collector", "prometheus", "tempo", "watch", "app", "ultrasound"}),
        ("gpu", {"otel-collector", "prometheus", "tempo", "watch", "app", "ultrasound-gpu"}),
        ("jaeger", {"otel-collector-jaeger", "victoria-metrics", "jaeger", "watch-jaeger", "app-jaeger"}),
        ("embedded", {"store", "app-embedded"}),
        ("embedded-demo", {"store", "app-embedded", "ultrasound"}),
    ],
)
def test_a_profile_is_all_that_is_needed(profile: str, services: set[str]) -> None:
    assert started(profile) == services


def test_no_service_is_outside_the_profiles_so_that_one_can_be_had_alone() -> None:
    assert all(service["profiles"] for service in SERVICES.values())
    assert "COMPOSE_PROFILES=tempo" in (FOLDER / ".env").read_text().splitlines()


@each_service
def test_a_service_has_limits_and_no_rights(service: dict[str, Any]) -> None:
    assert not service["user"].startswith(("0", "root"))
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service and "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"] and service["pids_limit"]
    assert service["restart"] == "unless-stopped"
    assert "network_mode" not in service and "pid" not in service


@each_service
def test_ports_are_for_this_machine_alone_unless_asked_otherwise(service: dict[str, Any]) -> None:
    for port in service.get("ports", ()):
        assert port.startswith("${FRAMESCOPE_BIND:-127.0.0.1}:"), port


@each_service
def test_versions_are_pinned(service: dict[str, Any]) -> None:
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), service["image"]


@each_service
def test_what_is_mounted_from_the_checkout_is_there_and_cannot_be_written(service: dict[str, Any]) -> None:
    for volume in service.get("volumes", ()):
        source, _, rest = volume.partition(":")
        if source.startswith("."):
            assert (FOLDER / source).resolve().exists(), source
            assert rest.endswith(":ro"), volume
        else:
            assert source in FILE["volumes"]


@each_service
def test_somebody_checks_its_health(service: dict[str, Any]) -> None:
    """Its own check; else `watch`, for images that hold nothing to ask with."""
    watched = " ".join(
        word for one in SERVICES.values() for word in one.get("healthcheck", {}).get("test", ())
    )
    name = next(name for name, one in SERVICES.items() if one is service)
    known_as = {name, *(service.get("networks", {}).get("default", {}).get("aliases", ()))}
    assert "healthcheck" in service or any(f"http://{host}:" in watched for host in known_as)


@pytest.mark.parametrize("server", ["prometheus", "victoria-metrics"])
def test_servers_are_started_with_the_flags_that_are_tested(server: str) -> None:
    flags = (ROOT / "deploy" / server / "flags").read_text().split()
    assert set(flags) <= set(SERVICES[server]["command"])


@each_service
def test_settings_are_ones_that_exist(service: dict[str, Any]) -> None:
    known: set[str] = set()
    for setting in (*settings.every_setting({}, Path("/")), *EMITTER):
        known.update(setting.env)
        if setting.secret:
            known.update(f"{name}_FILE" for name in setting.env)
    given = {name for name in service.get("environment", {}) if name.startswith("FRAMESCOPE_")}
    assert given <= known


@each_service
def test_no_secret_is_written_here(service: dict[str, Any]) -> None:
    for name, value in service.get("environment", {}).items():
        if re.search("PASSWORD|BEARER|TOKEN|HEADERS|SECRET", name):
            assert value == f"${{{name}:-}}", name


def test_the_collectors_settings_are_ones_its_configuration_reads() -> None:
    read = set(re.findall(r"\$\{env:(\w+)", (ROOT / "otel-collector-config.yaml").read_text()))
    for name in ("otel-collector", "otel-collector-jaeger"):
        assert {one for one in SERVICES[name]["environment"] if one != "GOMEMLIMIT"} <= read


def test_the_image_carries_this_version() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    ours = {one["image"] for one in SERVICES.values() if one["image"].startswith("framescope")}
    assert ours == {f"framescope:{version[1]}", f"framescope-demo:{version[1]}"}
