"""The cine loop: thirty JPEG frames of a real ultrasound recording that pydicom ships."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames

from ultrasound import jpeg

RECORDING = "examples_ybr_color.dcm"


class CineMissing(Exception):
    """The recording is not in the installed pydicom."""


@dataclass(frozen=True, slots=True)
class Cine:
    """The encoded frames as the scanner stored them, and the time between two of them in s."""

    frames: tuple[bytes, ...]
    frame_time: float
    width: int
    height: int

    def fragment(self, sequence: int) -> bytes:
        """The encoded frame number ``sequence`` of the endless loop."""
        return self.frames[sequence % len(self.frames)]


def load() -> Cine:
    """Read the recording from the installed pydicom, never from the network. Raises ``CineMissing``."""
    path = get_testdata_file(RECORDING, download=False)
    if not isinstance(path, str):
        raise CineMissing(
            f"{RECORDING} is not in the installed pydicom {pydicom.__version__}: "
            "install pydicom 3 with its data files (pip install 'framescope[demo]')"
        )
    dataset = pydicom.dcmread(path)
    count = int(dataset.NumberOfFrames)
    frames = tuple(generate_frames(dataset.PixelData, number_of_frames=count))
    return Cine(frames, float(dataset.FrameTime) / 1000, int(dataset.Columns), int(dataset.Rows))


def enlarged(cine: Cine, factor: float) -> Cine:
    """The same loop as a scanner with a finer grid would deliver it: scaled and encoded again."""
    frames = []
    for fragment in cine.frames:
        image = cv2.resize(jpeg.decode(fragment), None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        frames.append(jpeg.encode(np.asarray(image, np.uint8)))
    height, width = jpeg.decode(frames[0]).shape[:2]
    return Cine(tuple(frames), cine.frame_time, width, height)
