"""One Channel in the core alone: what is applied is shown at once, time passes in steps of what is due, and every sound is written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from relay.core import due, hushing
from relay.core.attention import ChannelPolicy, Loudness
from relay.core.due import Why
from relay.core.event import Event, Instant, Severity
from relay.core.incident import Incident, Reason
from relay.core.joining import take
from relay.core.known import Known
from relay.core.labels import Matchers
from relay.core.policy import IncidentPolicy, Policy
from relay.core.posting import Posting
from relay.core.quiet import Rule
from relay.core.routing import Route
from tests.core.make import NOW, alert

OPS = ChannelPolicy("ops")
SOUNDS = {Loudness.NOTIFY: "notify", Loudness.PAGE: "page"}


@dataclass
class Ears:
    """A Channel that shows everything at once."""

    channel: ChannelPolicy = OPS
    incidents: IncidentPolicy = IncidentPolicy()  # noqa: RUF009  # It never changes.
    now: Instant = NOW
    known: Known = field(default_factory=Known)
    heard: list[str] = field(default_factory=list)
    """Every sound: how loud, and why."""
    seen: list[Why] = field(default_factory=list)
    """Why of every request."""
    _messages: int = 0

    @property
    def policy(self) -> Policy:
        return Policy(
            cluster="homelab",
            channels={"ops": self.channel},
            routes=(Route(channels=("ops",)),),
            incidents=self.incidents,
        )

    def incident(self, at: int = 0) -> Incident:
        return list(self.known.incidents.values())[at]

    def posting(self, at: int = 0) -> Posting:
        return list(self.known.postings.values())[at]

    # --- what happens -------------------------------------------------------------------------------------------------

    def take(self, event: Event) -> Reason:
        reason = take(self.known, event, self.policy)
        self._show()
        return reason

    def fires(self, name: str = "KubePodCrashLooping", severity: Severity = Severity.CRITICAL, **more: Any) -> Reason:  # noqa: ANN401  # an alert's
        return self.take(alert(name, severity=severity, at=self.now, starts_at=self.now, **more))

    def resolves(
        self,
        name: str = "KubePodCrashLooping",
        severity: Severity = Severity.CRITICAL,
        **more: Any,  # noqa: ANN401  # as above
    ) -> Reason:
        start = next(
            signal.since
            for signal in self.known.signals.values()
            if signal.alertname == name and signal.severity is severity and signal.keeps_open
        )
        return self.take(
            alert(name, severity=severity, firing=False, at=self.now, starts_at=start, ends_at=self.now, **more)
        )

    def quiet(self, *matchers: str, seconds: float, incident: str = "", key: str = "1") -> None:
        """Somebody asks for quiet, and the relay notices."""
        rule = Rule(key, Matchers.of(matchers), self.now, self.now + seconds, incident=incident, by="ada")
        self.known.quiet = (*self.known.quiet, rule)
        self._look()

    def later(self, seconds: float) -> None:
        """So much time passes; what becomes due in it is shown when it does."""
        end = self.now + seconds
        while (at := self._next()) is not None and at <= end:
            self.now = max(at, self.now)
            self._tick()
            self._show()
        self.now = end

    # --- the relay ----------------------------------------------------------------------------------------------------

    def _next(self) -> Instant | None:
        waits = [
            at
            for posting in self.known.postings.values()
            for at in (posting.due_at, posting.quiet_until)
            if at is not None
        ]
        calm = [one.calm_at for one in self.known.incidents.values() if one.is_open and one.calm_at is not None]
        return min([*waits, *calm], default=None)

    def _tick(self) -> None:
        hushing.calm(self.known, list(self.known.incidents.values()), self.now, self.policy)
        ended = {
            posting.incident
            for posting in self.known.postings.values()
            if posting.quiet_until is not None and posting.quiet_until <= self.now
        }
        self._look(ended)

    def _look(self, among: set[str] | None = None) -> None:
        sounded: set[str] = set()
        for incident in sorted(self.known.incidents.values(), key=lambda one: -one.severity):
            if among is None or incident.id in among:
                members = [one for one in self.known.signals.values() if one.incident == incident.id]
                hushing.look_again(self.known, incident, members, self.now, self.policy, sounded)
        self._show()

    def _show(self) -> None:
        for key in list(self.known.postings):
            for _ in range(10):
                posting = self.known.postings[key]
                if posting.due_at is None or posting.due_at > self.now:
                    break
                self._step(posting)
            else:
                raise AssertionError(f"it never ends: {self.known.postings[key]}")

    def _step(self, posting: Posting) -> None:
        incident = self.known.incidents[posting.incident]
        step = due.next_step(posting, incident, self.channel, self.now)
        if not step.sends:
            self.known.put_posting(due.scheduled(posting, incident, self.channel, self.now))
            return
        self.seen.append(step.why)
        message = posting.message or 0
        if step.posts:
            self._messages += 1
            message = self._messages if step.why is not Why.END else message
            if step.loudness in SOUNDS:
                self.heard.append(f"{SOUNDS[step.loudness]}: {step.why.value}")
        settle = self.incidents.settle
        self.known.put_posting(
            due.shown(posting, incident, self.channel, step, self.now, asked=posting, message=message, settle=settle)
        )
