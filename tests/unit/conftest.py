"""Puts this folder on the path, so that tests share ``memory_stores``, ``receiver`` and ``scene``."""
