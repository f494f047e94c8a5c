from hypothesis import given
from hypothesis import strategies as st

from relay.core.event import Severity, Source
from relay.core.incident import Firing, Reason
from relay.core.known import Entry
from relay.core.timeline import LINES, moments
from tests.discord.scenes import NOW, SONARR, START, incident, signal

LEAD = signal(SONARR, labels={"alertname": "KubePodNotReady"})
WORSE = signal(
    SONARR, key="worse", severity=Severity.CRITICAL, labels={"alertname": "KubePodNotReady"}, since=START + 60
)
HELM = signal(SONARR, key="helm", source=Source.FLUX, reason="UpgradeFailed", remediated="RollbackSucceeded")
OVER = incident(LEAD, peak=Severity.CRITICAL, closed_at=NOW, reason=Reason.RESOLVED, firing=Firing())


def entry(after: float, reason: Reason, key: str = LEAD.key) -> Entry:
    return Entry(START + after, reason, Source.ALERTMANAGER, key, OVER.id)


def told(*entries: Entry, paged: float | None = None) -> list[tuple[float, str]]:
    at = None if paged is None else START + paged
    return [(moment.at - START, moment.text) for moment in moments(OVER, (LEAD, WORSE, HELM), entries, at)]


def test_what_escalated_and_paged_is_one_line_and_the_end_is_none() -> None:
    assert told(
        entry(20, Reason.OPENED), entry(300, Reason.ESCALATED, "worse"), entry(NOW - START, Reason.RESOLVED), paged=302
    ) == [(0, "began as a warning"), (300, "became critical, paged")]


def test_a_rollback_has_its_own_time() -> None:
    assert told(entry(20, Reason.OPENED), entry(90, Reason.REMEDIATED, "helm"))[-1] == (90, "rolled back")


def test_what_came_back_says_when_it_was_over_and_began_again() -> None:
    lines = told(entry(20, Reason.OPENED), entry(200, Reason.RESOLVED), entry(400, Reason.REOPENED))
    assert lines[1:] == [(200, "recovered"), (400, "began again")]


def test_the_beginning_is_told_even_where_the_journal_has_forgotten_it() -> None:
    assert told(entry(300, Reason.ESCALATED, "worse"))[0] == (0, "began as a warning")
    assert told()[0] == (0, "began as a warning")


def test_the_most_telling_lines_are_kept_in_their_order() -> None:
    eased = [entry(100 * at, Reason.EASED) for at in range(1, 4)]
    causes = [entry(100 * at + 50, Reason.CAUSE) for at in range(1, 7)]
    lines = told(entry(20, Reason.OPENED), *sorted((*eased, *causes), key=lambda one: one.at), paged=750)
    assert [text for _, text in lines] == ["began as a warning", *["failed for another reason"] * 3, "paged"]


def test_what_happens_again_at_the_same_instant_takes_no_more_room_than_there_is() -> None:
    again = [entry(0, reason) for reason in (Reason.ESCALATED, Reason.REOPENED, Reason.ESCALATED, Reason.REOPENED)]
    assert len(told(*again, paged=60)) == LINES


@given(
    st.lists(
        st.builds(
            entry,
            st.floats(0, NOW - START),
            st.sampled_from(Reason),
            st.sampled_from([LEAD.key, "worse", "helm", "nobody", ""]),
        ),
        max_size=60,
    ),
    st.none() | st.floats(0, NOW - START),
)
def test_any_journal_becomes_a_few_lines_in_order(entries: list[Entry], paged: float | None) -> None:
    lines = told(*entries, paged=paged)
    assert 1 <= len(lines) <= LINES
    assert lines == sorted(lines, key=lambda line: line[0])
    assert all(text and 0 <= after <= NOW - START for after, text in lines)
