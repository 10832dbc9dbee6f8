"""Which of several offers of work is best for a buyer: constraints, and an exact ranking of them.

An offer has a price and what its product says of itself beside it (``facts``). Whatever breaks a
constraint is left out, with every constraint that it broke; the others are ranked by a score in
[0, 1], an exact ratio (rule N2). Of each measure that counts (the charge, or a fact) the best of
those that remain scores 1, the worst 0, the others by their place between; one that is the same
for all scores 1. The score is the mean by weight. Ties go by charge, then label. So the unit of a
measure does not matter, nor the order of the offers. Pure: prices come in, nothing is looked up.
"""

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from rating.exact import PriceError, parse_price

CHARGE: Final = ""
"""Stands for the charge where a fact is named."""

_DECIMAL = re.compile(r"[+-]?[0-9][0-9.eE+-]*", re.ASCII)


class Offer(NamedTuple):
    """Work that could be done: what it costs, and what is published of its product."""

    label: str
    charge: int  # minor units of the asset that all offers are priced in
    facts: Mapping[str, str]
    failures: tuple["Failure", ...] = ()  # why it can't be had at all, found before
    denied: str = ""  # why the account can't afford it; "" = it can


class Failure(NamedTuple):
    """A constraint that an offer broke. `constraint` is its path in the request."""

    constraint: str
    reason: str
    value: str
    message: str


class OneOf(NamedTuple):
    """The fact is one of these texts, byte for byte."""

    fact: str
    values: tuple[str, ...]


class Bounds(NamedTuple):
    """The fact is a number, at least and at most so large; None = without that bound."""

    fact: str
    least: Fraction | None
    most: Fraction | None


class Weight(NamedTuple):
    """How much a measure counts: a fact that is a number, or the charge (`CHARGE`)."""

    fact: str
    weight: int  # 1 or more
    higher: bool = False  # whether more of it is better


class Wishes(NamedTuple):
    """What a buyer asks for. Without weights the charge alone counts."""

    charge_max: int | None = None
    one_of: tuple[OneOf, ...] = ()
    bounds: tuple[Bounds, ...] = ()
    weights: tuple[Weight, ...] = ()
    affordable: bool = False


class Verdict(NamedTuple):
    """What became of an offer: its rank from 1 and its score, or 0 and why it was left out."""

    offer: Offer
    rank: int
    score: Fraction
    failures: tuple[Failure, ...]


_CHEAPEST: Final = (Weight(CHARGE, 1),)


def compare(offers: Sequence[Offer], wishes: Wishes) -> tuple[Verdict, ...]:
    """Every offer: the best first, then those left out by label. Labels differ."""
    left_out: list[Verdict] = []
    remaining: list[Offer] = []
    for offer in offers:
        failures = _failures(offer, wishes)
        if failures:
            left_out.append(Verdict(offer, 0, Fraction(0), failures))
        else:
            remaining.append(offer)
    scores = _scores(remaining, wishes.weights or _CHEAPEST)
    places = sorted(
        range(len(remaining)),
        key=lambda place: (-scores[place], remaining[place].charge, remaining[place].label),
    )
    ranked = [
        Verdict(remaining[place], rank, scores[place], ()) for rank, place in enumerate(places, 1)
    ]
    left_out.sort(key=_label)
    return (*ranked, *left_out)


def number_of(text: str) -> Fraction | None:
    """The decimal that a text is, exact, signed or not; None where it is none ("24/7" is not)."""
    if _DECIMAL.fullmatch(text) is None:
        return None
    negative = text[0] == "-"
    try:
        number = Fraction(*parse_price(text[1:] if text[0] in "+-" else text))
    except PriceError:
        return None
    return -number if negative else number


def _label(verdict: Verdict) -> str:
    return verdict.offer.label


def _failures(offer: Offer, wishes: Wishes) -> tuple[Failure, ...]:
    """Every constraint that the offer breaks, in the order of the request."""
    if offer.failures:
        return offer.failures
    found: list[Failure] = []
    most = wishes.charge_max
    if most is not None and offer.charge > most:
        message = f"costs {offer.charge}; at most {most} asked"
        found.append(Failure("charge_max", "CHARGE_ABOVE_MAXIMUM", str(offer.charge), message))
    for place, one_of in enumerate(wishes.one_of):
        path = f"one_of[{place}]"
        said = offer.facts.get(one_of.fact)
        if said is None:
            found.append(_missing(path, one_of.fact))
        elif said not in one_of.values:
            message = f"{one_of.fact} is {said!r}; asked for {' or '.join(one_of.values)}"
            found.append(Failure(path, "FACT_DIFFERS", said, message))
    for place, bounds in enumerate(wishes.bounds):
        failure = _beyond(f"bounds[{place}]", bounds, offer.facts)
        if failure is not None:
            found.append(failure)
    for place, weight in enumerate(wishes.weights):
        if weight.fact != CHARGE:
            measured = _measured(f"weights[{place}]", weight.fact, offer.facts)
            if isinstance(measured, Failure):
                found.append(measured)
    if wishes.affordable and offer.denied:
        message = "the account can't pay for it now"
        found.append(Failure("affordable", offer.denied, str(offer.charge), message))
    return tuple(found)


def _beyond(path: str, bounds: Bounds, facts: Mapping[str, str]) -> Failure | None:
    measured = _measured(path, bounds.fact, facts)
    if isinstance(measured, Failure):
        return measured
    said = facts[bounds.fact]
    if bounds.least is not None and measured < bounds.least:
        message = f"{bounds.fact} is {said}, below what is asked"
        return Failure(path, "FACT_BELOW_MINIMUM", said, message)
    if bounds.most is not None and measured > bounds.most:
        message = f"{bounds.fact} is {said}, above what is asked"
        return Failure(path, "FACT_ABOVE_MAXIMUM", said, message)
    return None


def _measured(path: str, fact: str, facts: Mapping[str, str]) -> Fraction | Failure:
    """The fact as a number, or why it is none."""
    said = facts.get(fact)
    if said is None:
        return _missing(path, fact)
    number = number_of(said)
    if number is None:
        message = f"{fact} is {said!r}, which is no decimal number"
        return Failure(path, "FACT_NOT_NUMERIC", said, message)
    return number


def _missing(path: str, fact: str) -> Failure:
    return Failure(path, "FACT_MISSING", "", f"the product says nothing of {fact}")


def _scores(offers: Sequence[Offer], weights: Sequence[Weight]) -> list[Fraction]:
    """The mean by weight of what each offer scores in every measure."""
    scores = [Fraction(0)] * len(offers)
    if not offers:
        return scores
    whole = sum([weight.weight for weight in weights])
    for weight in weights:
        measures = [_measure(offer, weight.fact) for offer in offers]
        least, most = min(measures), max(measures)
        for place, measure in enumerate(measures):
            part = Fraction(1)
            if most != least:
                part = (measure - least if weight.higher else most - measure) / (most - least)
            scores[place] += part * weight.weight / whole
    return scores


def _measure(offer: Offer, fact: str) -> Fraction:
    if fact == CHARGE:
        return Fraction(offer.charge)
    number = number_of(offer.facts[fact])
    assert number is not None, "it was looked at before"
    return number
