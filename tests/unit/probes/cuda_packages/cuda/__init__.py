"""A stand-in for the cuda namespace."""
