"""The JSON Schema and the reference are made from the models, so that neither can say anything else than the relay does.

`python -m relay.config.schema > docs/relay.schema.json`, and with `--docs > docs/configuration.md`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from relay.config.environment import VARIABLES
from relay.config.model import Settings

Schema = dict[str, Any]

_INTRO: Final = """\
# Configuration

Nothing but a webhook's URL is needed: `DISCORD_WEBHOOK_URL=… relay serve`. Everything else is one YAML file, named by `--config` or
`RELAY_CONFIG`; [`relay.yaml`](relay.yaml) beside this page is a full one. It is checked whole: an unknown key is an error, and all errors
are shown at once, each with its line. Editors that know JSON Schema complete and check it with [`relay.schema.json`](relay.schema.json).
This page is made from the code: `python -m relay.config.schema --docs`.

**Secrets** come from files or from the environment, never from the YAML. A relative path starts in the folder of the YAML file (in a
variable: in the working directory). Where a list may stand, any of its files opens, so that a key can be rotated. A file is read again
when its content changes; one that is unreadable or blank is an error at start, and later keeps the last good secret in use.

**A source without credentials** is served only while the relay is bound to loopback. Bound elsewhere it answers 401 until it has
credentials, or says `unauthenticated: true`.

**Durations** are written `30s`, `5m`, `2h`, `7d`, or together as `1h30m`. **Matchers** are Alertmanager's: `severity="critical"`,
`namespace=~"media|apps"`; regular expressions are anchored, and a missing label is the empty string.

"""


def schema() -> Schema:
    """The JSON Schema (2020-12) of the YAML file."""
    made = Settings.model_json_schema(by_alias=True, mode="validation")
    for model in (made, *made["$defs"].values()):
        model.pop("title", None)
        for field in model.get("properties", {}).values():
            field.pop("title", None)
            if isinstance(field.get("default"), dict):
                del field["default"]  # That of the parts says it.
            if "patternProperties" in field:
                field["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "The relay's configuration", **made}


def docs() -> str:
    """The reference in Markdown."""
    whole = schema()
    parts = [_INTRO, "## Environment\n\n| variable | is | default |\n| --- | --- | --- |\n"]
    for variable in VARIABLES:
        name = f"`{variable.name}`" + (f", `{variable.name}_FILE`" if variable.file else "")
        default = f"`{variable.default}`" if variable.default not in {"", "none"} else variable.default
        parts.append(f"| {name} | {_cell(variable.meaning)} | {default} |\n")
    parts.append("\n`_FILE` names a file that holds the value.\n\n## The file\n\n")
    places: dict[str, list[str]] = {}
    for reference, place in _models(whole, whole, ""):
        places.setdefault(reference, []).append(place)
    parts.append(_table(whole, whole, "Top level"))
    parts += [
        _table(whole["$defs"][name], whole, ", ".join(f"`{place}`" for place in found))
        for name, found in places.items()
    ]
    return "".join(parts).rstrip("\n") + "\n"


def _models(node: Schema, whole: Schema, place: str) -> Iterator[tuple[str, str]]:
    """Every named model below `node`, with the place where it stands."""
    if reference := node.get("$ref"):
        name = str(reference).rpartition("/")[2]
        yield name, place
        yield from _models(whole["$defs"][name], whole, place)
    for key, inner in node.get("properties", {}).items():
        yield from _models(inner, whole, f"{place}.{key}".lstrip("."))
    for inner in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from _models(inner, whole, place)
    if named := _named(node):
        yield from _models(named, whole, f"{place}.NAME")
    if "items" in node:
        yield from _models(node["items"], whole, f"{place}[]")


def _named(node: Schema) -> Schema:
    """What stands behind each of the names of a mapping; empty for what is none."""
    found = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
    return next((one for one in found if isinstance(one, dict)), {})


def _table(model: Schema, whole: Schema, heading: str) -> str:
    rows = [
        f"### {heading}\n\n{model['description']}\n\n| setting | takes | default | meaning |\n| --- | --- | --- | --- |\n"
    ]
    for key, field in model["properties"].items():
        if key in model.get("required", ()):
            default = "required"
        elif (given := field.get("default")) in (None, [], {}):
            default = ""
        else:
            default = f"`{json.dumps(given)}`" if not isinstance(given, str) else f"`{given}`"
        rows.append(f"| `{key}` | {_cell(_takes(field, whole))} | {default} | {_cell(field['description'])} |\n")
    return "".join(rows) + "\n"


def _takes(field: Schema, whole: Schema) -> str:
    """What may stand there, in a few words."""
    if said := field.get("$comment"):
        return str(said)
    if "$ref" in field:
        return "a mapping"
    if choices := (*field.get("anyOf", ()), *field.get("oneOf", ())):
        return " or ".join(dict.fromkeys(_takes(one, whole) for one in choices if one.get("type") != "null"))
    if words := field.get("enum") or [word for word in (field.get("const"),) if word]:
        return " · ".join(f"`{word}`" for word in words)
    match field["type"]:
        case "array":
            inner = _takes(field["items"], whole).removeprefix("a ")
            return f"a list of {'mappings' if inner.startswith('mapping') else inner.removesuffix('s') + 's'}"
        case "object":
            return f"a mapping of names to {_takes(_named(field), whole).removeprefix('a ')}s"
        case "boolean":
            return "`true` · `false`"
        case kind:
            return {"integer": "a number"}.get(kind, "text")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(arguments: list[str]) -> str:
    """What `python -m relay.config.schema` prints."""
    return docs() if arguments == ["--docs"] else json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1:]))
