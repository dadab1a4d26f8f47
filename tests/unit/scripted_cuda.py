"""A scripted CUDA driver for tests: ``cuda_stub.c`` compiled once, a fresh copy of it for each test."""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from framescope.probes.cuda_driver import Driver

HOST_ZERO = 5_000_000_000_000
"""What the host's clock shows when the device's shows 0, in tests whose clock stands still."""


@cache
def built(*options: str) -> Path:
    """The compiled stub."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        if os.environ.get("CI"):
            pytest.fail("no C compiler: these tests must run under CI")
        pytest.skip("no C compiler, so the scripted libcuda.so.1 cannot be built")
    folder = Path(mkdtemp(prefix="cuda-stub-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = folder / "libcuda.so.1"
    flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", *options]
    subprocess.run(
        [compiler, *flags, "-o", str(made), str(Path(__file__).with_name("cuda_stub.c"))], check=True
    )
    return made


class ScriptedCuda:
    """The driver, and the script that tells its device what to do."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.path = folder / f"libcuda.so.{len(list(folder.iterdir()))}"
        shutil.copy(built(*options), self.path)
        self.driver = Driver(str(self.path))
        self.library = self.driver.hot
        self.library.stub_now.restype = ctypes.c_int64
        self._following = False
        self.library.stub_initialize()
        self.context = self.new_context(0)

    def new_context(self, device: int) -> int:
        made = ctypes.c_void_p()
        assert self.library.cuCtxCreate_v2(ctypes.byref(made), 0, device) == 0
        assert made.value is not None
        return made.value

    def use(self, context: int | None) -> None:
        """Make a context the calling thread's; None: it has none."""
        self.library.cuCtxSetCurrent(ctypes.c_void_p(context))

    def destroy(self, context: int) -> None:
        self.library.stub_destroy_context(ctypes.c_void_p(context))

    def stream(self) -> int:
        made = ctypes.c_void_p()
        assert self.library.cuStreamCreateWithPriority(ctypes.byref(made), 1, 0) == 0
        assert made.value is not None
        return made.value

    def work(self, stream: int, ns: int) -> None:
        """Launch work that takes ``ns`` once what is before it on the stream has ended."""
        assert self.library.stub_work(ctypes.c_void_p(stream), ctypes.c_int64(ns)) == 0

    def capture(self, stream: int, on: bool) -> None:
        self.library.stub_capture(ctypes.c_void_p(stream), int(on))

    def forget_captures(self) -> None:
        """The streams under capture went with their context."""
        self.library.stub_forget_captures()

    def advance(self, ns: int) -> None:
        self.library.stub_advance(ctypes.c_int64(ns))

    def fail(self, call: str, code: int, times: int = -1, after: int = 0) -> None:
        self.library.stub_fail(call.encode(), code, times, after)

    def calls(self, name: str) -> int:
        return int(self.library.stub_calls(name.encode()))

    def host_ns(self) -> int:
        """A host's clock that goes with the device's."""
        return HOST_ZERO + int(self.library.stub_now())

    @property
    def violations(self) -> int:
        """Calls whose outcome a real driver leaves undefined, or that break the user's capture."""
        return int(self.library.stub_violations())

    def follow_the_host(self, speed: float = 1.0) -> None:
        """Let the device's clock run with the machine's, ``speed`` times as fast, from another zero."""
        self.library.stub_follow(ctypes.c_int64(777_000_000_000), ctypes.c_double(speed))
