"""What passes here is within every limit Discord is known to have; what does not is refused whole and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from relay.demo.discord import form
from relay.demo.discord.codes import Code, Form
from relay.demo.discord.form import Errors, JsonObject, Path

MAX_CONTENT = 2000
MAX_EMBEDS = 10
MAX_TITLE = 256
MAX_DESCRIPTION = 4096
MAX_FIELDS = 25
MAX_FIELD_NAME = 256
MAX_FIELD_VALUE = 1024
MAX_FOOTER = 2048
MAX_AUTHOR = 256
MAX_IMAGE_DESCRIPTION = 4096
MAX_COLOUR = 0xFFFFFF
MAX_EMBED_SUM = 6000
MAX_TEXT_BYTES = 9960
MAX_V2_BYTES = 10170
MAX_V2_COMPONENTS = 40
MAX_V2_TEXT = 4000
MAX_ROWS = 5
MAX_BUTTONS = 5
MAX_LABEL = 80
MAX_BUTTON_URL = 512
MAX_MENTION_IDS = 100
MAX_USERNAME = 80
MAX_THREAD_NAME = 100
MAX_TAGS = 5
MAX_FILES = 10
MAX_FILE_NAME = 1024
MAX_FILE_DESCRIPTION = 1024

FORBIDDEN_NAMES = ("discord", "clyde")
MENTION_KINDS = ("users", "roles", "everyone")
ROW, BUTTON, TEXT_DISPLAY = 1, 2, 10
LINK = 5
VISIBLE = ("title", "description", "fields", "image", "thumbnail", "author", "footer")
LAYOUT = frozenset({1, 9, 10, 11, 12, 13, 14, 17})


class Flags(IntFlag):
    """The message flags a webhook may set."""

    SUPPRESS_EMBEDS = 1 << 2
    SUPPRESS_NOTIFICATIONS = 1 << 12
    IS_COMPONENTS_V2 = 1 << 15


@dataclass(frozen=True, slots=True)
class Mentions:
    """Whom `allowed_mentions` lets a message notify. `parse` holds kinds, `users` and `roles` single ids."""

    parse: frozenset[str]
    users: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Accepted:
    """One accepted request body: only the keys that were there, clean; `mentions` is None where nothing was said."""

    given: JsonObject
    mentions: Mentions | None


@dataclass(frozen=True, slots=True)
class Invalid:
    """One refused body: the HTTP status, the code, and the faults of a 50035."""

    status: int
    code: Code
    errors: Errors | None = None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the verdict on a body depends on besides the body.

    `uploads` are the names that `attachment://` may refer to; `was_v2` tells of an edit whether the message already is V2.
    """

    editing: bool
    with_components: bool
    strict: bool
    uploads: frozenset[str] = frozenset()
    was_v2: bool = False


def read(body: object, around: Circumstances) -> Accepted | Invalid:
    """Read the body of a create or an edit. Keys nobody knows are ignored, as Discord ignores them."""
    errors = Errors()
    raw = form.model(body, (), errors)
    if raw is None:
        if not errors:
            errors.add((), Form.MODEL, "Only dictionaries may be used in a ModelType")
        return Invalid(400, Code.INVALID_FORM, errors)
    given: JsonObject = {}
    if "content" in raw:
        given["content"] = form.text(raw["content"], ("content",), errors, most=MAX_CONTENT) or ""
    if "embeds" in raw:
        given["embeds"] = _embeds(raw["embeds"], errors, around.uploads)
    if "attachments" in raw:
        given["attachments"] = _attachments(raw["attachments"], errors)
    mentions = _mentions(raw["allowed_mentions"], errors) if raw.get("allowed_mentions") is not None else None
    if raw.get("flags") is not None:
        given["flags"] = _flags(raw["flags"], errors, around)
    if not around.editing:
        _sender(raw, given, errors)
    v2 = around.was_v2 or bool(_number(given.get("flags")) & Flags.IS_COMPONENTS_V2)
    if around.with_components and "components" in raw:
        given["components"] = _components(raw["components"], errors, v2=v2)
    if v2:
        _only_components(given, errors)
    if errors:
        return Invalid(400, Code.INVALID_FORM, errors)
    if _too_heavy(given, v2=v2):
        return Invalid(500, Code.GENERAL)
    return Accepted(given, mentions)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _sender(raw: JsonObject, given: JsonObject, errors: Errors) -> None:
    """The keys only a create knows: who speaks, and the thread it opens."""
    name = form.text(raw.get("username"), ("username",), errors, most=MAX_USERNAME, least=1)
    if name is not None:
        for forbidden in FORBIDDEN_NAMES:
            if forbidden in name.lower():
                errors.add(("username",), Form.USERNAME_CONTAINS, f'Username cannot contain "{forbidden}"')
        given["username"] = name
    avatar = form.url(raw.get("avatar_url"), ("avatar_url",), errors)
    if avatar is not None:
        given["avatar_url"] = avatar
    thread = form.text(raw.get("thread_name"), ("thread_name",), errors, most=MAX_THREAD_NAME, least=1)
    if thread is not None:
        given["thread_name"] = thread
    tags = form.listing(raw.get("applied_tags"), ("applied_tags",), errors, most=MAX_TAGS)
    given["applied_tags"] = [form.snowflake(tag, ("applied_tags", at), errors) for at, tag in enumerate(tags)]
    form.boolean(raw.get("tts"), ("tts",), errors)


def _flags(value: object, errors: Errors, around: Circumstances) -> int:
    flags = form.integer(value, ("flags",), errors, most=(1 << 31) - 1)
    known = Flags.SUPPRESS_EMBEDS | Flags.SUPPRESS_NOTIFICATIONS | Flags.IS_COMPONENTS_V2
    if flags is None:
        return 0
    if around.strict and flags & ~known:
        errors.add(
            ("flags",), Form.CHOICES, "Only SUPPRESS_EMBEDS, SUPPRESS_NOTIFICATIONS and IS_COMPONENTS_V2 may be set."
        )
    if around.editing and around.was_v2 and not flags & Flags.IS_COMPONENTS_V2:
        errors.add(("flags",), Form.V2_ONE_WAY, "The flag IS_COMPONENTS_V2 cannot be removed.")
    return int(flags & known)


# ── embeds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _embeds(value: object, errors: Errors, uploads: frozenset[str]) -> list[JsonObject]:
    embeds = [
        _embed(raw, ("embeds", at), errors, uploads)
        for at, raw in enumerate(form.listing(value, ("embeds",), errors, most=MAX_EMBEDS))
    ]
    if sum(len(piece) for embed in embeds for piece in embed_texts(embed)) > MAX_EMBED_SUM:
        errors.add(("embeds",), Form.EMBED_SIZE, f"Embed size exceeds maximum size of {MAX_EMBED_SUM}")
    return embeds


def _embed(value: object, path: Path, errors: Errors, uploads: frozenset[str]) -> JsonObject:
    raw = form.model(value, path, errors)
    if raw is None:
        if value is None:
            errors.add(path, Form.REQUIRED, "This field is required")
        return {}
    clean: JsonObject = {
        "title": form.text(raw.get("title"), (*path, "title"), errors, most=MAX_TITLE),
        "description": form.text(raw.get("description"), (*path, "description"), errors, most=MAX_DESCRIPTION),
        "url": form.url(raw.get("url"), (*path, "url"), errors),
        "color": form.integer(raw.get("color"), (*path, "color"), errors, most=MAX_COLOUR),
        "timestamp": form.timestamp(raw.get("timestamp"), (*path, "timestamp"), errors),
        "footer": _named(raw.get("footer"), "text", MAX_FOOTER, (*path, "footer"), errors, uploads),
        "author": _named(raw.get("author"), "name", MAX_AUTHOR, (*path, "author"), errors, uploads),
        "image": _picture(raw.get("image"), (*path, "image"), errors, uploads),
        "thumbnail": _picture(raw.get("thumbnail"), (*path, "thumbnail"), errors, uploads),
        "fields": [
            _field(field, (*path, "fields", at), errors)
            for at, field in enumerate(form.listing(raw.get("fields"), (*path, "fields"), errors, most=MAX_FIELDS))
        ],
    }
    clean = {key: entry for key, entry in clean.items() if entry not in (None, [], "", {})}
    if not any(raw.get(key) for key in VISIBLE):
        errors.add((*path, "description"), Form.REQUIRED, "This field is required")
    return {"type": "rich", **clean}


def _named(value: object, key: str, most: int, path: Path, errors: Errors, uploads: frozenset[str]) -> JsonObject:
    """A footer or an author: its text, and where it may link or show an icon."""
    raw = form.model(value, path, errors)
    if raw is None:
        return {}
    clean: JsonObject = {
        key: form.text(raw.get(key), (*path, key), errors, most=most, required=True),
        "icon_url": form.url(raw.get("icon_url"), (*path, "icon_url"), errors, uploads=uploads.__contains__),
    }
    if key == "name":
        clean["url"] = form.url(raw.get("url"), (*path, "url"), errors)
    return {name: entry for name, entry in clean.items() if entry}


def _picture(value: object, path: Path, errors: Errors, uploads: frozenset[str]) -> JsonObject:
    raw = form.model(value, path, errors)
    if raw is None:
        return {}
    if raw.get("url") is None:
        errors.add((*path, "url"), Form.REQUIRED, "This field is required")
    clean: JsonObject = {
        "url": form.url(raw.get("url"), (*path, "url"), errors, uploads=uploads.__contains__),
        "description": form.text(raw.get("description"), (*path, "description"), errors, most=MAX_IMAGE_DESCRIPTION),
    }
    return {name: entry for name, entry in clean.items() if entry}


def _field(value: object, path: Path, errors: Errors) -> JsonObject:
    raw = form.model(value, path, errors)
    if raw is None:
        if value is None:
            errors.add(path, Form.REQUIRED, "This field is required")
        return {}
    return {
        "name": form.text(raw.get("name"), (*path, "name"), errors, most=MAX_FIELD_NAME, required=True),
        "value": form.text(raw.get("value"), (*path, "value"), errors, most=MAX_FIELD_VALUE, required=True),
        "inline": form.boolean(raw.get("inline"), (*path, "inline"), errors),
    }


def embed_texts(embed: JsonObject) -> list[str]:
    """Every text of an embed that counts towards the 6000."""
    pieces: list[object] = [embed.get("title"), embed.get("description")]
    for key, inner in (("footer", "text"), ("author", "name")):
        holder = embed.get(key)
        pieces.append(holder.get(inner) if isinstance(holder, dict) else None)
    fields = embed.get("fields")
    for field in fields if isinstance(fields, list) else []:
        pieces += [field.get("name"), field.get("value")]
    return [piece for piece in pieces if isinstance(piece, str)]


def _too_heavy(given: JsonObject, *, v2: bool) -> bool:
    """The wall no documentation names: about 10 KB of UTF-8 in one message."""
    pieces = [str(given.get("content", ""))]
    embeds = given.get("embeds")
    for embed in embeds if isinstance(embeds, list) else []:
        pieces += embed_texts(embed)
    if v2:
        pieces += _displayed(given.get("components"))
    return sum(len(piece.encode()) for piece in pieces) > (MAX_V2_BYTES if v2 else MAX_TEXT_BYTES)


# ── mentions, attachments ────────────────────────────────────────────────────────────────────────────────────────────


def _mentions(value: object, errors: Errors) -> Mentions:
    path: Path = ("allowed_mentions",)
    raw = form.model(value, path, errors) or {}
    parse = form.listing(raw.get("parse"), (*path, "parse"), errors, most=len(MENTION_KINDS))
    kinds = {
        str(kind)
        for at, kind in enumerate(parse)
        if form.choice(kind, (*path, "parse", at), errors, among=MENTION_KINDS)
    }
    ids: dict[str, frozenset[str]] = {}
    for key in ("users", "roles"):
        listed = form.listing(raw.get(key), (*path, key), errors, most=MAX_MENTION_IDS)
        found = [form.snowflake(one, (*path, key, at), errors) for at, one in enumerate(listed)]
        ids[key] = frozenset(one for one in found if one is not None)
        if len(ids[key]) < len(listed) and None not in found:
            errors.add((*path, key), Form.SET_REPEATS, "The set already contains this value")
        if listed and key in kinds:
            message = f'parse:["{key}"] and {key}: [ids...] are mutually exclusive.'
            errors.add(path, Form.MENTIONS_EXCLUSIVE, message)
    form.boolean(raw.get("replied_user"), (*path, "replied_user"), errors)
    return Mentions(frozenset(kinds), ids["users"], ids["roles"])


def _attachments(value: object, errors: Errors) -> list[JsonObject]:
    clean: list[JsonObject] = []
    for at, entry in enumerate(form.listing(value, ("attachments",), errors, most=MAX_FILES)):
        path: Path = ("attachments", at)
        raw = form.model(entry, path, errors)
        if raw is None:
            continue
        name = form.text(raw.get("filename"), (*path, "filename"), errors, most=MAX_FILE_NAME)
        said = form.text(raw.get("description"), (*path, "description"), errors, most=MAX_FILE_DESCRIPTION)
        number = raw.get("id")
        known = form.snowflake(str(number) if type(number) is int else number, (*path, "id"), errors)
        clean.append({"id": known, "filename": name, "description": said})
    return clean


# ── components ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _components(value: object, errors: Errors, *, v2: bool) -> list[object]:
    path: Path = ("components",)
    if v2:
        listed = form.listing(value, path, errors, most=MAX_V2_COMPONENTS)
        if _count(listed) > MAX_V2_COMPONENTS:
            errors.add(path, Form.MAX_LENGTH, f"Must be {MAX_V2_COMPONENTS} or fewer in length.")
        if sum(len(piece) for piece in _displayed(listed)) > MAX_V2_TEXT:
            errors.add(path, Form.MAX_LENGTH, f"Must be {MAX_V2_TEXT} or fewer in length.")
    else:
        listed = form.listing(value, path, errors, most=MAX_ROWS)
    return [_component(raw, (*path, at), errors, among=LAYOUT if v2 else {ROW}) for at, raw in enumerate(listed)]


def _component(value: object, path: Path, errors: Errors, *, among: frozenset[int] | set[int]) -> JsonObject:
    """A row of link buttons, or in V2 any layout; whatever needs somebody to answer a click is refused."""
    raw = form.model(value, path, errors)
    if raw is None or not form.choice(raw.get("type"), (*path, "type"), errors, among=sorted(among)):
        return {}
    if raw["type"] == BUTTON:
        return _button(raw, path, errors)
    inside: Path = (*path, "components")
    if raw["type"] == ROW:
        buttons = form.listing(raw.get("components") or [], inside, errors, most=MAX_BUTTONS, least=1)
        return {
            "type": ROW,
            "components": [_component(b, (*inside, at), errors, among={BUTTON}) for at, b in enumerate(buttons)],
        }
    clean = dict(raw)
    children = form.listing(raw.get("components"), inside, errors, most=MAX_V2_COMPONENTS)
    if children:
        clean["components"] = [_component(c, (*inside, at), errors, among=LAYOUT) for at, c in enumerate(children)]
    if raw["type"] == TEXT_DISPLAY:
        clean["content"] = form.text(raw.get("content"), (*path, "content"), errors, most=MAX_V2_TEXT, required=True)
    return clean


def _button(raw: JsonObject, path: Path, errors: Errors) -> JsonObject:
    if not form.choice(raw.get("style"), (*path, "style"), errors, among=[LINK]):
        return {}
    if raw.get("custom_id") is not None:
        errors.add((*path, "custom_id"), Form.BUTTON_CUSTOM_ID, "A custom id and url cannot both be specified")
    if not raw.get("url"):
        errors.add((*path, "url"), Form.BUTTON_URL_REQUIRED, "A url is required")
    label = form.text(raw.get("label"), (*path, "label"), errors, most=MAX_LABEL)
    if raw.get("emoji") is None and (label == "" or raw.get("label") is None):
        errors.add((*path, "label"), Form.BUTTON_LABEL_REQUIRED, "A label is required")
    clean: JsonObject = {
        "type": BUTTON,
        "style": LINK,
        "label": label,
        "url": form.url(raw.get("url"), (*path, "url"), errors, most=MAX_BUTTON_URL),
        "emoji": form.model(raw.get("emoji"), (*path, "emoji"), errors),
        "disabled": form.boolean(raw.get("disabled"), (*path, "disabled"), errors) or None,
    }
    return {key: entry for key, entry in clean.items() if entry is not None}


def _only_components(given: JsonObject, errors: Errors) -> None:
    for key in ("content", "embeds"):
        if given.get(key):
            errors.add((key,), Form.V2_EXCLUSIVE, "The field cannot be used with IS_COMPONENTS_V2.")


def _count(components: object) -> int:
    listed = components if isinstance(components, list) else []
    return sum(1 + (_count(one.get("components")) if isinstance(one, dict) else 0) for one in listed)


def _displayed(components: object) -> list[str]:
    found: list[str] = []
    for one in components if isinstance(components, list) else []:
        if isinstance(one, dict):
            content = one.get("content")
            found += [content] if isinstance(content, str) else []
            found += _displayed(one.get("components"))
    return found
