"""Streams of every CUDA package, by what their objects offer: none of the packages is imported or needed."""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType, SimpleNamespace

import pytest

from framescope.probes.cuda_streams import current, follow, handle_of


class Protocol:
    """cuda-core, Numba and newer torch."""

    def __cuda_stream__(self) -> tuple[int, int]:
        return (0, 0x7F00)


class OldProtocol:
    """cuda-core before 0.2: an attribute."""

    __cuda_stream__ = (0, 0x7F00)


@pytest.mark.parametrize(
    "stream",
    [
        0x7F00,
        Protocol(),
        OldProtocol(),
        SimpleNamespace(cuda_stream=0x7F00),
        SimpleNamespace(ptr=0x7F00),
        SimpleNamespace(handle=ctypes.c_void_p(0x7F00)),
    ],
    ids=["a number", "the protocol", "the protocol as it was", "torch", "CuPy", "Numba"],
)
def test_a_stream_of_any_package_is_its_handle(stream: object) -> None:
    assert handle_of(stream) == 0x7F00


def test_numba_s_default_stream_is_handle_0() -> None:
    assert handle_of(SimpleNamespace(handle=ctypes.c_void_p(0))) == 0


@pytest.mark.parametrize("thing", ["0", 1.5, True, -1, object()])
def test_what_is_no_stream_is_refused_in_words(thing: object) -> None:
    with pytest.raises(TypeError, match=r"is no CUDA stream: give one of torch, CuPy, cuda-core or Numba"):
        follow(thing)


def test_a_function_is_asked_each_time() -> None:
    streams = iter([SimpleNamespace(ptr=1024), 2048])
    stream = follow(lambda: next(streams))
    assert [stream(), stream()] == [1024, 2048]


def fake_torch(initialized: bool, raw: bool) -> ModuleType:
    """torch as far as a stream is asked of it: two devices, each with its current stream."""
    torch = ModuleType("torch")
    state = SimpleNamespace(device=0, streams=[11_000, 22_000])
    torch.state = state  # type: ignore[attr-defined]
    torch.cuda = SimpleNamespace(  # type: ignore[attr-defined]
        is_initialized=lambda: initialized,
        current_stream=lambda: SimpleNamespace(cuda_stream=state.streams[state.device]),
    )
    torch._C = SimpleNamespace()  # type: ignore[attr-defined]
    if raw:
        torch._C._cuda_getDevice = lambda: state.device
        torch._C._cuda_getCurrentRawStream = lambda device: state.streams[device]
    return torch


@pytest.mark.parametrize("raw", [True, False], ids=["by its raw stream", "by its stream object"])
def test_torch_s_current_stream_is_followed_from_stage_to_stage(
    monkeypatch: pytest.MonkeyPatch, raw: bool
) -> None:
    torch = fake_torch(True, raw)
    monkeypatch.setitem(sys.modules, "torch", torch)
    stream = follow(None)
    assert stream() == 11_000
    torch.state.streams[0] = 33_000  # inside torch.cuda.stream(…)
    assert stream() == 33_000
    torch.state.device = 1
    assert stream() == 22_000


def test_a_torch_that_does_not_use_cuda_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake_torch(False, True))
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert current() == 0


def test_cupy_s_current_stream_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = ModuleType("cupy")
    cupy.cuda = SimpleNamespace(get_current_stream=lambda: SimpleNamespace(ptr=44_000))  # type: ignore[attr-defined]
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert current() == 44_000


def test_without_either_it_is_the_default_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert current() == 0


def test_a_stream_object_is_kept_alive() -> None:
    """A handle whose stream was destroyed may come to mean another."""
    stream = Protocol()
    held = sys.getrefcount(stream)
    following = follow(stream)
    assert following() == 0x7F00
    assert sys.getrefcount(stream) == held + 1
