"""Every code Discord may answer with is a name here, so that nothing is refused under a number nobody can look up."""

from __future__ import annotations

from enum import IntEnum, StrEnum, unique


@unique
class Code(IntEnum):
    """The `code` of a JSON answer."""

    GENERAL = 0
    UNKNOWN_CHANNEL = 10003
    UNKNOWN_MESSAGE = 10008
    UNKNOWN_WEBHOOK = 10015
    UNKNOWN_TAG = 10087
    OLD_EDITS = 30046
    CLOUDFLARE_BLOCKS = 40333
    REQUEST_TOO_LARGE = 40005
    TAG_REQUIRED = 40067
    EMPTY_MESSAGE = 50006
    INVALID_WEBHOOK_TOKEN = 50027
    INVALID_FORM = 50035
    INVALID_API_VERSION = 50041
    THREAD_ARCHIVED = 50083
    INVALID_JSON = 50109
    THREAD_LOCKED = 160005
    AUTOMOD = 200000
    FORUM_NEEDS_THREAD = 220001
    FORUM_THREAD_TWICE = 220002
    NOT_A_FORUM = 220003


MESSAGES: dict[Code, str] = {
    Code.GENERAL: "401: Unauthorized",
    Code.UNKNOWN_CHANNEL: "Unknown Channel",
    Code.UNKNOWN_MESSAGE: "Unknown Message",
    Code.UNKNOWN_WEBHOOK: "Unknown Webhook",
    Code.UNKNOWN_TAG: "Unknown tag",
    Code.OLD_EDITS: "Maximum number of edits to messages older than 1 hour reached. Try again later.",
    Code.CLOUDFLARE_BLOCKS: "Cloudflare is blocking the request; send a proper User-Agent",
    Code.REQUEST_TOO_LARGE: "Request entity too large",
    Code.TAG_REQUIRED: "A tag is required to create a forum post in this channel",
    Code.EMPTY_MESSAGE: "Cannot send an empty message",
    Code.INVALID_WEBHOOK_TOKEN: "Invalid Webhook Token",
    Code.INVALID_FORM: "Invalid Form Body",
    Code.INVALID_API_VERSION: "Invalid API version",
    Code.THREAD_ARCHIVED: "Thread is archived",
    Code.INVALID_JSON: "The request body contains invalid JSON.",
    Code.THREAD_LOCKED: "This thread is locked",
    Code.AUTOMOD: "Message was blocked by automatic moderation",
    Code.FORUM_NEEDS_THREAD: "Webhooks posted to forum channels must have a thread_name or thread_id",
    Code.FORUM_THREAD_TWICE: "Webhooks posted to forum channels cannot have both a thread_name and thread_id",
    Code.NOT_A_FORUM: "Webhooks can only create threads in forum channels",
}


@unique
class Form(StrEnum):
    """The `code` of one entry in the nested `errors` of a 50035."""

    REQUIRED = "BASE_TYPE_REQUIRED"
    MAX_LENGTH = "BASE_TYPE_MAX_LENGTH"
    BAD_LENGTH = "BASE_TYPE_BAD_LENGTH"
    CHOICES = "BASE_TYPE_CHOICES"
    NUMBER_MAX = "NUMBER_TYPE_MAX"
    NUMBER_MIN = "NUMBER_TYPE_MIN"
    NUMBER_COERCE = "NUMBER_TYPE_COERCE"
    STRING = "STRING_TYPE_CONVERT"
    BOOLEAN = "BOOLEAN_TYPE_CONVERT"
    LIST = "LIST_TYPE_CONVERT"
    MODEL = "MODEL_TYPE_CONVERT"
    SET_REPEATS = "SET_TYPE_ALREADY_CONTAINS_VALUE"
    DATE_TIME = "DATE_TIME_TYPE_PARSE"
    INVALID_URL = "URL_TYPE_INVALID_URL"
    INVALID_SCHEME = "URL_TYPE_INVALID_SCHEME"
    USERNAME_CONTAINS = "USERNAME_INVALID_CONTAINS"
    MENTIONS_EXCLUSIVE = "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"
    EMBED_SIZE = "MAX_EMBED_SIZE_EXCEEDED"
    BUTTON_URL_REQUIRED = "BUTTON_COMPONENT_URL_REQUIRED"
    BUTTON_LABEL_REQUIRED = "BUTTON_COMPONENT_LABEL_REQUIRED"
    BUTTON_CUSTOM_ID = "BUTTON_COMPONENT_INVALID_CUSTOM_ID"
    V2_EXCLUSIVE = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
    V2_ONE_WAY = "MESSAGE_CANNOT_REMOVE_COMPONENTS_V2"
    CONTENT_TYPE = "CONTENT_TYPE_INVALID"
