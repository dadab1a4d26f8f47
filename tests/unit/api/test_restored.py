"""A frame's view as JSON values and back."""

from __future__ import annotations

import json

import pytest
from scene import scene, trace_id_of

from framescope_ui.api.plain import plain
from framescope_ui.api.restored import restored
from framescope_ui.questions.frame import frame
from framescope_ui.questions.views import FrameView


async def test_a_frame_comes_back_as_it_was() -> None:
    view = await frame(scene().stores, trace_id_of(1499))
    values = json.loads(json.dumps(plain(view)))
    again = restored(FrameView, values)
    assert plain(again) == plain(view)
    assert again.stages[1].lost_by_cause == [("gpu_contention", pytest.approx(0.019))]
    assert again.verdict is not None and again.verdict.shares[0].evidence[0].unit == "s"


async def test_what_another_version_knew_or_did_not_know_is_no_error() -> None:
    values = json.loads(json.dumps(plain(await frame(scene().stores, trace_id_of(1499)))))
    del values["kept_near"], values["stages"][0]["on_path"]
    values["of_a_later_version"] = {"x": 1}
    again = restored(FrameView, values)
    assert (again.kept_near, again.stages[0].on_path) == ((), ())


@pytest.mark.parametrize("values", [None, [], "text", {}, {"item": 3}, {"stages": {}}])
def test_what_is_no_frame_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match="no FrameView"):
        restored(FrameView, values)
