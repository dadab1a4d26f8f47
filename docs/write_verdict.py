"""Writes docs/verdict.md from the causes and their advice: ``python docs/write_verdict.py``.

A test holds the document against the tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from framescope import signals as sig
from framescope.judge.advice import ADVICE

DOCUMENT: Final = Path(__file__).with_name("verdict.md")
HEAD: Final = """\
# How to read a verdict, and what to do about it

Written by `python docs/write_verdict.py` from [advice.py](../instrumentation/framescope/judge/advice.py)
and [signals.py](../instrumentation/framescope/signals.py): change those, not this.

**Lost** is latency less what an undisturbed frame takes (a running median of on-time frames, but for those
that follow a slow one within half a second). **Overrun** is latency less the budget. Every millisecond lost
has one owner, and all of them add up; what no reading covers is `unknown`, as large as it is. The cause
that most was lost to is the verdict's name. A family (`cpu`, `blocked`, `gpu`) is named where the evidence
supports it but none of its members.

The **confidence** is how often verdicts like it were right where the truth was known. It rises with the
part of the loss that went to the named cause and with how far the loss stands out of the pipeline's usual
noise; a table fitted to the truth suite's runs (`tests/truth/calibrate.py`) turns the two into a probability.
Evidence that can be fooled (an event pair alone, knocks at the interpreter lock alone) takes a third off.
Below 0.5 the sentence begins with *Probably*.

**Considered** tells the causes that were looked at and ruled out, and those that could not be: *not
measured* is never *ruled out*. What each kind of evidence tells, and what it costs:
[evidence.md](evidence.md).
"""
RIGHT: Final = """\
## How often it is right

`make truth` runs pipelines of four shapes with faults of known cause, and the same frames again without.
Three seeds that nothing was developed on (5 and 7 with all kinds of runs, 9 with single faults), 2 shared
virtual cores, a software accelerator, no GPU; 10 261 slow frames of single faults, 1 406 that two faults
both took their part of. Left out are 1 477 frames of times in which others used the machine. Seeds 5 and 7
were recorded before a collection's end was taken from its CPU time, and judged again by today's judge.

| figure | bar | measured |
|---|---|---|
| macro-F1, single faults | 0.90 | 0.96 |
| lowest F1 of a cause | 0.80 | 0.80 (`python_gil`; seed 9 alone, with today's ends of collections, 0.82) |
| right family by event pairs and NVML alone | 0.90 | 0.97 |
| both of two faults among the shares of 15 % | 0.85 | **0.77** (0.93, 0.79, 0.67, 0.44 by shape) |
| right share off by, median; p90 | 0.15; 0.35 | **0.17; 0.48** (the truth itself: 0.09; 0.34) |
| unknown part, highest median of a cause | 0.20 | 0.00 |
| evidence withheld: a wrong cause | 0.02 | **0.04** (with all of it 0.05; for want of it 0.00 to 0.04) |
| controls: an impossible cause, surely | 0.02 | 0.012 |
| calibration error; AUROC | 0.05; 0.80 | 0.02; 0.84 |
| incidents: precision; recall | 0.90 | 0.97; 0.99 |
| one verdict in the agent; a thousand frames in the app | 200 µs; 300 ms | 177 µs; 183 to 209 ms |

At least 200 slow frames of every cause, but 154 of `gpu_throttle`. What is missed, and why:

- **`python_gil`**: 297 of 345 are found; 96 others are called so. 32 are collections in another thread (of
  those, 22 with the old ends), 30 are neighbours': whoever holds the lock gets no core. 35 of those missed
  are called CPU contention: a thread that has just got the lock is put behind the one that had it, on its
  core.
- **Two at once** (accelerator, service, chain, one thread): what one fault takes changes the other's. Where
  a thread has no time to spare, frames wait for those ahead, and a share of 15 % is lost in what they pass
  on; a lock's holder and a pipe's other end are slowed down as well, which the frame sees as a longer wait.
- **The right share**: the truth of a single frame is a difference of two runs, and frames that nothing was
  done to differ by 9 % (median; p90 34 %) of what a fault takes: below that nothing can be told. Beyond it,
  two fifths of writes that wait for the disk are the thread's own CPU time and its waits for a core between
  calls, which the verdict names as what they are.
- **Evidence withheld** adds little; what is wrong without it is mostly wrong with it. For want of pressure
  3 % of the waits for I/O are called something else, for want of the GPU's split 3 % of its frames.

"""
OWN: Final = """\
## A cause of your own

What only you can know of a frame can be named like any other cause: a function over the judge's frame
that answers how many ns it owns, by stage. The agent and the app import the module that registers it, by
name.

```python
from framescope.causes import Frame, register


def tell(frame: Frame) -> dict[str | None, int]:
    away = frame.attributes.get("array_ms", 0)  # set by the host: frame.set(array_ms=3.2)
    return {"write": round(float(away) * 1e6)}


register("array_rebuild", tell, title="Array rebuild", parent="blocked", says="{stage} waited for the array")
```

Put it into a module that both can import, and name that: `FRAMESCOPE_CAUSES=my_causes` (or
`emitter.causes` in `framescope.yaml`) for the host, whose agent inherits it, and for `framescope ui`. It
never owns more than a stage lost, comes before the host's plain evidence, and takes its part out of its
family's. One that raises says nothing: it is counted as `cause.<name>` in `framescope.internal.errors`.
In the pages it has its family's colour and a code that begins with U.
"""


def document() -> str:
    """The whole page."""
    return "\n".join((HEAD, *(part for cause in sig.CAUSES for part in _section(cause)), RIGHT, OWN))


def _section(name: str) -> Iterable[str]:
    cause, advice = sig.CAUSES[name], ADVICE[name]
    family = f", of the family `{cause.parent}`" if cause.parent else ""
    yield f"## {cause.title}\n"
    yield f"`{cause.name}`, code {cause.code}{family}: {cause.meaning}.\n"
    yield f"**Rests on.** {advice.rests_on}\n"
    yield f"**Can be fooled.** {advice.fooled_by}\n"
    yield "**What to do.**\n"
    yield from (f"{number}. {step}" for number, step in enumerate(advice.steps, 1))
    yield ""


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
    print(f"wrote {DOCUMENT}")
