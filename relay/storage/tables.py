"""What is kept, and the indexes that find work: each holds only rows that are open, waiting or due, so none grows with history.

Instants are seconds since the epoch (double precision), maps and tuples are compact JSON text and empty text while empty,
severities are small integers, enums their words. Column order is the order of the rows in `rows.py`.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    event,
    text,
)

metadata: Final = MetaData()

_Serial = BigInteger().with_variant(Integer, "sqlite")
"""Counts up by itself; SQLite does so only for INTEGER."""


_KEYED: Final[dict[str, Any]] = {"sqlite_with_rowid": False}
"""SQLite keeps such a table in its key's own tree, where it would keep a second one: half the pages of a row written anew, while rows
are narrow. Wide ones it can only append cheaply."""


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _serial() -> Column[
    int
]:  # Where an id is kept elsewhere or told to people, `sqlite_autoincrement` never gives it again.
    return Column("id", _Serial, primary_key=True, autoincrement=True)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _maybe(name: str) -> Column[str]:
    return Column(name, Text)


def _number(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _severity(name: str) -> Column[int]:
    return Column(name, SmallInteger, nullable=False)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _at(name: str) -> Column[float]:
    return Column(name, Double, nullable=False)


def _at_times(name: str) -> Column[float]:
    return Column(name, Double)


def _subject() -> tuple[Column[str], ...]:
    return _text("cluster"), _text("kind"), _text("namespace"), _text("name")


def _partial(name: str, *columns: ColumnElement[Any], where: Any) -> Index:  # noqa: ANN401  # SQLAlchemy's conditions have no common public type.
    return Index(name, *columns, sqlite_where=where)


@event.listens_for(metadata, "before_create")
def _partial_in_postgresql(_: MetaData, connection: Connection, **__: Any) -> None:  # noqa: ANN401  # SQLAlchemy's own signature.
    """PostgreSQL's indexes have the same conditions. Said when they are made: it loads its dialect, which SQLite need not carry."""
    if connection.dialect.name == "postgresql":
        for index in [index for table in metadata.tables.values() for index in table.indexes]:
            if (where := index.dialect_options["sqlite"]["where"]) is not None:
                index.dialect_kwargs["postgresql_where"] = where


signals: Final = Table(
    "signals",
    metadata,
    _key("key"),
    _text("source"),
    *_subject(),
    _text("aspect"),
    _severity("severity"),
    _at("since"),
    _at("sent_at"),
    _at("seen_at"),
    _text("state"),
    _maybe("semantic_key"),
    _text("group_key"),
    _text("reason"),
    _text("message"),
    _text("cause"),
    _text("labels"),
    _text("attributes"),
    _text("names"),
    _number("episode"),
    _number("count"),
    _at_times("resolved_at"),
    _at_times("closed_since"),
    _at_times("held_until"),
    _flag("superseded"),
    _maybe("incident"),
    Column("longest_gap", Double, nullable=False),
    _number("gaps"),
    _text("remediated"),
)
_partial("signals_semantic", signals.c.semantic_key, where=signals.c.semantic_key.is_not(None))
_partial("signals_of_incident", signals.c.incident, where=signals.c.incident.is_not(None))
_partial("signals_held", signals.c.held_until, where=signals.c.held_until.is_not(None))
_partial("signals_over", signals.c.seen_at, where=signals.c.state == "resolved")

incidents: Final = Table(
    "incidents",
    metadata,
    _key("id"),
    *_subject(),
    _text("source"),
    _text("lead"),
    _at("since"),
    _at("opened_at"),
    _at("visible_at"),
    _at("changed_at"),
    _severity("severity"),
    _severity("peak"),
    _number("firing_info"),
    _number("firing_warning"),
    _number("firing_error"),
    _number("firing_critical"),
    _number("members"),
    _at_times("closed_at"),
    _text("reason"),
    _number("version"),
    _number("reopenings"),
    _flag("flapping"),
    _maybe("folded_into"),
    _maybe("follows"),
    _at_times("expires_at"),
    _text("closed_by"),
    _text("root"),
    _text("hold"),
    _flag("probably"),
    _number("effects_info"),
    _number("effects_warning"),
    _number("effects_error"),
    _number("effects_critical"),
    _at_times("tend_at"),
    _at_times("silent_since"),
    _text("change_revision"),
    _at_times("change_at"),
    _text("change"),
    _text("reopened_at"),
    _at_times("calm_at"),
    _at_times("loud_since"),
)
_partial("incidents_open", incidents.c.severity.desc(), incidents.c.opened_at, where=incidents.c.closed_at.is_(None))
_partial(
    "incidents_expiring",
    incidents.c.expires_at,
    where=incidents.c.closed_at.is_(None) & incidents.c.expires_at.is_not(None),
)
_partial("incidents_over", incidents.c.closed_at, where=incidents.c.closed_at.is_not(None))
_partial("incidents_folded", incidents.c.folded_into, where=incidents.c.folded_into.is_not(None))
_partial(
    "incidents_flapping", incidents.c.calm_at, where=incidents.c.closed_at.is_(None) & incidents.c.calm_at.is_not(None)
)
_partial("incidents_tended", incidents.c.tend_at, where=incidents.c.tend_at.is_not(None))

incident_keys: Final = Table("incident_keys", metadata, _key("key"), _text("incident"), **_KEYED)
"""The join keys of open Incidents only."""
Index("incident_keys_of_incident", incident_keys.c.incident)

effect_keys: Final = Table("effect_keys", metadata, _key("key"), _key("incident"), _text("edge"), **_KEYED)
"""The keys of causes under which open Incidents would fold, so that a cause that comes later finds them."""
Index("effect_keys_of_incident", effect_keys.c.incident)

objects: Final = Table(
    "objects",
    metadata,
    _key("key"),
    *_subject(),
    _at("seen_at"),
    _text("revision"),
    _at_times("revision_since"),
    _at_times("succeeded_at"),
    _number("beats"),
    _at_times("beat_at"),
    Column("longest_gap", Double, nullable=False),
    _number("healed"),
    _at_times("healed_at"),
    _text("uid"),
    _text("uid_before"),
    _flag("twin"),
    _at_times("changed_at"),
    _text("changed_by"),
    _text("change"),
    **_KEYED,
)

rollouts: Final = Table(
    "rollouts",
    metadata,
    _key("key"),
    _text("cluster"),
    _text("revision"),
    _at("began_at"),
    _at("changed_at"),
    _number("ready"),
    _text("touched"),
    _text("failures"),
    _text("note"),
    **_KEYED,
)
Index("rollouts_changed", rollouts.c.changed_at)

heartbeats: Final = Table(
    "heartbeats",
    metadata,
    _key("name"),
    _text("source"),
    _text("cluster"),
    _flag("declared"),
    Column("every", Double),
    _number("beats"),
    _at_times("beat_at"),
    _text("gaps"),
    _at_times("due_at"),
    _at_times("silent_since"),
)
_partial("heartbeats_due", heartbeats.c.due_at, where=heartbeats.c.due_at.is_not(None))

postings: Final = Table(
    "postings",
    metadata,
    _key("incident"),
    _key("channel"),
    _severity("severity"),
    _number("wanted"),
    _number("shown"),
    _number("pages_owed"),
    _number("pages_made"),
    _severity("paged_severity"),
    _text("paged_for"),
    _at_times("paged_at"),
    _at_times("end_due_at"),
    _at_times("end_shown_at"),
    _at_times("due_at"),
    _number("rank"),
    Column("message", BigInteger),
    _at_times("shown_at"),
    _number("tries"),
    _text("degraded"),
    _text("parked"),
    _at_times("deleted_at"),
    _flag("closed"),
    _text("quiet"),
    _at_times("quiet_until"),
    _number("tell"),
    _flag("arrived"),
    **_KEYED,
)
_partial(
    "postings_due",
    postings.c.channel,
    postings.c.rank,
    postings.c.due_at,
    where=postings.c.due_at.is_not(None),
)
_partial("postings_waiting", postings.c.channel, postings.c.due_at, where=postings.c.due_at.is_not(None))
_partial("postings_quiet", postings.c.quiet_until, where=postings.c.quiet_until.is_not(None))
_partial("postings_parked", postings.c.channel, where=postings.c.parked != "")

messages: Final = Table(
    "messages",
    metadata,
    _serial(),
    _text("channel"),
    _text("webhook"),
    _at("created_at"),
    _maybe("discord_id"),
    _maybe("discord_channel"),
    _maybe("thread"),
    _text("digest"),
    _at_times("due_at"),
    Column("jump_to", BigInteger),
    _flag("gone"),
    _text("takes"),
    _severity("mentioned"),
    sqlite_autoincrement=True,
)
_partial("messages_due", messages.c.channel, messages.c.due_at, where=messages.c.due_at.is_not(None))
_partial(
    "messages_gone", messages.c.created_at, where=text("gone")
)  # In words: the two databases compare booleans differently.

_partial("messages_taking", messages.c.channel, messages.c.takes, where=messages.c.takes != "")
_partial("messages_mentioning", messages.c.channel, messages.c.created_at, where=messages.c.mentioned > 0)

placements: Final = Table(
    "placements",
    metadata,
    Column("message", BigInteger, primary_key=True, autoincrement=False),
    _key("incident"),
    _key("channel"),
    _text("form"),
    _number("position"),
)
Index("placements_of_incident", placements.c.incident)

bulletins: Final = Table(
    "bulletins",
    metadata,
    _key("channel"),
    _key("kind"),
    Column("message", BigInteger),
    _at_times("shown_at"),
    _text("said"),
    _at_times("deleted_at"),
    **_KEYED,
)
"""What a Channel shows for its own sake, besides Incidents: its status, the day's rollouts."""

attempts: Final = Table(
    "attempts",
    metadata,
    _serial(),
    _text("webhook"),
    _text("route"),
    Column("message", BigInteger),
    _at("at"),
    _at_times("ended_at"),
    _text("outcome"),
)
Index("attempts_at", attempts.c.at)

recent: Final = Table("recent", metadata, _key("digest"), _at("at"), **_KEYED)
"""Digests of the last minutes: a copy of one changes nothing but last-seen."""
Index("recent_at", recent.c.at)

rejects: Final = Table(
    "rejects",
    metadata,
    _serial(),
    _at("at"),
    _text("source"),
    _text("sender"),
    _text("why"),
    _text("cure"),
    _number("size"),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

quiet: Final = Table(
    "quiet",
    metadata,
    _serial(),
    _text("matchers"),
    _maybe("incident"),
    _at("began_at"),
    _at("until"),
    _text("said_by"),
    _text("why"),
    _at_times("ended_at"),
    sqlite_autoincrement=True,
)
_partial("quiet_now", quiet.c.until, where=quiet.c.ended_at.is_(None))

journal: Final = Table(
    "journal",
    metadata,
    _serial(),
    _at("at"),
    _text("reason"),
    _text("source"),
    _text("signal"),
    _maybe("incident"),
    _text("channel"),
    _maybe("other"),
)
_partial("journal_of_incident", journal.c.incident, where=journal.c.incident.is_not(None))

lease: Final = Table("lease", metadata, _key("name"), _text("held_by"), _at("until"))

relay: Final = Table("relay", metadata, _key("key"), _text("value"))
"""What the relay remembers of itself: the last good configuration, first sights, ids of status messages."""
