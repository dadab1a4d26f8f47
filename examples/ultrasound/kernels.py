"""The accelerator's kernels: real image work, cut into strips of rows.

A strip is the smallest piece of a kernel: between two strips the accelerator can hold its clock back.
Every kernel takes a grey image and gives one of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from ultrasound.jpeg import Image

STRIP_ROWS = 48
_NOISE_VARIANCE = 180.0
_WALL = 12
_GAP = cv2.getStructuringElement(cv2.MORPH_RECT, (21, 21))

Kernel = Callable[[Image, Image], Iterator[None]]
"""Fills its second argument from the first; yields after every strip."""


def despeckle(source: Image, target: Image) -> Iterator[None]:
    """Speckle reduction: a median, Lee's filter (smooth where the variance is noise), a bilateral filter."""
    for rows, halo, inner in _strips(source.shape[0], 8):
        strip = np.ascontiguousarray(source[halo])
        grey = _lee(cv2.medianBlur(strip, 5), 7)
        target[rows] = cv2.bilateralFilter(grey, 5, 40.0, 5.0)[inner]
        yield


def segment(source: Image, target: Image) -> Iterator[None]:
    """The dark region (blood): 255 inside the largest dark component that the bright wall surrounds."""
    dark = np.empty_like(source)
    for rows, halo, inner in _strips(source.shape[0], 22):
        smooth = cv2.blur(np.ascontiguousarray(source[halo]), (3, 3))
        wall = cv2.threshold(smooth, _WALL, 255, cv2.THRESH_BINARY)[1]
        dark[rows] = cv2.bitwise_not(cv2.morphologyEx(wall, cv2.MORPH_CLOSE, _GAP))[inner]
        yield
    target[:] = _largest_inside(dark)
    yield


def copy(source: Image, target: Image) -> Iterator[None]:
    """Nothing but the way there and back."""
    target[:] = source[:]
    yield


KERNELS: dict[str, Kernel] = {"despeckle": despeckle, "segment": segment, "copy": copy}


def run(name: str, source: Image) -> Image:
    """One kernel at once, for tests and for whoever needs no accelerator."""
    target = np.empty_like(source)
    for _ in KERNELS[name](source, target):
        pass
    return target


def _strips(height: int, margin: int) -> Iterator[tuple[slice, slice, slice]]:
    """For each strip: its rows, its rows with the margin its filters reach into, its place in those."""
    for top in range(0, height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, height)
        first, last = max(0, top - margin), min(height, bottom + margin)
        yield slice(top, bottom), slice(first, last), slice(top - first, bottom - first)


def _lee(grey: Image, size: int) -> Image:
    pixels = grey.astype(np.float32)
    mean = cv2.blur(pixels, (size, size))
    variance = cv2.sqrBoxFilter(pixels, -1, (size, size)) - mean * mean
    return np.asarray(
        np.clip(mean + variance / (variance + _NOISE_VARIANCE) * (pixels - mean), 0, 255), np.uint8
    )


def _largest_inside(dark: Image) -> Image:
    """The largest dark component that does not touch the image's rim (that one is outside the sector)."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(dark, connectivity=4)
    height, width = dark.shape
    best, area = 0, 0
    for label in range(1, count):
        left, top, wide, high, size = (int(v) for v in statistics[label])
        touches = left == 0 or top == 0 or left + wide == width or top + high == height
        if not touches and size > area:
            best, area = label, size
    return np.asarray((labels == best) * 255 if best else np.zeros_like(dark), np.uint8)
