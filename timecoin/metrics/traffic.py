"""Links, messages, and how far behind peers this node is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from timecoin.metrics.families import counter, counters, gauge, gauges
from timecoin.metrics.ports import Sources

OTHER = "other"
"""Messages of kinds that no message has: peers can send any."""


def collect_links(sources: Sources) -> Iterator[Metric]:
    """Connections and what went over them."""
    links = sources.links()
    yield gauges(
        "peers",
        "Established links, by who opened them",
        ("direction",),
        [(("inbound",), links.inbound), (("outbound",), links.outbound)],
    )
    yield gauge("peers_masternodes", "Links with peers that proved a voting key", links.masternodes)
    yield gauge(
        "peers_reconnecting",
        "Configured addresses without a link, called again and again",
        links.reconnecting,
    )
    yield gauge("peers_banned", "Peers banned now", links.banned)
    yield counter("peer_bans", "Bans of peers", links.bans)
    traffic = links.traffic
    yield counters(
        "peer_bytes",
        "Bytes of frames",
        ("direction",),
        [(("sent",), traffic.bytes_sent), (("received",), traffic.bytes_received)],
    )
    yield counters(
        "peer_messages",
        "Frames by the message in them",
        ("direction", "message"),
        [
            ((direction, name), count)
            for direction, kinds in (
                ("sent", traffic.messages_sent),
                ("received", traffic.messages_received),
            )
            for name, count in _by_name(sources, kinds)
        ],
    )


def _by_name(sources: Sources, kinds: Counter[int]) -> list[tuple[str, int]]:
    named: Counter[str] = Counter()
    for kind, count in kinds.items():
        named[sources.message_names.get(kind, OTHER)] += count
    return sorted(named.items())


def collect_sync(sources: Sources) -> Iterator[Metric]:
    """Catching up."""
    behind = sources.sync.certified_height - sources.views.tip.height
    yield gauge("sync_active", "1 while this node catches up with its peers", sources.sync.active)
    yield gauge("sync_behind_blocks", "Blocks known to be final above the tip", behind)
