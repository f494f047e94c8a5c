"""A Discord to talk to: its webhook API in memory, stricter than the real one, with a page that shows the channel.

It imports nothing else of the relay, so that what it finds wrong is never excused by the code it judges.

    standin = StandIn()
    standin.add_webhook("1", "token", channel_id="2")
    async with standin.running() as api:      # http://127.0.0.1:PORT/api/v10
        ...
    standin.assert_no_429()
"""

from relay.demo.discord.codes import Code, Form
from relay.demo.discord.faults import Fault, Kind
from relay.demo.discord.limits import Limits, Rate, Scope
from relay.demo.discord.provenance import PROVENANCE, Origin, Provenance
from relay.demo.discord.recorder import Push, Recorder, Request, Violation
from relay.demo.discord.standin import StandIn
from relay.demo.discord.store import Channel, Mentioned, Message, Version, Webhook

__all__ = [
    "PROVENANCE",
    "Channel",
    "Code",
    "Fault",
    "Form",
    "Kind",
    "Limits",
    "Mentioned",
    "Message",
    "Origin",
    "Provenance",
    "Push",
    "Rate",
    "Recorder",
    "Request",
    "Scope",
    "StandIn",
    "Version",
    "Violation",
    "Webhook",
]
