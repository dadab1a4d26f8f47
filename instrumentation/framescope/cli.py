"""The command `framescope`: finds its subcommands by name and turns every outcome into an exit code.

Subcommands are entry points of the group ``framescope.commands``: functions of the arguments after the
name that return an exit code. The emitter brings `doctor`; the app brings the others.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from typing import Final

from framescope.config import ConfigError, nearest
from framescope.exit_codes import INTERRUPTED, OK, USAGE

COMMANDS: Final = "framescope.commands"
"""Entry-point group of the subcommands."""

Command = Callable[[Sequence[str]], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `framescope` with the given arguments (the process's own by default); the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    commands = find_commands(importlib.metadata.entry_points(group=COMMANDS))
    name = given[0] if given else "--help"
    if name in ("-h", "--help", "help"):
        out = sys.stdout if given else sys.stderr
        print(usage(commands), file=out)
        return OK if given else USAGE
    if name in ("-V", "--version"):
        print(f"framescope {version()}")
        return OK
    if name not in commands:
        kind = "argument" if name.startswith("-") else "command"
        hint = nearest(name, [*commands, "--help", "--version"])
        print(f"framescope: unknown {kind} {name}{hint}\n\n{usage(commands)}", file=sys.stderr)
        return USAGE
    try:
        return commands[name](given[1:])
    except ConfigError as error:
        for problem in error.problems:
            print(f"framescope {name}: {problem}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output went away (`| head`): nothing more to say, and not to the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def find_commands(entry_points: Sequence[EntryPoint] | importlib.metadata.EntryPoints) -> dict[str, Command]:
    """Subcommands by name: the built-in one and those that were found, each loaded only when it runs."""
    found: dict[str, Command] = {"doctor": _doctor}
    for point in sorted(entry_points, key=lambda point: point.name):
        found.setdefault(point.name, _loading(point))
    return dict(sorted(found.items()))


def _doctor(arguments: Sequence[str]) -> int:
    """look at what framescope needs here, and say what to change"""
    from framescope.doctor import doctor

    return doctor(arguments)


def _loading(point: EntryPoint) -> Command:
    def command(arguments: Sequence[str]) -> int:
        with needs_extra(point.name, "ui"):
            run: Command = point.load()
        return run(arguments)

    return command


@contextmanager
def needs_extra(command: str, extra: str) -> Iterator[None]:
    """Around the imports of a command: a missing package becomes one clear line and exit code 2."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.partition(".")[0] == "framescope" or missing.startswith("framescope_ui."):
            raise  # a fault of ours, not a missing extra
        print(
            f"framescope {command} needs the extra: pip install 'framescope[{extra}]' "
            f"(the module {missing} is missing)",
            file=sys.stderr,
        )
        raise SystemExit(USAGE) from error


def usage(commands: Mapping[str, Command]) -> str:
    return (
        "usage: framescope COMMAND [ARGUMENTS]\n"
        "       framescope COMMAND --help\n"
        "       framescope --version\n\n"
        f"commands: {', '.join(commands)}"
    )


def version() -> str:
    """The installed version; ``unknown`` when run from files that were never installed."""
    try:
        return importlib.metadata.version("framescope")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
