from relay.core import own
from relay.core.event import Effect, Severity, Source
from relay.core.labels import Matchers, parse
from relay.core.policy import Policy, SeverityRule
from tests.core.make import NOW, POLICY

FLUX = ("flux", Source.FLUX)


def test_an_unreadable_payload_names_its_sender_and_the_cure() -> None:
    event = own.unreadable(*FLUX, "a message made for a chat", "use type generic-hmac", NOW, POLICY)
    assert event.subject.name == "unreadable payload from flux"
    assert event.message == "a message made for a chat. Use type generic-hmac"
    assert (event.alertname, event.severity, event.effect) == ("RelayUnreadablePayload", Severity.WARNING, Effect.OPENS)
    assert event.labels["source"] == "relay"
    assert event.labels["cluster"] == "homelab"
    assert event.labels["severity"] == "warning"


def test_unreadable_payloads_are_one_signal_per_sender_and_kind() -> None:
    def key(sender: str, why: str) -> str:
        return own.unreadable(sender, Source.FLUX, why, "", NOW, POLICY).signal_key

    assert key("flux", "absurd structure: 70 levels") == key("flux", "absurd structure: 10000 keys")
    assert key("flux", "absurd structure: 70 levels") != key("flux", "an Alertmanager webhook")
    assert key("flux", "absurd structure: 70 levels") != key("other", "absurd structure: 70 levels")


def test_a_webhook_that_is_back_closes_what_its_death_opened_and_no_other() -> None:
    dead, back = own.webhook_dead("ops", NOW, POLICY), own.webhook_back("ops", NOW + 60, POLICY)
    assert dead.signal_key == back.signal_key != own.webhook_dead("deploys", NOW, POLICY).signal_key
    assert (dead.severity, dead.subject.name, dead.alertname) == (Severity.CRITICAL, "ops", "RelayWebhookDead")
    assert (dead.effect, back.effect) == (Effect.OPENS, Effect.CLOSES)


def test_the_operators_severity_rules_hold_for_the_relay_too() -> None:
    rule = SeverityRule(Matchers((parse('alertname="RelayUnreadablePayload"'),)), Severity.INFO)
    event = own.unreadable(*FLUX, "nonsense", "", NOW, Policy(severity_rules=(rule,)))
    assert event.severity is Severity.INFO
    assert event.labels["severity"] == "info"
    assert "cluster" not in event.labels
