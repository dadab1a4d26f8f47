"""Configuration: a declared table of settings, read from a file, the environment and flags; later wins.

A table is a sequence of `Setting`. `resolve` merges what the file, the environment and the command line
say, checks every value, and remembers where each came from. Unknown keys are errors that name the
nearest known one. Everything here is a pure function of its arguments: the environment and the reading
of files are passed in.

The emitter's own table (`EMITTER`) is here too; the app declares its own beside its code.
"""

from __future__ import annotations

import argparse
import difflib
import json
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

Value = bool | int | float | str | Path | None
Kind = Literal["bool", "int", "float", "str", "path", "duration", "size", "color", "url"]
ReadFile = Callable[[Path], str]
"""Reads a text file whole; raises `OSError` where it cannot."""

DEFAULT_FILE: Final = Path("framescope.yaml")
PREFIX: Final = "FRAMESCOPE_"
FILE_VARIABLE: Final = "FRAMESCOPE_CONFIG"
"""Names the configuration file, as `--config` does."""
NO_SETTINGS: Final = frozenset({"FRAMESCOPE_COMPILED", "FRAMESCOPE_RAISE", "FRAMESCOPE_STACK_BIN"})
"""Variables of framescope's own tests: its faults are raised instead of counted; where real servers are."""
HIDDEN: Final = "***"

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_DURATIONS: Final = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES: Final = {
    "": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4,
    "kib": 1024, "mib": 1024**2, "gib": 1024**3, "tib": 1024**4,
}  # fmt: skip
_QUANTITY: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*([a-zA-Z]*)\s*")
_COLOR: Final = re.compile(r"#[0-9a-fA-F]{6}")


class ConfigError(ValueError):
    """The configuration cannot be used. ``problems`` holds one sentence for each fault found."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be set.

    ``key`` is its dotted place in the file. ``env`` are the variables that set it, the own name first,
    then the aliases. ``unit`` is what a bare number means. A ``secret`` is never taken from the file or
    a flag: only from its variable, or from the file that ``<key>_file`` names.
    """

    key: str
    kind: Kind
    default: Value
    meaning: str
    env: tuple[str, ...] = ()
    flag: str | None = None
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False


@dataclass(frozen=True, slots=True)
class InForce:
    """A setting's value and, in words, where it came from. ``file`` held it, where it is a secret in one."""

    setting: Setting
    value: Value = field(repr=False)
    origin: str
    file: Path | None = None


@dataclass(frozen=True)
class Configuration:
    """What is in force, by key. The typed getters raise `KeyError` for a key outside the table."""

    entries: Mapping[str, InForce]
    warnings: tuple[str, ...] = field(default=())

    def __iter__(self) -> Iterator[InForce]:
        return iter(self.entries.values())

    def value(self, key: str) -> Value:
        return self.entries[key].value

    def origin(self, key: str) -> str:
        return self.entries[key].origin

    def truth(self, key: str) -> bool:
        return bool(self.value(key))

    def whole(self, key: str) -> int:
        return _expect(int, key, self.value(key))

    def number(self, key: str) -> float:
        value = self.value(key)
        return float(value) if isinstance(value, int) else _expect(float, key, value)

    def optional_number(self, key: str) -> float | None:
        return None if self.value(key) is None else self.number(key)

    def text(self, key: str) -> str:
        return _expect(str, key, self.value(key))

    def optional_text(self, key: str) -> str | None:
        return None if self.value(key) is None else self.text(key)

    def secret_file(self, key: str) -> Path | None:
        """The file a secret stands in, for secrets that are renewed there; None where it is in none."""
        return self.entries[key].file

    def path(self, key: str) -> Path:
        return _expect(Path, key, self.value(key))

    def optional_path(self, key: str) -> Path | None:
        return None if self.value(key) is None else self.path(key)

    def table(self) -> str:
        """`--print-config`: each key with its value in force, its unit and where it came from."""
        rows = [("# setting", "value", "from")]
        rows += [(e.setting.key, show(e), e.origin) for e in self]
        wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
        return "\n".join(f"{key:<{wide[0]}}  {value:<{wide[1]}}  {origin}" for key, value, origin in rows)


_T = TypeVar("_T")


def _expect(kind: type[_T], key: str, value: Value) -> _T:
    if isinstance(value, kind):
        return value
    raise TypeError(f"{key} is a {type(value).__name__}, not a {kind.__name__}")


def show(entry: InForce) -> str:
    """The value as people read it; a secret that is set shows as ``***``."""
    if entry.value is None:
        return "-"
    if entry.setting.secret:
        return HIDDEN
    if isinstance(entry.value, bool):
        return "true" if entry.value else "false"
    return f"{entry.value} {entry.setting.unit}".rstrip()


# --- one value --------------------------------------------------------------------------------------


def allowed(setting: Setting) -> str:
    """What may stand there, in words, for error messages and help."""
    if setting.choices:
        return "one of " + ", ".join(setting.choices)
    words = {
        "bool": "true or false",
        "int": "a whole number",
        "float": "a number",
        "str": "text",
        "path": "a path",
        "duration": "a duration such as 0.5, 250ms, 30s, 5m, 12h or 7d (a bare number is seconds)",
        "size": "a size such as 500MB or 2GiB (a bare number is bytes)",
        "color": "a colour such as #1f6feb",
        "url": "an address such as http://host:9090/prefix",
    }[setting.kind]
    low, high = setting.minimum, setting.maximum
    if low is not None and high is not None:
        return f"{words}, from {low:g} to {high:g}"
    if low is not None:
        return f"{words}, at least {low:g}"
    if high is not None:
        return f"{words}, at most {high:g}"
    return words


def parse(setting: Setting, raw: object) -> Value:
    """One value as the setting wants it, from text or from what a file's parser gave.

    Raises `ValueError` with what is allowed where the value does not fit.
    """
    if setting.kind == "url":
        return _address(raw)
    value = _converted(setting.kind, raw)
    fits = value is not None and (not setting.choices or value in setting.choices)
    if fits and isinstance(value, int | float) and not isinstance(value, bool):
        fits = (setting.minimum is None or value >= setting.minimum) and (
            setting.maximum is None or value <= setting.maximum
        )
    if not fits:
        shown = HIDDEN if setting.secret else repr(raw)
        raise ValueError(f"{shown} is not allowed: expected {allowed(setting)}")
    return value


def _address(raw: object) -> str:
    """An http or https address. It is never quoted where it is refused: it may hold a password or a token."""
    text = raw.strip() if isinstance(raw, str) else ""
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if known and parts.username is not None:
        raise ValueError(
            "an address must not carry a user and a password: set the user name, and give the password by a "
            "file or the environment"
        )
    if not known or any(letter.isspace() or not letter.isprintable() for letter in text):
        raise ValueError("expected an address such as http://host:9090/prefix (http or https, and a host)")
    if parts.query or parts.fragment:
        raise ValueError("an address ends with its path: no ? and no #")
    return text


def _converted(kind: Kind, raw: object) -> Value:
    """The raw value in the setting's own type; ``None`` where it cannot be read as that."""
    if isinstance(raw, bool):
        return raw if kind == "bool" else None
    if isinstance(raw, int | float):
        return _from_number(kind, raw)
    if not isinstance(raw, str):
        return None
    text = raw.strip()
    if kind == "bool":
        return True if text.lower() in _TRUE else False if text.lower() in _FALSE else None
    if kind == "color":
        return text.lower() if _COLOR.fullmatch(text) else None
    if kind == "str":
        return text or None
    if kind == "path":
        return Path(text).expanduser() if text and "\0" not in text else None
    if kind == "duration":
        return _quantity(text, _DURATIONS)
    if kind == "size":
        amount = _quantity(text, _SIZES)
        return None if amount is None else int(amount)
    try:
        return _from_number(kind, int(text) if kind == "int" else float(text))
    except ValueError:
        return None


def _from_number(kind: Kind, raw: int | float) -> Value:
    if isinstance(raw, float) and not math.isfinite(raw):
        return None
    if kind in ("float", "duration"):
        try:
            return float(raw)
        except OverflowError:
            return None
    if kind in ("int", "size"):
        return int(raw) if raw == int(raw) else None
    if kind == "bool":
        return bool(raw) if raw in (0, 1) else None
    return str(raw) if kind == "str" else None


def _quantity(text: str, units: Mapping[str, float]) -> float | None:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2].lower() not in units:
        return None
    amount = float(match[1]) * units[match[2].lower()]
    return amount if math.isfinite(amount) else None


# --- the file ---------------------------------------------------------------------------------------


def parse_file(path: Path, text: str) -> dict[str, object]:
    """The file's settings by dotted key. YAML (needs pyyaml), JSON or TOML, told by the suffix."""
    loaded = _load(path, text)
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError([f"{path}: expected settings by name at the top, found {type(loaded).__name__}"])
    return dict(_flattened(loaded, ""))


def _load(path: Path, text: str) -> object:
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        try:
            import yaml
        except ImportError:
            raise ConfigError(
                [
                    f"{path}: reading YAML needs pyyaml. Install it (pip install pyyaml), "
                    "or write the file as .toml or .json and name it with --config or FRAMESCOPE_CONFIG."
                ]
            ) from None
        try:
            return yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigError([f"{path}: not valid YAML: {_one_line(error)}"]) from error
    try:
        if suffix == ".json":
            return json.loads(text)
        if suffix == ".toml":
            return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        kind = suffix[1:].upper()
        raise ConfigError([f"{path}: not valid {kind}: {_one_line(error)}"]) from error
    raise ConfigError([f"{path}: unknown kind of file. Name it .yaml, .yml, .toml or .json."])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _flattened(tree: Mapping[Any, object], before: str) -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        key = f"{before}{name}"
        if isinstance(value, dict):
            yield from _flattened(value, key + ".")
        else:
            yield key, value


# --- all sources together ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Said:
    """One source's word on one setting."""

    raw: object
    origin: str


def resolve(
    table: Sequence[Setting],
    *,
    environ: Mapping[str, str],
    read_file: ReadFile,
    flags: Mapping[str, object] | None = None,
    file: Path | None = None,
    also_known: Sequence[Setting] = (),
    strict: bool = True,
) -> Configuration:
    """Merge file < environment < flags over the defaults of ``table``.

    ``flags`` holds raw values by key, ``None`` for a flag not given. ``file`` is what `--config` named; else
    ``FRAMESCOPE_CONFIG`` names it; else ``framescope.yaml`` is read where there is one. ``also_known`` are
    settings of other tables that may stand in the same file and environment. With ``strict`` off (the
    emitter inside somebody's program) sections this table has no setting in are passed over, and a
    variable that looks like a slip of the pen is a warning.

    Raises `ConfigError` with every fault found, each saying what, where it stands and what is allowed.
    """
    problems: list[str] = []
    warnings: list[str] = []
    said: dict[str, _Said] = {}

    path = file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    said.update(_from_file(table, path, read_file, also_known, strict, problems))
    said.update(_from_environment(table, environ, also_known, problems if strict else warnings, strict))
    for setting in table:
        raw = (flags or {}).get(setting.key)
        if raw is not None:
            said[setting.key] = _Said(raw, f"flag {setting.flag or setting.key}")

    entries: dict[str, InForce] = {}
    for setting in table:
        word = said.get(setting.key)
        if word is None:
            entries[setting.key] = InForce(setting, setting.default, "default")
            continue
        try:
            file_of_it = _secret_file(setting, word) if setting.secret else None
            raw = _content(file_of_it, read_file) if file_of_it else word.raw
            entries[setting.key] = InForce(setting, parse(setting, raw), word.origin, file_of_it)
        except ValueError as error:
            problems.append(f"{setting.key} ({word.origin}): {error}")
    if problems:
        raise ConfigError(problems)
    return Configuration(entries, tuple(warnings))


def _from_file(
    table: Sequence[Setting],
    path: Path | None,
    read_file: ReadFile,
    also_known: Sequence[Setting],
    strict: bool,
    problems: list[str],
) -> dict[str, _Said]:
    try:
        values = parse_file(path or DEFAULT_FILE, read_file(path or DEFAULT_FILE))
    except FileNotFoundError:
        if path is not None:
            problems.append(f"{path}: there is no such file (named by --config or {FILE_VARIABLE})")
        return {}
    except ConfigError as error:
        problems.extend(error.problems)
        return {}
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path or DEFAULT_FILE}: cannot be read: {_one_line(error)}")
        return {}

    where = str(path or DEFAULT_FILE)
    own = {name: setting for setting in table for name in _file_keys(setting)}
    known = {name for setting in (*table, *also_known) for name in _file_keys(setting)}
    sections = {name.partition(".")[0] for name in own}
    said: dict[str, _Said] = {}
    for key, raw in values.items():
        setting = own.get(key)
        if setting is not None:
            origin = f"{where}: {key}"
            said[setting.key] = _Said(raw, origin)
        elif raw is None and any(name.startswith(f"{key}.") for name in known):
            continue  # a section with nothing in it
        elif key in known or (not strict and key.partition(".")[0] not in sections):
            continue
        elif secret := next((s for s in (*table, *also_known) if s.secret and _within(key, s.key)), None):
            problems.append(
                f"{where}: {secret.key} is a secret and may not stand in the file. Name a file that holds it "
                f"with {secret.key}_file{_or_variable(secret)}."
            )
        else:
            problems.append(f"{where}: unknown setting {key}{nearest(key, known)}")
    return said


def _file_keys(setting: Setting) -> tuple[str, ...]:
    return (f"{setting.key}_file",) if setting.secret else (setting.key,)


def _from_environment(
    table: Sequence[Setting],
    environ: Mapping[str, str],
    also_known: Sequence[Setting],
    notes: list[str],
    strict: bool,
) -> dict[str, _Said]:
    known = {name for setting in (*table, *also_known) for name in _variables(setting)}
    known |= {FILE_VARIABLE}
    # Compared without what all of them begin with, which makes any two look alike.
    ends = {name.removeprefix(PREFIX) for name in known if name.startswith(PREFIX)}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known and name not in NO_SETTINGS:
            end = name.removeprefix(PREFIX)
            hint = nearest(end, ends, cutoff=0.6 if strict else 0.8, before=PREFIX)
            if strict or hint:
                notes.append(f"environment: unknown variable {name}{hint}")
    said: dict[str, _Said] = {}
    for setting in table:
        for name in _variables(setting):
            if environ.get(name):  # an empty variable is an unset one, as everywhere in OpenTelemetry
                said[setting.key] = _Said(environ[name], f"environment {name}")
                break
    return said


def _variables(setting: Setting) -> tuple[str, ...]:
    files = tuple(f"{name}_FILE" for name in setting.env) if setting.secret else ()
    return (*setting.env, *files)


def _within(key: str, above: str) -> bool:
    return key == above or key.startswith(f"{above}.")


def _or_variable(secret: Setting) -> str:
    return f", or set {secret.env[0]}" if secret.env else ""


def _secret_file(setting: Setting, word: _Said) -> Path | None:
    """The file that was named to hold a secret; None where the variable holds the secret itself."""
    if word.origin in {f"environment {name}" for name in setting.env}:
        return None
    if not isinstance(word.raw, str) or not word.raw.strip():
        raise ValueError("expected the path of a file that holds the secret")
    return Path(word.raw.strip()).expanduser()


def _content(path: Path, read_file: ReadFile) -> str:
    try:
        return read_file(path).strip()
    except (OSError, ValueError) as error:
        why = _one_line(error) if isinstance(error, OSError) else "it is not text"
        raise ValueError(f"the file that holds the secret cannot be read: {why}") from None


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6, before: str = "") -> str:
    """``; did you mean X?`` for the closest known word (after ``before``); nothing where none is close."""
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=cutoff)
    return f"; did you mean {before}{close[0]}?" if close else ""


# --- flags ------------------------------------------------------------------------------------------


class FlagParser(argparse.ArgumentParser):
    """Flags from a table. Wrong arguments: usage on stderr, the nearest flag named, exit 2."""

    def __init__(self, prog: str, description: str, table: Sequence[Setting]) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        self._flags = {setting.flag for setting in table if setting.flag} | {"--config", "--print-config"}
        self._secrets = {"--" + s.key.replace(".", "-").replace("_", "-"): s for s in table if s.secret}
        self.add_argument(
            "--config", metavar="FILE", type=Path, help="configuration file (YAML, TOML or JSON)"
        )
        self.add_argument(
            "--print-config", action="store_true", help="show each value and its origin, and end"
        )
        for setting in table:
            if setting.flag is None:
                continue
            text = f"{setting.meaning} (default {show(InForce(setting, setting.default, ''))})".replace(
                "%", "%%"
            )
            if setting.kind == "bool":
                action = argparse.BooleanOptionalAction
                self.add_argument(setting.flag, dest=setting.key, action=action, default=None, help=text)
            else:
                metavar = setting.kind.upper()
                self.add_argument(setting.flag, dest=setting.key, default=None, metavar=metavar, help=text)

    def parse_strictly(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse, or exit 2 naming what was not understood and the nearest flag."""
        parsed, left = self.parse_known_args(arguments)
        if left:
            word = left[0].partition("=")[0]
            if secret := self._secrets.get(word.replace("_", "-").replace(".", "-")):
                self.error(
                    f"{word}: a secret on the command line is seen by everybody on this machine. Name a file "
                    f"that holds it with {secret.key}_file in the configuration file{_or_variable(secret)}."
                )
            self.error(f"unknown argument {word}{nearest(word, (f for f in self._flags if f))}")
        return parsed


# --- the emitter's own settings ----------------------------------------------------------------------


def _every(group: str, usual: float, most: float, what: str) -> Setting:
    """How often one group of NVML calls is made."""
    return Setting(
        f"emitter.gpu.{group}",
        "duration",
        usual,
        f"time between two readings of {what}; 0 switches them off",
        env=(f"FRAMESCOPE_GPU_{group.upper()}",),
        unit="s",
        minimum=0,
        maximum=most,
    )


CAUSES: Final = Setting(
    "emitter.causes",
    "str",
    None,
    "modules of your own that register causes (docs/verdict.md), separated by commas",
    env=("FRAMESCOPE_CAUSES",),
)
"""The app reads it too: it shows what the agent names."""

EMITTER: Final[tuple[Setting, ...]] = (
    Setting(
        "emitter.enabled",
        "bool",
        True,
        "record at all; off costs almost nothing",
        env=("FRAMESCOPE_ENABLED", "KPI_LOGGING"),
    ),
    Setting(
        "emitter.agent",
        "str",
        "process",
        "where the agent runs: a helper process, or a thread of the host",
        env=("FRAMESCOPE_AGENT",),
        choices=("process", "thread"),
    ),
    Setting(
        "emitter.keep_budget",
        "float",
        50.0,
        "frames kept whole a second at most, per process",
        env=("FRAMESCOPE_KEEP_BUDGET",),
        unit="1/s",
        minimum=0,
        maximum=10_000,
    ),
    Setting(
        "emitter.flight_recorder",
        "duration",
        5.0,
        "kept whole when many frames go wrong after a calm, slow or not; 0 keeps nothing",
        env=("FRAMESCOPE_FLIGHT_RECORDER",),
        unit="s",
        minimum=0,
        maximum=60,
    ),
    Setting(
        "emitter.baseline",
        "int",
        100,
        "one on-time frame in this many is kept as the baseline; 0 keeps none",
        env=("FRAMESCOPE_BASELINE",),
        unit="frames",
        minimum=0,
        maximum=1_000_000,
    ),
    Setting(
        "emitter.probes.gpu",
        "bool",
        True,
        "read the GPU (NVML or the software accelerator)",
        env=("FRAMESCOPE_PROBES_GPU",),
    ),
    Setting(
        "emitter.probes.host",
        "bool",
        True,
        "read CPU and memory of the machine and the host process",
        env=("FRAMESCOPE_PROBES_HOST",),
    ),
    Setting(
        "emitter.probes.process",
        "bool",
        False,
        "read more of the host process by OpenTelemetry's instrumentation (pip install framescope[system])",
        env=("FRAMESCOPE_PROBES_PROCESS",),
    ),
    Setting(
        "emitter.probes.pressure",
        "bool",
        True,
        "read /proc/pressure and the cgroup's throttled time",
        env=("FRAMESCOPE_PROBES_PRESSURE",),
    ),
    Setting(
        "emitter.probes.scheduler",
        "bool",
        True,
        "read each frame's run-queue time",
        env=("FRAMESCOPE_PROBES_SCHEDULER",),
    ),
    Setting(
        "emitter.probes.gc",
        "bool",
        True,
        "time Python's garbage collections",
        env=("FRAMESCOPE_PROBES_GC",),
    ),
    Setting(
        "emitter.probes.gil",
        "bool",
        True,
        "knock at the interpreter lock while frames are held up",
        env=("FRAMESCOPE_PROBES_GIL",),
    ),
    Setting(
        "emitter.probes.system_calls",
        "bool",
        False,
        "let the agent read what the frames' threads wait in (Linux; see docs/evidence.md)",
        env=("FRAMESCOPE_PROBES_SYSTEM_CALLS",),
    ),
    Setting(
        "emitter.probes.stacks",
        "bool",
        False,
        "sample the Python stack of a stage that takes longer than usual",
        env=("FRAMESCOPE_PROBES_STACKS",),
    ),
    Setting(
        "emitter.probes.cupti",
        "bool",
        False,
        "one second a minute, record every kernel and copy of the GPU stages (needs framescope[cupti])",
        env=("FRAMESCOPE_PROBES_CUPTI",),
    ),
    Setting(
        "emitter.probes.gpu_canary",
        "bool",
        False,
        "launch a small kernel ten times a second to see how long the GPU keeps work waiting",
        env=("FRAMESCOPE_PROBES_GPU_CANARY",),
    ),
    CAUSES,
    _every("utilization", 0.1, 5, "the GPU's load"),
    _every("sharing", 0.2, 60, "the GPU's load by process"),
    _every("fields", 0.2, 60, "the GPU's power, clocks, throttle times and PCIe bytes"),
    _every("activity", 0.5, 60, "what the GPU's parts do (Hopper and later, never under 0.1 s)"),
    _every("memory", 1.0, 60, "the GPU's memory, temperatures, encoder and decoder"),
    _every("residents", 10.0, 600, "who holds GPU memory, its fan and its error totals"),
    Setting(
        "emitter.gpu.events",
        "bool",
        True,
        "wait for Xid and memory errors of the GPU, on a thread of their own",
        env=("FRAMESCOPE_GPU_EVENTS",),
    ),
)


@dataclass(frozen=True, slots=True)
class EmitterSettings:
    """What the emitter runs with. ``baseline`` N keeps one on-time frame in N, 0 none."""

    enabled: bool
    agent: Literal["process", "thread"]
    keep_budget: float
    baseline: int
    probes: frozenset[str]
    """The names under ``emitter.probes``, those that are on."""
    gpu: Mapping[str, float] = field(default_factory=dict)
    """What ``emitter.gpu`` says: seconds between two readings by group of calls; ``events`` 1 or 0."""
    warnings: tuple[str, ...] = ()
    flight_recorder: float = 5.0
    causes: tuple[str, ...] = ()
    """Modules that register causes of the user's own."""


def emitter_settings(
    environ: Mapping[str, str], read_file: ReadFile, overrides: Mapping[str, object] | None = None
) -> EmitterSettings:
    """The emitter's settings. ``overrides`` (by key, such as ``emitter.enabled``) are what the program gave.

    Raises `ConfigError`.
    """
    found = resolve(EMITTER, environ=environ, read_file=read_file, flags=overrides, strict=False)
    probes = (
        e.setting.key.rpartition(".")[2]
        for e in found
        if e.setting.key.startswith("emitter.probes.") and e.value
    )
    return EmitterSettings(
        enabled=found.truth("emitter.enabled"),
        agent="thread" if found.text("emitter.agent") == "thread" else "process",
        keep_budget=found.number("emitter.keep_budget"),
        baseline=found.whole("emitter.baseline"),
        flight_recorder=found.number("emitter.flight_recorder"),
        probes=frozenset(probes),
        gpu={
            e.setting.key.rpartition(".")[2]: float(e.value)
            for e in found
            if e.setting.key.startswith("emitter.gpu.") and isinstance(e.value, int | float)
        },
        warnings=found.warnings,
        causes=modules_in(found.optional_text(CAUSES.key)),
    )


def modules_in(text: str | None) -> tuple[str, ...]:
    """The names in a list separated by commas."""
    return tuple(name for part in (text or "").split(",") if (name := part.strip()))


def read_text(path: Path) -> str:
    """The real file reader, for whoever stands at the edge."""
    return path.read_text(encoding="utf-8")
