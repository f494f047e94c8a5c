"""What comes and goes is said once and then only shown: so many reopenings within a time, until it has been calm for long."""

from __future__ import annotations

from relay.core.event import Instant
from relay.core.incident import Incident, Reason
from relay.core.policy import IncidentPolicy
from relay.core.values import replace


def comes_back(incident: Incident, now: Instant, policy: IncidentPolicy) -> bool:
    """Whether what fires again at `now` is this Incident, which is over: it was of late, or it flaps and was not calm for long."""
    if incident.closed_at is None:
        return False
    flaps = incident.flapping and incident.calm_at is not None and now < incident.calm_at
    return flaps or now - incident.closed_at <= policy.reopen_within


def again(incident: Incident, now: Instant, policy: IncidentPolicy) -> Incident:
    """`incident`, which opens again now, with what that makes of it: reopened, or flapping from now on."""
    recent = (*(at for at in incident.reopened_at if now - at < policy.flap_within), now)[-policy.flap_reopenings :]
    flapped = incident.flapping and incident.calm_at is not None and now < incident.calm_at
    flaps = flapped or len(recent) >= policy.flap_reopenings
    return replace(
        incident,
        reopenings=incident.reopenings + 1,
        reopened_at=recent,
        flapping=flaps,
        calm_at=now + policy.flap_calm if flaps else None,
        reason=Reason.FLAPPING if flaps and not flapped else Reason.REOPENED,
    )


def calmed(incident: Incident, now: Instant) -> Incident:
    """It goes on, and has not come and gone for long: it does not flap any more."""
    return replace(
        incident,
        flapping=False,
        calm_at=None,
        reopened_at=(),
        reason=Reason.CALM,
        version=incident.version + 1,
        changed_at=now,
    )
