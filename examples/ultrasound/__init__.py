"""A real-time ultrasound loop, traced: the demo of framescope.

Real frames (the cine loop that pydicom ships), real image work, real disturbances. Run it with
``python -m ultrasound --help``.
"""
