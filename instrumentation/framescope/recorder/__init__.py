"""The hot path: frames, stages and queues append clock readings; a shipper hands them over in batches.

Nothing here imports OpenTelemetry, blocks a frame, or raises into it.
"""
