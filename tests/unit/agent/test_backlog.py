"""The ledger of a wait: it always adds up to the wait that was seen, and forgets the oldest first."""

from hypothesis import given
from hypothesis import strategies as st

from framescope.agent.backlog import Ledger

steps = st.lists(
    st.tuples(
        st.integers(0, 1000), st.sampled_from(["gpu_contention", "cpu_work", "unknown"]), st.integers(0, 1000)
    ),
    max_size=30,
)


@given(steps)
def test_the_causes_of_a_wait_add_up_to_the_wait(served):
    ledger = Ledger()
    for wait, cause, lost in served:
        assert sum(ledger.settle(wait).values()) == wait
        ledger.add(cause, lost)


def test_a_loss_is_carried_while_the_wait_it_caused_lasts():
    ledger = Ledger()
    ledger.settle(0)
    ledger.add("gpu_contention", 30)
    assert ledger.settle(20) == {"gpu_contention": 20}
    assert ledger.settle(5) == {"gpu_contention": 5}
    assert ledger.settle(0) == {}
    assert ledger.settle(7) == {"queue_wait": 7}


def test_a_queue_that_stays_full_for_another_reason_forgets_the_first_loss():
    ledger = Ledger()
    ledger.add("cpu_contention", 40)
    assert ledger.settle(40) == {"cpu_contention": 40}
    # From now on the consumer dawdles between frames; what is dropped from the queue bounds the wait.
    for _ in range(10):
        ledger.add("queue_wait", 10)
        last = ledger.settle(40)
    assert last == {"queue_wait": 40}


def test_what_the_consumer_lost_to_nobody_knows_what_is_a_queue_wait_behind_it():
    ledger = Ledger()
    ledger.add("unknown", 10)
    assert ledger.settle(10) == {"queue_wait": 10}
