"""Views of one frame for tests of what is made of it: of a single thread, of several, a hostile one."""

from __future__ import annotations

from dataclasses import replace

from scene import scene, trace_id_of

from framescope_ui.questions.frame import frame
from framescope_ui.questions.views import FrameView, StageRow

HOSTILE = '</style><script>alert(1)</script>"&| [x](javascript:alert(1)) @all `x`'


async def a_frame() -> FrameView:
    """31 ms of 20 because another process held a simulated GPU."""
    view = await frame(scene().stores, trace_id_of(1499))
    assert view is not None
    return view


async def hostile() -> FrameView:
    """Every text that can come from outside is an attack."""
    view = await a_frame()
    assert view.verdict is not None
    return replace(
        view,
        item=replace(view.item, service=HOSTILE, pipeline=HOSTILE, kept=HOSTILE),
        host=HOSTILE,
        gpu_name=HOSTILE,
        verdict=replace(view.verdict, sentence=f"11.0 ms over budget. {HOSTILE}: {HOSTILE}", cause=HOSTILE),
        stages=[
            replace(row, name=HOSTILE, kind=HOSTILE, thread=HOSTILE, message=HOSTILE, stacks=((HOSTILE, 2),))
            for row in view.stages
        ],
        attributes=[(HOSTILE, HOSTILE)],
        missing=[HOSTILE],
    )


async def crossing() -> FrameView:
    """Two threads with a queue between them, and a stage that ran beside another."""
    view = await a_frame()
    rows = [
        StageRow("capture", "io", 0.0, 0.004, 0.004, None, thread="grabber", on_path=[(0.0, 0.004)]),
        StageRow(
            "rt", "queue", 0.003, 0.008, 0.001, 0.004, [("queue_wait", 0.004)], on_path=[(0.004, 0.008)]
        ),
        StageRow("infer", "gpu", 0.008, 0.030, None, None, thread="worker", on_path=[(0.008, 0.030)]),
        StageRow("upload", "cpu", 0.010, 0.035, None, None, thread="worker"),
        StageRow("infer on GPU", "gpu", 0.009, 0.029, None, None, parent="infer"),
    ]
    return replace(view, stages=rows)
