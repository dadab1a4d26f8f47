"""What every test shares: faults of framescope's own are raised, and nothing is sent anywhere by chance."""

import os

os.environ.setdefault("FRAMESCOPE_RAISE", "1")
os.environ.setdefault("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody listens
