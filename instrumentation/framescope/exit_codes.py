"""What the commands' exit codes mean."""

from typing import Final

OK: Final = 0
BROKEN: Final = 1
"""A limit is broken, or something that was looked at is."""
USAGE: Final = 2
"""Wrong arguments, a configuration that cannot be used, a missing extra, a port that is taken."""
UNREACHABLE: Final = 3
"""A backend or an endpoint does not answer."""
INTERRUPTED: Final = 130
"""Ended by Ctrl-C, as shells count it."""
