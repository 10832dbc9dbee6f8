"""What a mandate's token says, in a fixed vocabulary: written by whoever attenuates it, read by us.

A token is a Biscuit (biscuitsec.org): its first block, which a server signed, names tenant and
account of a mandate, and the number of that account, which no other has once that is erased; each
block after it, which its holder added offline, names a mandate below that one, with what it allows
less. Needs no key, no network and no server; clients import it.

    delegate("NAME")           begins a mandate below; without it a block only ends the token sooner
    budget(N)  price_max(N)  product("ID")...  attribute("NAME", "VALUE")...
    purchase(N)                what it may buy for in all; 0 = nothing; the other two are above 0
    check if time($time), $time < DATE         the token, and the mandate below, end then

What a block does not say is as it is above. Anything else makes the token worthless: a word that we
do not know may be one that takes something away.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final, NamedTuple

from ledger.client.durations import SECOND_US

PREFIX: Final = "ddm_"
BLOCKS_MAX: Final = 16  # of a token: accounts are no deeper
SEPARATOR: Final = "/"
DIGEST_SEPARATOR: Final = "~"
TEXT_BYTES_MAX: Final = 128
TOKEN_BYTES_MAX: Final = 12_288  # fits the headers of a call; verifying so much takes 1 ms or two
_TEXT: Final = r'"([^"\\;\n]*)"'
_NUMBER: Final = re.compile(r"(budget|price_max|purchase|number)\((\d{1,19})\)", re.ASCII)
_WORD: Final = re.compile(rf"(tenant|mandate|delegate|product)\({_TEXT}\)")
_ATTRIBUTE: Final = re.compile(rf"attribute\({_TEXT}, {_TEXT}\)")
_TIME: Final = re.compile(r"check if time\(\$time\), \$time < (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
UNTIL_MAX_US: Final = 253_402_300_799 * SECOND_US
"""The last second of the year 9999: no token can name a later one."""

_NUMBERS: Final = ("budget", "price_max", "purchase")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class WordsInvalid(ValueError):
    """A block says what is not in the vocabulary, or cannot be; the message says what."""


class Less(NamedTuple):
    """What a mandate below another one allows less; 0 and () = as above. Of `purchase`, what it may
    buy for in all, None = as above, and 0 = it buys nothing."""

    name: str
    budget: int = 0
    products: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    price_max: int = 0
    expires_at_us: int = 0  # whole seconds
    purchase: int | None = None


class Said(NamedTuple):
    """What one block says: the first names a tenant and an account, the others `less`, if they
    begin a mandate; `until_us` 0 = it does not end. `number` 0: the first does not say it."""

    tenant: str
    account: str
    less: Less | None
    until_us: int
    number: int = 0


def first_block(tenant: str, account: str, until_us: int = 0, number: int = 0) -> str:
    """The words of a token as it is signed. Raises WordsInvalid."""
    words = [f"tenant({_quoted(tenant)})", f"mandate({_quoted(account)})"]
    words += [f"number({number})"] if number else []
    return _block([*words, *_until(until_us)])


def block_of(less: Less) -> str:
    """The words that begin a mandate below. Raises WordsInvalid."""
    if not less.name or SEPARATOR in less.name or DIGEST_SEPARATOR in less.name:
        raise WordsInvalid(f"a name has 1 to {TEXT_BYTES_MAX} bytes without / and ~: {less.name!r}")
    words = [f"delegate({_quoted(less.name)})"]
    for word, number in (("budget", less.budget), ("price_max", less.price_max)):
        if not 0 <= number < 1 << 63:
            raise WordsInvalid(f"{word} is from 0 to 2^63 - 1: {number}")
        words += [f"{word}({number})"] if number else []
    if less.purchase is not None:
        if not 0 <= less.purchase < 1 << 63:
            raise WordsInvalid(f"purchase is from 0 to 2^63 - 1: {less.purchase}")
        words.append(f"purchase({less.purchase})")
    words += [f"product({_quoted(each)})" for each in sorted(set(less.products))]
    words += [f"attribute({_quoted(k)}, {_quoted(v)})" for k, v in sorted(less.attributes)]
    return _block([*words, *_until(less.expires_at_us)])


def until_block(until_us: int) -> str:
    """The words that end a token sooner, and change nothing else."""
    return _block(_until(until_us))


def read_block(source: str, *, first: bool) -> Said:
    """What a block of a verified token says. Raises WordsInvalid."""
    words: dict[str, list[str]] = {}
    attributes: list[tuple[str, str]] = []
    until = 0
    for line in filter(None, source.split("\n")):
        said = line.removesuffix(";")
        if found := _WORD.fullmatch(said) or _NUMBER.fullmatch(said):
            words.setdefault(found[1], []).append(found[2])
        elif found := _ATTRIBUTE.fullmatch(said):
            attributes.append((found[1], found[2]))
        elif found := _TIME.fullmatch(said):
            at = _us_of(found[1])
            until = min(until, at) if until else at
        else:
            raise WordsInvalid("a block of the token says what no block may say")
    own = {"tenant", "mandate", "number"} if first else {"delegate", *_NUMBERS, "product"}
    for word, values in words.items():
        if word not in own or (word != "product" and len(values) > 1):
            raise WordsInvalid(f"{word} stands where it may not, or twice")
    if first:
        if attributes or words.keys() | {"number"} != own:
            raise WordsInvalid("the first block of the token names a tenant and a mandate")
        number = int(words.get("number", ["0"])[0])
        return Said(words["tenant"][0], words["mandate"][0], None, until, number)
    if "delegate" not in words:
        if words or attributes:
            raise WordsInvalid("a block that allows less names who it is for: delegate(NAME)")
        return Said("", "", None, until)
    for word in ("budget", "price_max"):
        if int(words.get(word, ["1"])[0]) == 0:  # whoever wrote it wanted nothing, and not no limit
            raise WordsInvalid(f"{word} is above 0; without the word it is as above")
    [name] = words["delegate"]
    less = Less(
        name,
        int(words.get("budget", ["0"])[0]),
        tuple(sorted(set(words.get("product", ())))),
        tuple(sorted(attributes)),
        int(words.get("price_max", ["0"])[0]),
        until,
        int(words["purchase"][0]) if "purchase" in words else None,
    )
    block_of(less)  # a name that cannot be is refused as it is where it is written
    return Said("", "", less, until)


def account_below(parent: str, less: Less) -> str:
    """The account of a mandate that a token begins: its name, and what it says.

    So two tokens of one name that say different things are two mandates, and none of them counts
    by what the other one says.
    """
    digest = blake2b(block_of(less).encode(), digest_size=8).hexdigest()
    return f"{parent}{SEPARATOR}{less.name}{DIGEST_SEPARATOR}{digest}"


def _quoted(text: str) -> str:
    if not 0 < len(text.encode()) <= TEXT_BYTES_MAX or not text.isprintable():
        raise WordsInvalid(f"a text has 1 to {TEXT_BYTES_MAX} printable bytes: {text!r}")
    if set(text) & set('"\\;{}'):
        raise WordsInvalid(f'a text of a token has none of " \\ ; {{ }}: {text!r}')
    return f'"{text}"'


def _until(until_us: int) -> list[str]:
    if not until_us:
        return []
    if until_us < 0 or until_us % SECOND_US:
        raise WordsInvalid(f"a token ends with a whole second: {until_us} us")
    if until_us > UNTIL_MAX_US:
        raise WordsInvalid(f"a token ends before the year 10000, or never: {until_us} us")
    at = datetime.fromtimestamp(until_us // SECOND_US, UTC)
    return [f"check if time($time), $time < {at:%Y-%m-%dT%H:%M:%SZ}"]


def _us_of(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise WordsInvalid(f"{text} is no time") from None
    return int((at - _EPOCH).total_seconds()) * SECOND_US


def _block(words: list[str]) -> str:
    return "".join([f"{word};\n" for word in words])
