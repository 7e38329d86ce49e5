"""JSON files that hold one array of objects."""

import io
import json
import re
from collections.abc import Iterator
from typing import cast

from preftune.errors import DataError
from preftune.records import Exclusion
from preftune.sources.jsonl import BOM, jsonl_rows
from preftune.sources.lines import ByteStream
from preftune.sources.rows import Item, Row, kind_of
from preftune.sources.strict_json import MAX_DEPTH, StrictDecoder

JSON_LIMIT = 1 << 30
"""Bytes of the largest JSON array; it is parsed in memory, JSON Lines are not."""

_SPACE = re.compile(r"[ \t\r\n]*")


def json_rows(
    stream: ByteStream, name: str, *, limit: int = JSON_LIMIT
) -> tuple[Iterator[Item], str]:
    """Rows of a `.json` file and a note when it is really JSON Lines.

    Raises:
        DataError: PT101 not JSON, PT107 more than `limit` bytes.
    """
    data = _read_all(stream, name, limit).removeprefix(BOM)
    first = data.lstrip(b" \t\r\n")[:1]
    if first == b"{":
        _refuse_single_object(data, name)
        note = "the .json file holds one object per line and is read as JSON Lines"
        return jsonl_rows(io.BytesIO(data), name), note
    if not first:
        return iter(()), ""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _not_json(f"{name}:{line}", "the text is not UTF-8") from error
    return _elements(text, name), ""


def _read_all(stream: ByteStream, name: str, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := stream.read(1 << 20):
        parts.append(part)
        size += len(part)
        if size > limit:
            raise DataError(
                "PT107",
                f"the JSON file is larger than {limit:,} bytes once unpacked",
                why="a JSON array is parsed in memory as a whole.",
                fix="write one object per line: `jq -c '.[]' FILE > FILE.jsonl`.",
                where=name,
            )
    return b"".join(parts)


def _refuse_single_object(data: bytes, name: str) -> None:
    """A JSON object over several lines is neither an array nor JSON Lines."""
    if b"\n" not in data.strip():
        return
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    keys = ", ".join(f"`{key}`" for key in list(value)[:10])
    raise DataError(
        "PT101",
        f"the file is one JSON object (keys: {keys}), not a list of rows",
        why="rows are the elements of an array, or one object per line.",
        fix="take the list out of it: `jq -c '.KEY[]' FILE > FILE.jsonl`.",
        where=name,
    )


def _elements(text: str, name: str) -> Iterator[Item]:
    decoder = StrictDecoder()
    at = _space(text, 0)
    if text[at] != "[":
        raise _not_json(f"{name}:1", f"the file is {text[at : at + 20]!r}…, not an array")
    line, counted, separator = 1, 0, ","
    at = _space(text, at + 1)
    if text[at : at + 1] == "]":
        separator, at = "]", at + 1
    while separator == ",":
        line, counted = line + text.count("\n", counted, at), at
        item, at = _element(decoder, text, at, f"{name}:{line}")
        yield item
        at = _space(text, at)
        separator = text[at : at + 1]
        at = _space(text, at + 1)
    if separator != "]":
        line += text.count("\n", counted, at)
        raise _not_json(f"{name}:{line}", "the array ends early, or a comma is missing")
    if _space(text, at) < len(text):
        raise _not_json(name, "there is more text after the array")


def _element(decoder: StrictDecoder, text: str, at: int, place: str) -> tuple[Item, int]:
    try:
        value, end, fault = decoder.element(text, at)
    except json.JSONDecodeError as error:
        problem = f"the element is broken: {error.msg} (line {error.lineno})"
        raise _not_json(place, problem) from None
    except RecursionError:
        raise _not_json(place, f"the element nests more than {MAX_DEPTH} levels") from None
    if fault:
        return Exclusion(place, fault.reason, fault.detail), end
    if not isinstance(value, dict):
        return Exclusion(place, "not an object", f"the element is {kind_of(value)}"), end
    return Row(place, cast("dict[str, object]", value)), end


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _not_json(where: str, problem: str) -> DataError:
    return DataError(
        "PT101",
        problem,
        why="after a syntax error in an array no later row can be found.",
        fix="mend the file, or make it anew; JSON Lines lose only the broken line.",
        where=where,
    )
