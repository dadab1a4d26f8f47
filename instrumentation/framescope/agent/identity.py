"""Who emits: the resource that every span and metric of one host process carries."""

from __future__ import annotations

import os
import socket

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from framescope import signals as sig
from framescope.handover import Batch


def resource_for(batch: Batch) -> Resource:
    """The SDK's resource (``OTEL_SERVICE_NAME``, ``OTEL_RESOURCE_ATTRIBUTES``) with the host's identity.

    Without a service name the first pipeline's stands in: better found than ``unknown_service``.
    """
    given = _given()
    own: dict[str, str | int] = {
        sig.SERVICE_INSTANCE_ID: batch.instance,
        sig.PROCESS_PID: batch.pid,
        sig.HOST_NAME: socket.gethostname(),
    }
    told = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if "OTEL_SERVICE_NAME" not in os.environ and f"{sig.SERVICE_NAME}=" not in told:
        first = next(iter(batch.pipelines.values()), None)
        own[sig.SERVICE_NAME] = first.name if first is not None else "unknown_service"
    if f"{sig.HOST_NAME}=" in told:
        del own[sig.HOST_NAME]
    return given.merge(Resource(own))


def _given() -> Resource:
    try:
        return Resource.create({})
    except RuntimeError:
        # The SDK looks by threads, and an agent on a thread may get here when its interpreter starts no more.
        return OTELResourceDetector().detect()
