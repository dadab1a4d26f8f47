"""Random sequences of public calls from several threads: none raises, and no frame is lost uncounted."""

from __future__ import annotations

import contextvars
import queue as standard
from typing import Any

from alone import delivered, faults, lost, pipeline
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from test_odd_values import ODD

import framescope
from framescope.recorder import frame as recording

THREADS = st.integers(0, 2)
PRINTABLE = [
    value for name, value in ODD.items() if name not in ("rude", "huge text")
]  # Hypothesis prints them
VALUES = st.one_of(st.integers(), st.floats(), st.text(), st.binary(), st.sampled_from(PRINTABLE))


class Calls(RuleBasedStateMachine):
    """A simulated thread is a context: what is open in one is not open in another."""

    frames = Bundle("frames")
    entered = Bundle("entered")
    headers = Bundle("headers")

    @initialize()
    def begin_afresh(self) -> None:
        self.pipeline = pipeline()
        self.contexts = [contextvars.copy_context() for _ in range(3)]
        self.stages = self.pipeline.stages("a", "b", "c")
        self.queues = [
            framescope.Queue(self.pipeline, policy, 2, policy)  # type: ignore[arg-type]
            for policy in ("pop", "reject", "fail")
        ]
        self.told: list[int] = []
        self.carried = 0

    # -- frames ---------------------------------------------------------------------------------------

    @rule(target=frames, thread=THREADS, given=st.dictionaries(st.text(max_size=5), VALUES, max_size=3))
    def begin(self, thread: int, given: dict[str, Any]) -> Any:
        given = {name: value for name, value in given.items() if name not in ("captured_at", "sequence")}
        return self.contexts[thread].run(lambda: self.pipeline.begin(**given))

    @rule(target=frames, at=VALUES, sequence=VALUES)
    def begin_with(self, at: Any, sequence: Any) -> Any:
        return self.pipeline.begin(captured_at=at, sequence=sequence)

    @rule(target=entered, frame=frames, thread=THREADS)
    def enter(self, frame: Any, thread: int) -> Any:
        self.contexts[thread].run(frame.__enter__)
        return frame, thread

    @rule(pair=consumes(entered), thread=THREADS, failed=st.booleans())
    def leave(self, pair: tuple[Any, int], thread: int, failed: bool) -> None:
        frame, _ = pair  # in whatever thread
        kind = RuntimeError if failed else None
        self.contexts[thread].run(lambda: frame.__exit__(kind, None, None))

    @rule(frame=frames, how=st.sampled_from(["end", "drop", "fail", "release", "take"]))
    def call(self, frame: Any, how: str) -> None:
        getattr(frame, how)()

    @rule(frame=frames, value=VALUES)
    def tell(self, frame: Any, value: Any) -> None:
        frame.set(value=value)
        assert isinstance(frame.trace_id, str) and isinstance(frame.traceparent, str)

    @rule(target=headers, frame=frames)
    def carry(self, frame: Any) -> bytes:
        header: bytes = frame.carry()
        assert len(header) <= 1024
        self.carried += header != b""
        return header

    @rule(target=frames, header=st.one_of(headers, VALUES))
    def resume(self, header: Any) -> Any:
        return self.pipeline.resume(header)

    # -- what they go through ---------------------------------------------------------------------------

    @rule(number=st.integers(0, 2), thread=THREADS)
    def go_through(self, number: int, thread: int) -> None:
        def inside() -> None:
            with self.stages[number], self.stages[0]:
                pass

        self.contexts[thread].run(inside)

    @rule(number=st.integers(0, 2), thread=THREADS, leaving=st.booleans())
    def half_a_stage(self, number: int, thread: int, leaving: bool) -> None:
        stage = self.stages[number]
        self.contexts[thread].run(lambda: stage.__exit__(None, None, None) if leaving else stage.__enter__())

    @rule(frame=frames, number=st.integers(0, 2))
    def go_through_by_hand(self, frame: Any, number: int) -> None:
        with frame.stage(self.stages[number]):
            pass

    @rule(frame=frames, number=st.integers(0, 2))
    def put(self, frame: Any, number: int) -> None:
        try:
            self.queues[number].put(frame, "item", timeout=0)
        except standard.Full:
            assert number == 2

    @rule(target=frames, number=st.integers(0, 2))
    def get(self, number: int) -> Any:
        try:
            return self.queues[number].get(timeout=0)[0]
        except standard.Empty:
            return self.pipeline.begin()

    @rule(value=VALUES, name=VALUES)
    def say(self, value: Any, name: Any) -> None:
        self.pipeline.gauge(name, value)
        self.pipeline.mark(value)
        self.pipeline.keep_last(value, name)

    # -- what must hold ---------------------------------------------------------------------------------

    @rule()
    def ship(self) -> None:
        self.told += [record.id for record in delivered(self.pipeline)]

    @invariant()
    def nothing_failed_inside(self) -> None:
        if hasattr(self, "pipeline"):
            assert faults(self.pipeline) == {}

    def teardown(self) -> None:
        if not hasattr(self, "pipeline"):
            return
        p = self.pipeline
        begun = p._recorder.next_number()
        alive = [one for one in _frames() if one._recorder is p._recorder]
        for frame in alive:
            if not frame._ended:
                frame.end()
        self.ship()
        assert len(self.told) == len(set(self.told))
        assert len(self.told) + self.carried + lost(p)["outbox_full"] + lost(p)["fault"] == begun


def _frames() -> list[recording.Frame]:
    import gc

    return [one for one in gc.get_objects() if type(one) is recording.Frame]


Calls.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestCalls = Calls.TestCase
