"""Many questions asked at once: which answers are still findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEVEL = 0.05
"""Of what is claimed, at most this share is expected to be chance; with nothing to be found, this share of
pages claims anything."""


def adjusted(p_values: Sequence[float]) -> list[float]:
    """P-values after Benjamini and Hochberg 1995 (J. R. Stat. Soc. B 57): claim those up to the level
    wanted."""
    p = np.asarray(p_values, np.float64)
    if not len(p):
        return []
    order = np.argsort(p)
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    found = np.empty(len(p))
    found[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return [float(value) for value in found]
