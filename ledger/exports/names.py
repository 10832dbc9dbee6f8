"""Names as the tools can read them: components of accounts, commodities, quoted text. Pure.

Ids are written by customers in any UTF-8; beancount takes letters, digits and dashes, so both tools
get that, in ASCII. Nothing here looks at what else there is: a name is the same name tomorrow, and
two never become one. An account's component begins with its number, which outlives an erasure.
"""

from __future__ import annotations

import json
import re
from typing import Final

_ALNUM: Final = re.compile(r"[A-Za-z0-9]")
_PLAIN: Final = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
_MARK: Final = "X-"

_COMMODITY: Final = re.compile(r"[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]")
_NUMBERED: Final = re.compile(r"-N[0-9]+$")
_WORDS: Final = ("TRUE", "FALSE", "NULL")  # mean something else to beancount
_READABLE_CHARS: Final = 12
_VERSION_MASK: Final = (1 << 32) - 1

_BEANCOUNT_ESCAPES: Final = str.maketrans(
    {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
)
_HLEDGER_UNSAFE: Final = re.compile(r'[";%\x00-\x1f\x7f-\x9f\u2028\u2029]')


def escape(text: str) -> str:
    """ASCII letters and digits stay; a dash between two of them stays; any other byte is `--HH`.

    Two texts never become one: a single dash is one that stood there, a double one begins a byte.
    """
    if _PLAIN.fullmatch(text):
        return text
    parts: list[str] = []
    for index, char in enumerate(text):
        around = text[index - 1 : index] + text[index + 1 : index + 2]
        inner = char == "-" and len(_ALNUM.findall(around)) == 2
        if inner or _ALNUM.fullmatch(char):
            parts.append(char)
        else:
            parts.extend(f"--{byte:02X}" for byte in char.encode())
    return "".join(parts)


def name_component(name: str) -> str:
    """The component of a product, source or provider, which begins with a capital or digit.

    chat -> Chat, 3d -> 3d; what begins otherwise, and what would look like that, gets `X-`.
    """
    escaped = escape(name)
    if escaped[:1].isdigit():
        return escaped
    if escaped[:1].islower() and not escaped.startswith(_MARK.lower()):
        return escaped[0].upper() + escaped[1:]
    return _MARK + escaped


def account_component(number: int, account_id: str) -> str:
    """`A17-acme`; `A17` once the id is erased."""
    return f"A{number}-{escape(account_id)}" if account_id else f"A{number}"


def grant_component(number: int) -> str:
    """`G5`; the number is unique within the account's shard."""
    return f"G{number}"


def beancount_commodity(code: str, number: int) -> str:
    """The code where beancount takes it, else what is readable of it and the asset's number.

    It takes 2 to 24 capitals, digits and `'._-`, from a capital to a capital or digit, and no word
    of its own. A code that looks as if it had a number gets one as well.
    """
    if _COMMODITY.fullmatch(code) and not _NUMBERED.search(code) and code not in _WORDS:
        return code
    capitals = re.sub(r"[^A-Z0-9]", "", code.upper()).lstrip("0123456789")
    return f"{capitals[:_READABLE_CHARS] or 'ASSET'}-N{number & _VERSION_MASK}"


def hledger_commodity(code: str) -> str:
    """The code in double quotes; what may not stand there as %HH."""
    safe = _HLEDGER_UNSAFE.sub(
        lambda found: "".join(f"%{byte:02X}" for byte in found.group().encode()), code
    )
    return f'"{safe}"'


def beancount_string(text: str) -> str:
    """A quoted string of beancount."""
    return f'"{text.translate(_BEANCOUNT_ESCAPES)}"'


def one_line(text: str) -> str:
    """Any text on one line, quoted, for a comment."""
    return json.dumps(text)
