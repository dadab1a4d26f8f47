"""Batches: one call does several frames, and every frame has the whole of it."""

import time

import framescope

pipeline = framescope.Pipeline("batches", target_fps=200, budget_ms=40)
capture, infer, store = pipeline.stages("capture", "infer", "store")

for _ in range(25):
    batch = []
    for _ in range(4):
        frame = pipeline.begin()
        with frame.stage(capture):
            time.sleep(0.002)
        batch.append(frame)
    with infer.together(batch):
        time.sleep(0.006)
    for frame in batch:
        with frame.stage(store):
            time.sleep(0.0005)
        frame.end()
pipeline.close()
