"""Nothing the stand-in does is nameless: each code, limit and fault says where it is known from, so that no guess passes for Discord."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Provenance(StrEnum):
    """How well a behaviour is known."""

    DOCS = "docs"
    SPEC = "spec"
    STAFF = "staff"
    SEEN = "seen"
    GUESS = "guess"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a behaviour is known from. DAD is discord/discord-api-docs, DOC its pages, SPEC discord/discord-api-spec."""

    kind: Provenance
    reference: str


def _docs(reference: str) -> Origin:
    return Origin(Provenance.DOCS, reference)


def _spec(reference: str) -> Origin:
    return Origin(Provenance.SPEC, reference)


def _staff(reference: str) -> Origin:
    return Origin(Provenance.STAFF, reference)


def _seen(reference: str) -> Origin:
    return Origin(Provenance.SEEN, reference)


def _guess(reference: str) -> Origin:
    return Origin(Provenance.GUESS, reference)


CODES_PAGE = _docs("DOC:topics/opcodes-and-status-codes")
ERRORS_PAGE = _docs("DOC:reference, error messages")

CODES: Mapping[str, Origin] = {
    "Code.GENERAL": CODES_PAGE,
    "Code.UNKNOWN_CHANNEL": _guess("the code is documented; that a foreign thread_id gets it is not"),
    "Code.UNKNOWN_MESSAGE": CODES_PAGE,
    "Code.UNKNOWN_WEBHOOK": CODES_PAGE,
    "Code.UNKNOWN_TAG": CODES_PAGE,
    "Code.OLD_EDITS": _seen("aikaterna/aikaterna-cogs #302: arrives as HTTP 429"),
    "Code.CLOUDFLARE_BLOCKS": CODES_PAGE,
    "Code.REQUEST_TOO_LARGE": CODES_PAGE,
    "Code.TAG_REQUIRED": CODES_PAGE,
    "Code.EMPTY_MESSAGE": CODES_PAGE,
    "Code.INVALID_WEBHOOK_TOKEN": CODES_PAGE,
    "Code.INVALID_FORM": CODES_PAGE,
    "Code.INVALID_API_VERSION": CODES_PAGE,
    "Code.THREAD_ARCHIVED": CODES_PAGE,
    "Code.INVALID_JSON": CODES_PAGE,
    "Code.THREAD_LOCKED": _guess("the code is documented; that it meets posts and edits of webhooks is not"),
    "Code.AUTOMOD": CODES_PAGE,
    "Code.FORUM_NEEDS_THREAD": CODES_PAGE,
    "Code.FORUM_THREAD_TWICE": CODES_PAGE,
    "Code.NOT_A_FORUM": CODES_PAGE,
    "Form.REQUIRED": ERRORS_PAGE,
    "Form.MAX_LENGTH": _seen("bodies quoted in public issues"),
    "Form.BAD_LENGTH": _seen("bodies quoted in public issues"),
    "Form.CHOICES": ERRORS_PAGE,
    "Form.NUMBER_MAX": _seen("bodies quoted in public issues"),
    "Form.NUMBER_MIN": _guess("by analogy with NUMBER_TYPE_MAX"),
    "Form.NUMBER_COERCE": _seen("bodies quoted in public issues"),
    "Form.STRING": _guess("the spelling is uncertain; Discord may convert numbers instead"),
    "Form.BOOLEAN": _guess("the spelling is uncertain"),
    "Form.LIST": _guess("the spelling is uncertain"),
    "Form.MODEL": _guess("the spelling is uncertain"),
    "Form.SET_REPEATS": _guess("SPEC says uniqueItems; the spelling is uncertain"),
    "Form.DATE_TIME": _seen("bodies quoted in public issues"),
    "Form.INVALID_URL": _seen("rogerrum/alertmanager-discord #19, grafana/grafana #65270, pigsty #736"),
    "Form.INVALID_SCHEME": _seen("bodies quoted in public issues"),
    "Form.USERNAME_CONTAINS": _seen("bodies quoted in public issues; the rule is in DOC:resources/webhook"),
    "Form.MENTIONS_EXCLUSIVE": _docs("DOC:resources/message, allowed mentions"),
    "Form.EMBED_SIZE": _staff("DAD #4047, #4379"),
    "Form.BUTTON_URL_REQUIRED": _guess("the family BUTTON_COMPONENT_* is seen; this member is not"),
    "Form.BUTTON_LABEL_REQUIRED": _guess("the family BUTTON_COMPONENT_* is seen; this member is not"),
    "Form.BUTTON_CUSTOM_ID": _guess("the family BUTTON_COMPONENT_* is seen; this member is not"),
    "Form.V2_EXCLUSIVE": _guess("the rule is in DOC:components/reference; the code's name is not known"),
    "Form.V2_ONE_WAY": _guess("the rule is in DOC:components/reference; the code's name is not known"),
    "Form.CONTENT_TYPE": _seen("bodies quoted in public issues"),
}

LIMITS: Mapping[str, Origin] = {
    "Limits.enforced": _guess("a switch of the stand-in"),
    "Limits.route": _staff("DAD #367: 5 per 2 s for each webhook; others saw 5/1 s and 5/5 s"),
    "Limits.channel": _staff("DAD #367, #1454, #4043: 30 per 60 s over all webhooks, in no header"),
    "Limits.channel_pause": _seen("Rapptz/discord.py #2272: 40 to 45 s"),
    "Limits.channel_counts_edits": _guess("nobody says whether edits count; off by default"),
    "Limits.old_edits": _seen("discord-userdoccers: about 3 per 6 s for each channel; DAD #4413 gives no numbers"),
    "Limits.old_after": _docs("the text of code 30046"),
    "Limits.everything": _docs("DOC:topics/rate-limits; userdoccers say webhooks are exempt"),
    "Limits.ban_after": _docs("DOC:topics/rate-limits: 10,000 of 401, 403, 429 in 10 min; scaled down here"),
    "Limits.ban_after_missing": _guess("DOC warns of repeated 404 without a number"),
    "Limits.ban_window": _docs("DOC:topics/rate-limits"),
    "Limits.ban_for": _guess("about 24 h is said; shorter here"),
    "MAX_CONTENT": _spec("IncomingWebhookRequestPartial"),
    "MAX_EMBEDS": _spec("IncomingWebhookRequestPartial"),
    "MAX_TITLE": _spec("RichEmbed"),
    "MAX_DESCRIPTION": _spec("RichEmbed"),
    "MAX_FIELDS": _docs("an error since 2023-12-19, DAD #6585"),
    "MAX_FIELD_NAME": _spec("RichEmbedField"),
    "MAX_FIELD_VALUE": _spec("RichEmbedField"),
    "MAX_FOOTER": _spec("RichEmbedFooter"),
    "MAX_AUTHOR": _spec("RichEmbedAuthor"),
    "MAX_IMAGE_DESCRIPTION": _spec("RichEmbedImage"),
    "MAX_COLOUR": _spec("RichEmbed"),
    "MAX_EMBED_SUM": _docs("DOC:resources/message, embed limits; over all embeds by DAD #4047"),
    "MAX_TEXT_BYTES": _seen(
        "go-gitea/gitea #34084: 9,960 B passed, 9,964 did not; that all texts add up and the 500 are guesses"
    ),
    "MAX_V2_BYTES": _seen("DAD #8554: more than about 10,170 B answers 500"),
    "MAX_V2_COMPONENTS": _docs("DOC:components/reference"),
    "MAX_V2_TEXT": _docs("DOC:components/reference"),
    "MAX_ROWS": _docs("DOC:components/reference"),
    "MAX_BUTTONS": _spec("ActionRowComponentForMessageRequest"),
    "MAX_LABEL": _spec("ButtonComponentForMessageRequest"),
    "MAX_BUTTON_URL": _spec("ButtonComponentForMessageRequest"),
    "MAX_MENTION_IDS": _spec("MessageAllowedMentionsRequest"),
    "MAX_USERNAME": _spec("IncomingWebhookRequestPartial"),
    "MAX_THREAD_NAME": _spec("IncomingWebhookRequestPartial"),
    "MAX_TAGS": _spec("IncomingWebhookRequestPartial"),
    "MAX_FILES": _docs("DOC:reference, uploading files"),
    "MAX_FILE_NAME": _spec("MessageAttachmentRequest"),
    "MAX_FILE_DESCRIPTION": _spec("MessageAttachmentRequest"),
    "MAX_URL": _spec("RichEmbed"),
    "MAX_REQUEST": _docs("DOC:reference, uploading files"),
    "MAX_FILE": _docs("10 MiB since 2025-01-16"),
}

FAULTS: Mapping[str, Origin] = {
    "Kind.WEBHOOK_DELETED": _docs("code 10015"),
    "Kind.TOKEN_ROTATED": _docs("code 50027"),
    "Kind.STATUS": _docs("DOC:topics/opcodes-and-status-codes, 5xx; 520-524 are Cloudflare's"),
    "Kind.STORED_THEN_DROPPED": _seen("webhooks have no nonce (DAD #6647), so a lost answer can hide a stored message"),
    "Kind.DROPPED_BEFORE": _guess("what any network does"),
    "Kind.RESET": _guess("what any network does"),
    "Kind.SLOW_HEADERS": _guess("what any network does"),
    "Kind.SLOW_BODY": _guess("what any network does"),
    "Kind.TRICKLE": _guess("what any network does"),
    "Kind.TRUNCATED_JSON": _guess("what any proxy does"),
    "Kind.GZIP": _guess("what any proxy does"),
    "Kind.WRONG_CONTENT_TYPE": _guess("what any proxy does"),
    "Kind.EMPTY_BODY": _seen("bodies may be empty: discord.md §5"),
    "Kind.MISSING_HEADERS": _guess("what any proxy does"),
    "Kind.RESET_SKEW": _guess("two clocks are never equal"),
    "Kind.RETRY_AFTER_ZERO": _guess("never seen, but nothing forbids it"),
    "Kind.RETRY_AFTER_LONG": _seen("abalabahaha/eris #1344 and others: long waits"),
    "Kind.BAN_HTML": _seen("Cloudflare's page, DAD #7137"),
    "Kind.BAN_JSON": _seen("DAD #5810: no headers, no retry_after"),
    "Kind.CLOUDFLARE_1015": _seen("the plain text of the same ban"),
    "Kind.FORBIDDEN_HTML": _seen("Cloudflare's 403 page"),
    "Kind.EDGE_404_HTML": _guess("a 404 that Discord did not speak"),
    "Kind.AUTOMOD": CODES_PAGE,
}

BEHAVIOURS: Mapping[str, Origin] = {
    "unversioned is v6": _docs("DOC:reference, API versions"),
    "v6 tells milliseconds": _docs("DOC:change-log 2020-09-24; PDW #133, #136 saw seconds"),
    "v6 errors are flat": _seen("PDW #16, rcourtman/Pulse #378, bugsink/bugsink #280"),
    "User-Agent required": _docs("DOC:reference, user agent; that Cloudflare blocks at once is the worst case"),
    "lengths are code points": _staff("DAD #1315"),
    "lengths after stripping": _docs("DOC:resources/message, embed limits"),
    "dotless hosts are refused": _seen("rogerrum/alertmanager-discord #19, masgustavos/alertmanager-discord #7"),
    "IP hosts pass": _seen("go-gitea/gitea #11124"),
    "empty field texts pass": _seen("discordjs/discord.js #10744"),
    "naive timestamps are refused": _docs("ISO 8601; the offset is required here so that nobody guesses"),
    "lone surrogates are bad JSON": _guess("they cannot be UTF-8"),
    "absent allowed_mentions pings all": _seen("DAD #2988; DAD #7629 says users only"),
    "mentions in embeds never ping": _docs("DOC:resources/message"),
    "mentions in code never ping": _seen("how clients behave"),
    "edits recompute mentions": _staff("DAD #2474"),
    "edits never notify": _staff("DAD #1419, #5497"),
    "components without with_components are ignored": _docs("DOC:resources/webhook"),
    "SUPPRESS_NOTIFICATIONS is create-only": _docs("DOC:resources/message"),
    "wait=false hides AutoMod": _docs("DOC:resources/webhook, wait"),
    "thread_id needed on edits": _docs("DOC:resources/webhook"),
    "forum thread id is first message id": _docs("DOC:topics/threads"),
    "posting unarchives": _docs("DOC:topics/threads"),
    "failed requests cost tokens": _seen("Birdie0/discord-webhooks-guide"),
    "windows slide": _guess("stricter than Discord's fixed windows"),
    "shared 429 leaves Remaining": _seen("DAD #367, #1454, #4043"),
    "shared 429 does not count to the ban": _docs("DOC:topics/rate-limits"),
    "30046 has scope user": _guess("nobody says"),
    "one bucket hash for all": _staff("DAD #6753, #8073"),
    "edge answers lack Via": _seen("discord.py relies on it"),
}

PROVENANCE: Mapping[str, Origin] = {**CODES, **LIMITS, **FAULTS, **BEHAVIOURS}
