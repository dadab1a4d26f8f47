"""A stand-in for torch: tensors that compute nothing, on the current stream of a scripted device."""

from __future__ import annotations

import time
from types import SimpleNamespace

from scripted_device import work

from torch import _C, cuda


class Tensor:
    def __getitem__(self, _: object) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        time.sleep(0.0005)
        return self


def zeros(*_: int, device: str) -> Tensor:
    cuda.initialize()
    return Tensor()


def avg_pool2d(image: Tensor, _: int) -> Tensor:
    work(_C._cuda_getCurrentRawStream(_C._cuda_getDevice()))
    return Tensor()


nn = SimpleNamespace(functional=SimpleNamespace(avg_pool2d=avg_pool2d))
