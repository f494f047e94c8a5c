"""Who comes from another way of notifying sends the wrong thing first: it is taken, and one card says what it is and how to cure it."""

import pytest

from relay.demo.discord import Message
from tests.path.conftest import Start
from tests.path.stage import CHANNELS, Place
from tests.path.test_status import WITH_STATUS, status, text
from tests.sources.make import payload

UNSIGNED = {"Content-Type": "application/json"}
WRONG = [
    (
        "the body of Flux's discord Provider, with what it appends to its address",
        "/flux/slack",
        "flux-discord",
        "🛠️ relay cannot read what flux sends: a message as Flux's discord and slack Providers write it",
        "set the Provider's spec.type to generic-hmac (or generic)",
    ),
    (
        "the same at the address itself",
        "/flux",
        "flux-discord",
        "🛠️ relay cannot read what flux sends: a message as Flux's discord and slack Providers write it",
        "set the Provider's spec.type to generic-hmac (or generic)",
    ),
    (
        "alerts straight from Prometheus",
        "/alertmanager/api/v2/alerts",
        "prometheus-raw",
        "🛠️ relay cannot read what alertmanager sends: raw alerts, as Prometheus sends them to Alertmanager",
        "send them to Alertmanager, and there use a receiver with webhook_configs",
    ),
    (
        "Flux's alertmanager Provider, which is no Alertmanager",
        "/alertmanager",
        "flux-alertmanager-provider",
        "🛠️ relay cannot read what alertmanager sends: alerts as Flux's alertmanager Provider sends them to Alertmanager",
        "set the Provider's spec.type to generic-hmac (or generic)",
    ),
    (
        "Alertmanager at Flux's address",
        "/flux",
        "alertmanager-v4",
        "🛠️ relay cannot read what flux sends: an Alertmanager webhook",
        "point its url at the path of the relay's alertmanager source",
    ),
]


def cure(message: Message) -> str:
    return text(message).replace("\\", "")


@pytest.mark.parametrize("sentence, path, body, headline, fix", WRONG, ids=[row[0] for row in WRONG])
async def test_a_wrong_format_is_answered_and_one_quiet_card_says_its_cure(
    place: Place, start: Start, sentence: str, path: str, body: str, headline: str, fix: str
) -> None:
    place.file.write_text("cluster: homelab\nsources: {flux: {}, alertmanager: {}}\n" + CHANNELS)
    async with start() as relay:
        for _ in range(3):
            assert await relay.post(path, payload(body), UNSIGNED) == 202, "else the sender would try again for ever"
        await relay.settled()
        (card,) = relay.messages()
        assert card.content.startswith(headline), sentence
        assert f"Fix:** {fix}" in cure(card)
        assert card.silent
        await relay.later(3601)
        assert relay.messages()[0].content.startswith(("✅", "❔")), "nobody sends it any more"
        assert relay.standin.pushes == []


async def test_without_its_signature_it_changes_nothing_wherever_it_knocks(place: Place, start: Start) -> None:
    async with start() as relay:
        for path in ("/flux/slack", "/flux"):
            assert await relay.post(path, payload("flux-discord"), UNSIGNED) == 401
        assert await relay.post("/alertmanager/api/v2/alerts", payload("prometheus-raw"), UNSIGNED) == 401
        await relay.settled()
        assert relay.messages() == []


async def test_while_nobody_proves_the_secret_the_status_says_what_the_sender_must_do(
    place: Place, start: Start
) -> None:
    place.configure(WITH_STATUS)
    async with start() as relay:
        await status(relay, "nothing was ever heard from flux and alertmanager")
        assert await relay.post("/flux/slack", payload("flux-discord"), UNSIGNED) == 401
        said = text(await status(relay, "what comes to flux is refused"))
        assert "it does not prove the relay's secret: `type: generic-hmac` in its Provider, and the same key" in said
        assert "nothing was ever heard from alertmanager: " in said
        await relay.recovers()
        relay.relay.deadlines.look()
        assert "refused" not in text(await status(relay, "flux <t:"))


async def test_an_alert_of_flux_that_tells_failures_alone_is_a_blind_spot_until_a_recovery_is_heard(
    place: Place, start: Start
) -> None:
    place.configure(WITH_STATUS)
    async with start() as relay:
        await relay.fails()
        await status(relay, "1 open problem")
        await relay.later(3601)
        said = text(await status(relay, "no recovery was ever heard from Flux"))
        assert (
            "no recovery was ever heard from Flux: `eventSeverity: info` in its Alert, else nothing ever ends" in said
        )
        await relay.recovers()
        await status(relay, "nothing is wrong")

        def seen_by_now() -> bool:
            relay.clock.ahead += 10.0
            relay.relay.reconciler.wake()
            return not any("no recovery" in text(message) for message in relay.messages())

        await relay.until(seen_by_now, "one recovery is enough")
