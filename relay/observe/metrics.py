"""Every label value is bounded: it comes from the configuration or from an enum, never from a payload.

`docs/metrics.md` documents each metric and label; a test compares the two.
"""

from __future__ import annotations

import platform
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

# A commit waits for the disk: a good NVMe needs under a millisecond, a bad SD card a second.
_COMMIT: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
# Steps of two up to the writer's batch: how well a storm shares its commits.
_BATCH: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
# A sender waits at most 10 s (Alertmanager as recommended) or 15 s (Flux); 1 s is the promise.
_REQUEST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)
# Discord answers in 0.1 to 0.5 s on a good day; the client gives up after some ten.
_DISCORD: Final = (0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
# From one edit in the moment to an outage of an hour; 5 min is when a page that is still owed becomes the relay's own failure.
_DELIVERY: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)


class Metrics:
    """All of the relay's metrics, in the registry it is given. Times are in seconds, sizes in bytes."""

    def __init__(self, registry: CollectorRegistry | None = None, *, version: str = "") -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # Twice the series, for a time that nobody asks for.
        self.registry: Final = registry if registry is not None else CollectorRegistry()
        self._receiving(self.registry)
        self._applying(self.registry)
        self._showing(self.registry)
        self._itself(self.registry)
        ProcessCollector(registry=self.registry)
        self.build_info.labels(version, platform.python_version()).set(1)

    def _receiving(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "relay_requests", "Deliveries by the answer they got", ["sender", "code"], registry=registry
        )
        self.last_received = Gauge(
            "relay_last_received_timestamp_seconds", "When a delivery was last stored", ["sender"], registry=registry
        )
        self.request_seconds = Histogram(
            "relay_request_seconds",
            "From a delivery's headers to its answer",
            ["sender"],
            buckets=_REQUEST,
            registry=registry,
        )
        self.rejects = Counter(
            "relay_rejects", "Payloads kept because they could not be read", ["sender", "kind"], registry=registry
        )
        self.refused = Counter(
            "relay_refused_alerts", "Alerts within a group that were no alerts", ["sender"], registry=registry
        )
        self.truncated = Counter(
            "relay_truncated_alerts", "Alerts that Alertmanager's max_alerts cut off", ["sender"], registry=registry
        )
        self.body_bytes = Gauge("relay_body_bytes", "Bytes of bodies in memory", registry=registry)

    def _applying(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "relay_events", "Events by what they changed, or why nothing", ["source", "reason"], registry=registry
        )
        self.batch_events = Histogram(
            "relay_batch_events", "Events in one transaction", buckets=_BATCH, registry=registry
        )
        self.commit_seconds = Histogram(
            "relay_commit_seconds", "One transaction of the writer", buckets=_COMMIT, registry=registry
        )
        self.open_incidents = Gauge("relay_open_incidents", "Incidents that are open", ["severity"], registry=registry)
        self.silent_heartbeats = Gauge(
            "relay_silent_heartbeats", "Heartbeats that are overdue", ["source"], registry=registry
        )

    def _showing(self, registry: CollectorRegistry) -> None:
        self.due = Gauge("relay_due", "Postings that wait to be shown", ["channel"], registry=registry)
        self.parked = Gauge(
            "relay_parked", "Postings that Discord refused in every form", ["channel"], registry=registry
        )
        self.oldest_due_seconds = Gauge(
            "relay_oldest_due_seconds", "For how long the oldest Posting has been due", ["channel"], registry=registry
        )
        self.channel_up = Gauge(
            "relay_channel_up", "0 while Discord says that the webhook is gone", ["channel"], registry=registry
        )
        self.discord_requests = Counter(
            "relay_discord_requests",
            "Requests to Discord by what came of them",
            ["channel", "route", "outcome"],
            registry=registry,
        )
        self.pages = Counter("relay_pages", "New messages with the mention", ["channel"], registry=registry)
        self.discord_seconds = Histogram(
            "relay_discord_seconds", "One request to Discord", buckets=_DISCORD, registry=registry
        )
        self.delivery_seconds = Histogram(
            "relay_delivery_seconds",
            "From when a change was due to when it was shown",
            ["channel"],
            buckets=_DELIVERY,
            registry=registry,
        )

    def _itself(self, registry: CollectorRegistry) -> None:
        self.pings = Counter(
            "relay_pings",
            "Pings out, whether all was well, and whether they were taken",
            ["said", "taken"],
            registry=registry,
        )
        self.ready = Gauge("relay_ready", "1 while deliveries are taken", registry=registry)
        self.configuration_refused = Gauge(
            "relay_configuration_refused",
            "1 while the files are refused and the last good ones hold",
            registry=registry,
        )
        self.build_info = Gauge(
            "relay_build_info", "1; the labels say what runs", ["version", "python"], registry=registry
        )

    def commits(self) -> float:
        """How many transactions of the writer there were."""
        samples = (sample for family in self.commit_seconds.collect() for sample in family.samples)
        return next((one.value for one in samples if one.name.endswith("_count")), 0.0)

    def refuses(self, sender: str) -> bool:
        """Whether a delivery to the source of this name was refused since the start, for want of its secret."""
        samples = (sample for family in self.requests.collect() for sample in family.samples)
        asked = {"sender": sender, "code": "401"}
        return any(one.value > 0 and one.labels == asked for one in samples if one.name.endswith("_total"))

    def told(self) -> dict[str, int]:
        """How many Events did what since the start: `flux/opened` → 3."""
        samples = (sample for family in self.events.collect() for sample in family.samples)
        return {f"{one.labels['source']}/{one.labels['reason']}": int(one.value) for one in samples}

    def forget(self, channel: str) -> None:
        """The configuration has no `channel` any more: its gauges would stand as they are for ever."""
        for gauge in (self.due, self.parked, self.oldest_due_seconds, self.channel_up):
            gauge.remove(channel)
