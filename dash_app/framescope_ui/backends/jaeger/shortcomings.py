"""What Jaeger cannot answer, or only so well, and what would change it. Tried on Jaeger 2.20."""

from __future__ import annotations

from typing import Final

from framescope_ui.backends.protocols import Shortcoming

SHORTCOMINGS: Final = (
    Shortcoming(
        "a search over all services at once",
        "Jaeger searches one service at a time: a question without a service goes through them one by one, "
        "up to 50, and refuses beyond that; pipelines are looked for in the first 200",
        "choose a service",
        inherent=True,
    ),
    Shortcoming(
        "frames older than 24 hours where no start is given",
        "each search needs a range of time",
        "choose a start",
        inherent=True,
    ),
    Shortcoming(
        "quick answers over long ranges",
        "Jaeger answers whole traces, at most as many as search_depth says and in no promised order; long "
        "ranges are asked for in many slices, and refused after 120 searches. It cannot search by the stage "
        "that lost most: frames are fetched and looked through",
        "choose a shorter time, a pipeline or a least latency",
        inherent=True,
    ),
    Shortcoming(
        "how many frames there are in all",
        "Jaeger does not count what it finds",
        inherent=True,
    ),
    Shortcoming(
        "pipelines that stopped long ago, in services that still run others",
        "Jaeger cannot list the values of an attribute: pipelines are read from a sample of records that "
        "grows sparser with age",
        "open the pipeline by its name",
        inherent=True,
    ),
    Shortcoming(
        "lists told apart from texts that look like lists",
        "Badger, Cassandra and Elasticsearch keep a list as its JSON text; a text such as [1,2] is shown as "
        "a list",
        "use ClickHouse as Jaeger's storage",
        inherent=True,
    ),
    Shortcoming(
        "traces after a restart, if Jaeger keeps them in memory",
        "Jaeger does not say which storage it has; without a configuration it is memory, which holds the "
        "newest 100 000 traces and loses them all on restart",
        "give Jaeger a storage on disk (deploy/jaeger/jaeger.yaml)",
    ),
)
