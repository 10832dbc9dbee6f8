"""What words of a statement say: kinds, policies, quantities, instants."""

from __future__ import annotations

from datetime import datetime, timedelta

from core_world import CREDITS, FAMILY, USD, duration_us

from ledger.core import commands as c
from ledger.core import events as e

ASSETS = {"credits": CREDITS, "usd": USD}
POTS = {
    e.Pot.OVERDRAFT: "overdraft",
    e.Pot.EXCESS_OWED: "owed",
    e.Pot.ABSORBED: "absorbed",
    e.Pot.CONVERTED: "converted",
}


def operation_of(options: dict[str, str]) -> bytes:
    """`in=OPERATION` or, with the one that caused it, `in=OPERATION@PARENT`."""
    operation, _, parent = options.get("in", "").partition("@")
    return FAMILY.operation(operation, parent)


def instant_text(at_us: int) -> str:
    """An instant as tests write it: a date where it is a midnight in UTC."""
    at = datetime(1970, 1, 1) + timedelta(microseconds=at_us)
    return at.isoformat().removesuffix(":00").removesuffix("T00:00")


def kind_of(flags: tuple[str, ...]) -> e.GrantKind:
    for flag, kind in (
        ("free", e.GrantKind.PROMOTIONAL),
        ("postpaid", e.GrantKind.POSTPAID),
        ("allowance", e.GrantKind.ALLOWANCE),
    ):
        if flag in flags:
            return kind
    return e.GrantKind.PREPAID


def rollover_of(options: dict[str, str], again: bool) -> e.Rollover | None:
    if "rolls" not in options:
        return None
    numerator, denominator = options["rolls"].split("/")
    lifetime = duration_us(options["lasts"]) if "lasts" in options else 0
    most = int(options.get("most", -1))
    return e.Rollover(int(numerator), int(denominator), most, lifetime, again)


def pairs_of(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [pair.split(":") for pair in text.split(",") if pair]
    return tuple(sorted((name, value) for name, value in pairs))


def policy_of(options: dict[str, str]) -> e.AccountPolicy:
    return e.AccountPolicy(
        rate_card=options.get("card", ""),
        overdraft_asset=ASSETS[options.get("in", "credits")] if "overdraft" in options else 0,
        overdraft_limit=int(options.get("overdraft", 0)),
        overage=e.Overage[options.get("overage", "off").upper()],
        overage_cap=int(options.get("cap", -1)),
        excess=e.Excess[options.get("excess", "owe").upper()],
        holds_open_max=int(options.get("holds", 10_000)),
        comparator=e.Comparator[options.get("order", "inherited").upper()],
        promotional_backfills=options.get("backfills") == "promotional",
        freeze_on_chargeback=options.get("freeze") == "chargeback",
        period_grace=duration_us(options.get("grace", "1d")),
        zone=options.get("zone", ""),
        holds_overdraft=options.get("holds_overdraft") != "no",
        holds_overage=options.get("holds_overage") != "no",
        overdraft_kind=e.OverdraftKind.PERCENT_OF_LIFETIME
        if "percent" in options
        else e.OverdraftKind.FIXED,
        overdraft_basis_points=int(options.get("percent", 0)) * 100,
        overdraft_grace=duration_us(options["bears"]) if "bears" in options else -1,
        settlement_asset=ASSETS[options["settles"]] if "settles" in options else 0,
        labels=tuple(options["labels"].split(",")) if "labels" in options else (),
    )


def note_of(options: dict[str, str]) -> bytes:
    return FAMILY.pairs((("reason", options["for"]),)) if "for" in options else b""


def sizing_of(
    options: dict[str, str], names: tuple[str, ...], quantities: tuple[int, ...]
) -> c.Sizing | None:
    """`asked`: the quantities of the caller, where those of the command were learned by the rule
    of configuration 7; `demanded`: the call asked for it, whether or not anything was."""
    if "asked" not in options:
        return c.Sizing(quantities, (), 0, True) if "demanded" in options else None
    asked = tuple([int(each) for each in options["asked"].split("/")])
    sizes = [
        e.Sized(name, e.SizedBy.PRODUCT, 950, 100, quantity)
        for name, quantity in zip(names, quantities, strict=True)
    ]
    return c.Sizing(asked, tuple(sizes), 7, "demanded" in options)


def quantities_of(options: dict[str, str], tokens: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and quantities: those of the options, else so many tokens."""
    named = tuple(word for word in ("cached", "input", "output", "tokens") if word in options)
    if not named:
        return ("tokens",), (int(tokens),)
    return named, tuple(int(options[word]) for word in named)
