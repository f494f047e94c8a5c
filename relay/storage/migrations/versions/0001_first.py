"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _partial(name: str, table: str, columns: list[str | sa.TextClause], where: str) -> None:
    """An index of only the rows for which `where` holds."""
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("webhook", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("message", sa.BigInteger()),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double()),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("attempts_at", "attempts", ["at"])
    op.create_table(
        "bulletins",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("message", sa.BigInteger()),
        sa.Column("shown_at", sa.Double()),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.Double()),
        sa.PrimaryKeyConstraint("channel", "kind"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "effect_keys",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("incident", sa.Text(), nullable=False),
        sa.Column("edge", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", "incident"),
        sqlite_with_rowid=False,
    )
    op.create_index("effect_keys_of_incident", "effect_keys", ["incident"])
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("declared", sa.Boolean(), nullable=False),
        sa.Column("every", sa.Double()),
        sa.Column("beats", sa.Integer(), nullable=False),
        sa.Column("beat_at", sa.Double()),
        sa.Column("gaps", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Double()),
        sa.Column("silent_since", sa.Double()),
        sa.PrimaryKeyConstraint("name"),
    )
    _partial("heartbeats_due", "heartbeats", ["due_at"], "due_at IS NOT NULL")
    op.create_table(
        "incident_keys",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("incident", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    op.create_index("incident_keys_of_incident", "incident_keys", ["incident"])
    op.create_table(
        "incidents",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("lead", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.Column("visible_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("peak", sa.SmallInteger(), nullable=False),
        sa.Column("firing_info", sa.Integer(), nullable=False),
        sa.Column("firing_warning", sa.Integer(), nullable=False),
        sa.Column("firing_error", sa.Integer(), nullable=False),
        sa.Column("firing_critical", sa.Integer(), nullable=False),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.Double()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reopenings", sa.Integer(), nullable=False),
        sa.Column("flapping", sa.Boolean(), nullable=False),
        sa.Column("folded_into", sa.Text()),
        sa.Column("follows", sa.Text()),
        sa.Column("expires_at", sa.Double()),
        sa.Column("closed_by", sa.Text(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("hold", sa.Text(), nullable=False),
        sa.Column("probably", sa.Boolean(), nullable=False),
        sa.Column("effects_info", sa.Integer(), nullable=False),
        sa.Column("effects_warning", sa.Integer(), nullable=False),
        sa.Column("effects_error", sa.Integer(), nullable=False),
        sa.Column("effects_critical", sa.Integer(), nullable=False),
        sa.Column("tend_at", sa.Double()),
        sa.Column("silent_since", sa.Double()),
        sa.Column("change_revision", sa.Text(), nullable=False),
        sa.Column("change_at", sa.Double()),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("reopened_at", sa.Text(), nullable=False),
        sa.Column("calm_at", sa.Double()),
        sa.Column("loud_since", sa.Double()),
        sa.PrimaryKeyConstraint("id"),
    )
    _partial("incidents_expiring", "incidents", ["expires_at"], "closed_at IS NULL AND expires_at IS NOT NULL")
    _partial("incidents_flapping", "incidents", ["calm_at"], "closed_at IS NULL AND calm_at IS NOT NULL")
    _partial("incidents_folded", "incidents", ["folded_into"], "folded_into IS NOT NULL")
    _partial("incidents_open", "incidents", [sa.text("severity DESC"), "opened_at"], "closed_at IS NULL")
    _partial("incidents_over", "incidents", ["closed_at"], "closed_at IS NOT NULL")
    _partial("incidents_tended", "incidents", ["tend_at"], "tend_at IS NOT NULL")
    op.create_table(
        "journal",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("signal", sa.Text(), nullable=False),
        sa.Column("incident", sa.Text()),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("other", sa.Text()),
        sa.PrimaryKeyConstraint("id"),
    )
    _partial("journal_of_incident", "journal", ["incident"], "incident IS NOT NULL")
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("held_by", sa.Text(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "messages",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("webhook", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("discord_id", sa.Text()),
        sa.Column("discord_channel", sa.Text()),
        sa.Column("thread", sa.Text()),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Double()),
        sa.Column("jump_to", sa.BigInteger()),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("takes", sa.Text(), nullable=False),
        sa.Column("mentioned", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    _partial("messages_taking", "messages", ["channel", "takes"], "takes != ''")
    _partial("messages_mentioning", "messages", ["channel", "created_at"], "mentioned > 0")
    _partial("messages_gone", "messages", ["created_at"], "gone")
    _partial("messages_due", "messages", ["channel", "due_at"], "due_at IS NOT NULL")
    op.create_table(
        "objects",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("revision_since", sa.Double()),
        sa.Column("succeeded_at", sa.Double()),
        sa.Column("beats", sa.Integer(), nullable=False),
        sa.Column("beat_at", sa.Double()),
        sa.Column("longest_gap", sa.Double(), nullable=False),
        sa.Column("healed", sa.Integer(), nullable=False),
        sa.Column("healed_at", sa.Double()),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("uid_before", sa.Text(), nullable=False),
        sa.Column("twin", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.Double()),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "placements",
        sa.Column("message", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("incident", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("message", "incident", "channel"),
    )
    op.create_index("placements_of_incident", "placements", ["incident"])
    op.create_table(
        "postings",
        sa.Column("incident", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("shown", sa.Integer(), nullable=False),
        sa.Column("pages_owed", sa.Integer(), nullable=False),
        sa.Column("pages_made", sa.Integer(), nullable=False),
        sa.Column("paged_severity", sa.SmallInteger(), nullable=False),
        sa.Column("paged_for", sa.Text(), nullable=False),
        sa.Column("paged_at", sa.Double()),
        sa.Column("end_due_at", sa.Double()),
        sa.Column("end_shown_at", sa.Double()),
        sa.Column("due_at", sa.Double()),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("message", sa.BigInteger()),
        sa.Column("shown_at", sa.Double()),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("degraded", sa.Text(), nullable=False),
        sa.Column("parked", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.Double()),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("quiet", sa.Text(), nullable=False),
        sa.Column("quiet_until", sa.Double()),
        sa.Column("tell", sa.Integer(), nullable=False),
        sa.Column("arrived", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("incident", "channel"),
        sqlite_with_rowid=False,
    )
    _partial("postings_due", "postings", ["channel", "rank", "due_at"], "due_at IS NOT NULL")
    _partial("postings_parked", "postings", ["channel"], "parked != ''")
    _partial("postings_quiet", "postings", ["quiet_until"], "quiet_until IS NOT NULL")
    _partial("postings_waiting", "postings", ["channel", "due_at"], "due_at IS NOT NULL")
    op.create_table(
        "quiet",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("matchers", sa.Text(), nullable=False),
        sa.Column("incident", sa.Text()),
        sa.Column("began_at", sa.Double(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("said_by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Double()),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    _partial("quiet_now", "quiet", ["until"], "ended_at IS NULL")
    op.create_table(
        "recent",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
        sqlite_with_rowid=False,
    )
    op.create_index("recent_at", "recent", ["at"])
    op.create_table(
        "rejects",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("cure", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "relay",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "rollouts",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("began_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.Column("ready", sa.Integer(), nullable=False),
        sa.Column("touched", sa.Text(), nullable=False),
        sa.Column("failures", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    op.create_index("rollouts_changed", "rollouts", ["changed_at"])
    op.create_table(
        "signals",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("aspect", sa.Text(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("sent_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("semantic_key", sa.Text()),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("episode", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("resolved_at", sa.Double()),
        sa.Column("closed_since", sa.Double()),
        sa.Column("held_until", sa.Double()),
        sa.Column("superseded", sa.Boolean(), nullable=False),
        sa.Column("incident", sa.Text()),
        sa.Column("longest_gap", sa.Double(), nullable=False),
        sa.Column("gaps", sa.Integer(), nullable=False),
        sa.Column("remediated", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    _partial("signals_held", "signals", ["held_until"], "held_until IS NOT NULL")
    _partial("signals_of_incident", "signals", ["incident"], "incident IS NOT NULL")
    _partial("signals_over", "signals", ["seen_at"], "state = 'resolved'")
    _partial("signals_semantic", "signals", ["semantic_key"], "semantic_key IS NOT NULL")
