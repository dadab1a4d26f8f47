"""Beside OpenTelemetry of your own: what your tracer does in a frame is told with it, should it be kept."""

import asyncio
import time

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

import framescope
from framescope.otel import FrameSpans

pipeline = framescope.Pipeline("beside OpenTelemetry", target_fps=200)
detect, store = pipeline.stages("detect", "store")

provider = TracerProvider()  # yours; it goes on as it did, with traces of its own
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: f"{span.name}\n")))
provider.add_span_processor(FrameSpans(pipeline))
tracer = provider.get_tracer("the application")


def model(number: int) -> None:
    with tracer.start_as_current_span("model", attributes={"model": "v3"}):
        time.sleep(0.001)
        with tracer.start_as_current_span("post-processing"):
            time.sleep(0.05 if number == 20 else 0.001)  # this frame is slow: it is kept, with its spans


for number in range(40):
    with pipeline.frame():
        with detect:
            model(number)
        with store, tracer.start_as_current_span("insert"):
            time.sleep(0.0005)


@pipeline.framed
async def serve(number: int) -> None:
    with detect:
        await asyncio.to_thread(model, number)


async def main() -> None:
    await asyncio.gather(*(serve(number) for number in range(10)))


asyncio.run(main())
pipeline.close()
