"""Where a store's query socket is, derived from its data directory alone.

The app and the commands find the store by the directory they were told; nothing else is configured.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

_GREATEST_PATH_BYTES = 100
"""``sockaddr_un`` holds 108 bytes with the final NUL on Linux and 104 elsewhere."""


def socket_path(data_dir: Path) -> Path:
    """The Unix socket of the store that owns ``data_dir``.

    Inside the directory itself where the path is short enough for a socket address, else under a
    hashed name in the temporary directory of this user.
    """
    absolute = data_dir.expanduser().resolve()
    inside = absolute / "query" / "store.sock"
    if len(os.fsencode(inside)) <= _GREATEST_PATH_BYTES:
        return inside
    digest = hashlib.blake2b(os.fsencode(absolute), digest_size=12).hexdigest()
    return Path(tempfile.gettempdir()) / f"framescope-{os.getuid()}" / f"{digest}.sock"
