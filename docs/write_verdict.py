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

**Lost** is latency less what an undisturbed frame takes (a running median of on-time frames). **Overrun**
is latency less the budget. Every millisecond lost has one owner, and all of them add up; what no reading
covers is `unknown`, as large as it is. The cause that most was lost to is the verdict's name. A family
(`cpu`, `blocked`, `gpu`) is named where the evidence supports it but none of its members.

The **confidence** is how often verdicts like it were right where the truth was known. It rises with the
part of the loss that went to the named cause and with how far the loss stands out of the pipeline's usual
noise; a table fitted to the truth suite's runs (`tests/truth/calibrate.py`) turns the two into a probability.
Evidence that can be fooled (an event pair alone, knocks at the interpreter lock alone) takes a third off.
Below 0.5 the sentence begins with *Probably*.

**Considered** tells the causes that were looked at and ruled out, and those that could not be: *not
measured* is never *ruled out*. What each kind of evidence tells, and what it costs:
[evidence.md](evidence.md).
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
    return "\n".join((HEAD, *(part for cause in sig.CAUSES for part in _section(cause)), OWN))


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
