"""The difference of two rate cards for people and for programs: lines of text, and JSON values.

Owns the words. Which moves are large is for the caller to say, once (see ``diff.large_moves``).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from rating.card import Meter, PriceRow, Product
from rating.diff import CardDiff, Changed, Changes, moved_by
from rating.models import EACH_DAY, Hours

_LISTS = ("rows", "products", "meters")
_KINDS = ("added", "removed", "changed", "moved")


def counts(change: CardDiff) -> dict[str, dict[str, int]]:
    """How many rows, products and meters were added, removed, changed and moved."""
    return {
        name: {kind: len(getattr(getattr(change, name), kind)) for kind in _KINDS}
        for name in _LISTS
    }


def summary(change: CardDiff) -> str:
    """One line: "3 rows added, 1 row changed, 2 products added"; "no difference"."""
    said = [f"{each.field} changed" for each in change.head]
    for name, kinds in counts(change).items():
        for kind, count in kinds.items():
            if count:
                said.append(f"{count:,} {name if count > 1 else name[:-1]} {kind}")
    return ", ".join(said) or "no difference"


def lines(change: CardDiff, large: Sequence[Changed[PriceRow]] = ()) -> dict[str, list[str]]:
    """Title -> lines, empty lists left out: first what costs most to overlook."""
    said = {
        "large moves of a price": [_moved_price(row) for row in large],
        "prices changed": [_moved_price(row) for row in change.rows.changed],
        "rows removed": [f"{matched(row)}  {charged(row)}" for row in change.rows.removed],
        "rows added": [f"{matched(each.part)}  {charged(each.part)}" for each in change.rows.added],
        "rows moved": [f"{matched(each.part)}  to {each.place}" for each in change.rows.moved],
        "the card": [
            f"{each.field}: {shown(each.before)} -> {shown(each.after)}" for each in change.head
        ],
        "meters": list(_parts(change.meters)),
        "products": list(_parts(change.products)),
    }
    return {title: found for title, found in said.items() if found}


def document(change: CardDiff, large: Sequence[Changed[PriceRow]] = ()) -> dict[str, Any]:
    """All of it as JSON values; prices and ratios are exact texts."""
    return {
        "summary": summary(change),
        "counts": counts(change),
        "large_moves": [_price_document(row) for row in large],
        "card": _values(change.head),
        "rows": _list_document(change.rows)
        | {"changed": [_price_document(row) for row in change.rows.changed]},
        "products": _list_document(change.products),
        "meters": _list_document(change.meters),
    }


def _list_document(changes: Changes[Any]) -> dict[str, Any]:
    document: dict[str, Any] = _values(changes)
    return document


def _price_document(row: Changed[PriceRow]) -> dict[str, Any]:
    document: dict[str, Any] = _values(row)
    return document | {"ratio": moved_by(row)}


def _values(part: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(part))


def matched(row: PriceRow) -> str:
    """What a row matches: "gpt-5 input_tokens mode=batch above_prompt=272000"."""
    conditions = [f"{name}={value}" for name, value in sorted(row.attributes.items())]
    for name, value in (("above_prompt", row.above_prompt), ("priority", row.priority)):
        if value:
            conditions.append(f"{name}={value}")
    if row.hours is not None:
        conditions.append(_hours(row.hours))
    return " ".join((row.product, row.quantity, *conditions))


def _hours(hours: Hours) -> str:
    """ "hours=22:00-06:00 Europe/Berlin days=1,2,3,4,5"."""
    said = f"hours={hours.start}-{hours.end} {hours.zone}"
    if hours.weekdays != EACH_DAY:
        said += f" days={','.join(map(str, hours.weekdays))}"
    return said


def _moved_price(row: Changed[PriceRow]) -> str:
    before, after = charged(row.before), charged(row.after)
    by = moved_by(row)
    if by is not None:
        times = f"  x {by}"
    else:
        times = "  was free" if row.before.model is row.after.model is None else ""
    return f"{matched(row.after)}  {before} -> {after}{times}"


def charged(row: PriceRow) -> str:
    """What a row charges for that: "0.10", "0.10 included=100", "package size=100 price=5"."""
    said = [row.price] if row.model is None else _model(row)
    fields = msgspec.to_builtins(row)
    for name in ("scope", "included", "maximum", "list_price"):
        if name in fields:
            said.append(f"{name}={fields[name]}")
    return " ".join(said)


def _model(row: PriceRow) -> list[str]:
    fields = msgspec.to_builtins(row.model)
    kind = fields.pop("type")
    return [kind, *(f"{name}={shown(value)}" for name, value in fields.items())]


def shown(value: Any) -> str:
    """A text as it is, everything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _parts(changes: Changes[Any]) -> Iterator[str]:
    for part in changes.removed:
        yield f"{_name(part)} removed"
    for each in changes.added:
        yield f"{_name(each.part)} added"
    for change in changes.changed:
        yield f"{_name(change.after)} {'; '.join(_fields(change))}"
    for place in changes.moved:
        yield f"{_name(place.part)} moved to {place.place}"


def _name(part: Meter | Product) -> str:
    return part.quantity if isinstance(part, Meter) else part.product


def _fields(change: Changed[Any]) -> Iterator[str]:
    """The fields that say another thing; of facts, each by its name."""
    before, after = msgspec.structs.asdict(change.before), msgspec.structs.asdict(change.after)
    for name in change.after.__struct_fields__:
        old, new = before[name], after[name]
        if isinstance(new, dict):
            for key in sorted(old.keys() | new.keys()):
                if old.get(key) != new.get(key):
                    yield f"{key}: {old.get(key, 'unsaid')} -> {new.get(key, 'unsaid')}"
        elif old != new:
            yield f"{name}: {old} -> {new}"
