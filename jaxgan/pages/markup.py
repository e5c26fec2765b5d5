"""HTML from Python values: every text is escaped, so that a class name or a path is never read as markup."""

import html
import json
from typing import Any


class Html(str):
    """Text that is markup already; any other text is escaped where it enters a page."""

    __slots__ = ()


_EMPTY = ("img", "input", "meta", "br", "hr", "col")


def tag(name: str, *inside: Any, **attributes: Any) -> Html:
    """Returns an element.

    Args:
        name: of the element.
        inside: its content in order, escaped but for `Html`; None is left out, and lists are flattened.
        attributes: by name, `_` for `-`, and `class_` for `class`; True stands alone, None and False are left out.
    """
    words = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        words.append(f" {key}" if value is True else f' {key}="{html.escape(str(value))}"')
    opened = f"<{name}{''.join(words)}>"
    return Html(opened if name in _EMPTY else f"{opened}{joined(*inside)}</{name}>")


def joined(*inside: Any) -> Html:
    """Returns content one after the other, escaped but for `Html`."""
    parts: list[str] = []
    for each in inside:
        if isinstance(each, (list, tuple)):
            parts.append(joined(*each))
        elif each is not None:
            parts.append(each if isinstance(each, Html) else html.escape(printable(str(each))))
    return Html("".join(parts))


def printable(text: str) -> str:
    """Returns a text with control characters and lone surrogates, which no page may hold, as `�`."""
    return "".join("\ufffd" if (ord(c) < 32 and c not in "\n\t") or 0xD800 <= ord(c) < 0xE000 else c for c in text)


def data(content: Any) -> str:
    """Returns JSON that may stand within a `script` element: nothing in it ends the element or begins a comment."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def table(caption: str, heads: list[Any], rows: list[list[Any]], *, label: str = "") -> Html:
    """Returns a table with a caption, the first cell of each row a heading; it scrolls by itself where it is too wide.

    Args:
        caption: above the table.
        heads: of the columns.
        rows: of cells, texts or `Html`.
        label: of the part that scrolls; the caption by default.
    """
    head = tag("tr", [tag("th", each, scope="col") for each in heads])
    body = [tag("tr", tag("th", row[0], scope="row"), [tag("td", each) for each in row[1:]]) for row in rows]
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body))
    return tag("div", whole, class_="scroll", role="group", tabindex="0", aria_label=label or caption)
