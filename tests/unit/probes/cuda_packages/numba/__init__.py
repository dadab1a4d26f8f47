"""A stand-in for Numba: a stream, and a copy on it."""
