"""What a test looks up one by one, where the relay itself asks for many at once."""

from sqlalchemy import Connection, select

from relay.core.card import Form
from relay.core.incident import Incident
from relay.core.posting import Message, Posting
from relay.storage.rows import to_incident, to_message, to_posting
from relay.storage.tables import incidents, messages, placements, postings


def load_posting(connection: Connection, key: tuple[str, str]) -> Posting | None:
    """The Posting of (Incident, Channel)."""
    mine = (postings.c.incident == key[0]) & (postings.c.channel == key[1])
    row = connection.execute(select(postings).where(mine)).first()
    return to_posting(row) if row is not None else None


def message_by_id(connection: Connection, message_id: int) -> Message | None:
    row = connection.execute(select(messages).where(messages.c.id == message_id)).first()
    return to_message(row) if row is not None else None


def messages_of(connection: Connection, key: tuple[str, str]) -> list[tuple[Message, Form]]:
    """Every Message in which the Posting of (Incident, Channel) stands, and how; oldest first."""
    mine = (placements.c.incident == key[0]) & (placements.c.channel == key[1])
    joined = select(placements.c.form, messages).join(messages, messages.c.id == placements.c.message)
    rows = connection.execute(joined.where(mine).order_by(messages.c.id))
    return [(to_message(row[1:]), Form(row[0])) for row in rows]


def incident_by_id(connection: Connection, incident: str) -> Incident | None:
    row = connection.execute(select(incidents).where(incidents.c.id == incident)).first()
    return to_incident(row) if row is not None else None
