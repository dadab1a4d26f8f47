"""JPEG pictures to pixels and back."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


def decode(fragment: bytes) -> Image:
    """The colour image (BGR) of one encoded frame. Raises ``ValueError`` where it is not an image."""
    image = cv2.imdecode(np.frombuffer(fragment, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"a frame of {len(fragment)} bytes is not a JPEG image")
    return np.asarray(image, np.uint8)


def encode(image: Image, quality: int = 85) -> bytes:
    """The image as JPEG."""
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded as JPEG")
    return encoded.tobytes()
