"""Offers of work priced from one state, and ranked by what a caller asks of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from ledger.api.assets import Assets
from ledger.api.errors import CallFailed, Fault, invalid
from ledger.api.intake.shapes import ShapeCache
from ledger.api.limits import Checked, id_fault
from ledger.api.quoting import Priced, price, render_quote
from ledger.api.requests import shape_of
from ledger.core.catalog import CardKey, Catalog
from ledger.core.outcomes import Reason, Refusal
from ledger.core.shapes import Shape
from ledger.core.state import State
from ledger.journal.directory import Entry
from rating.card import FACT_VALUE_BYTES_MAX
from rating.compare import (
    Bounds,
    Failure,
    Offer,
    OneOf,
    Verdict,
    Weight,
    Wishes,
    compare,
    number_of,
)
from rating.exact import PRICE_CHARS_MAX
from rating.v1 import pricing_pb2 as pb

OPTIONS_MAX: Final = 64  # each about one Quote: a few ms for all
CONSTRAINTS_MAX: Final = 16
VALUES_MAX: Final = 64
WEIGHT_MAX: Final = 1_000_000

_OF_THE_OFFER: Final = frozenset({Reason.SUBSET_EXCEEDS_PARENT, Reason.OVERFLOW})
"""Refusals for what an offer asks itself; any other is for the account, whatever the offer."""


class Option(NamedTuple):
    """An offer as the core takes it."""

    label: str
    shape: Shape
    values: tuple[int, ...]


class Found(NamedTuple):
    """An offer's price, or why it has none, and what is published of its product."""

    priced: Priced | Refusal
    facts: Mapping[str, str]


def options_of(shapes: ShapeCache, given: Sequence[pb.CompareOption]) -> list[Option]:
    """The offers of a request, checked. Raises CallFailed."""
    check = Checked()
    check.between("options", len(given), 1, OPTIONS_MAX)
    labels = [option.label for option in given[:OPTIONS_MAX]]
    for place, label in enumerate(labels):
        check.fault(id_fault(f"options[{place}].label", label))
        if label in labels[:place]:
            message = "another option has this label; each has its own"
            check.fault(Fault("NAME_REPEATED", f"options[{place}].label", label, message))
    check.done()
    options: list[Option] = []
    for place, option in enumerate(given):
        try:
            shape, values = shape_of(shapes, option)
        except CallFailed as failed:
            raise _within(failed, f"options[{place}]") from None
        options.append(Option(option.label, shape, values))
    return options


def wishes_of(request: pb.CompareRequest) -> Wishes:
    """What is asked of the offers, checked. Raises CallFailed."""
    check = Checked()
    check.instant("effective_at_us", request.effective_at_us)
    check.between("charge_max", request.charge_max, 0)
    for field, count in (
        ("one_of", len(request.one_of)),
        ("bounds", len(request.bounds)),
        ("weights", len(request.weights)),
    ):
        if count > CONSTRAINTS_MAX:
            message = f"{count} given; at most {CONSTRAINTS_MAX} allowed"
            check.fault(Fault("TOO_MANY", field, str(count), message))
    for place, one_of in enumerate(request.one_of):
        _check_values(check, f"one_of[{place}]", one_of)
    bounds = tuple(
        [_bounds_of(check, f"bounds[{place}]", each) for place, each in enumerate(request.bounds)]
    )
    for place, weight in enumerate(request.weights):
        check.optional(**{f"weights[{place}].fact": weight.fact})
        check.between(f"weights[{place}].weight", weight.weight, 1, WEIGHT_MAX)
    facts = [weight.fact for weight in request.weights]
    if len(set(facts)) != len(facts):
        check.fault(Fault("NAME_REPEATED", "weights", "", "a fact counts once"))
    check.done()
    return Wishes(
        request.charge_max if request.HasField("charge_max") else None,
        tuple([OneOf(each.fact, tuple(each.values)) for each in request.one_of]),
        bounds,
        tuple([Weight(each.fact, each.weight, each.higher_is_better) for each in request.weights]),
        request.affordable,
    )


def price_all(
    state: State, number: int, options: Sequence[Option], effective_at_us: int, clock_us: int
) -> tuple[list[Found], int] | Refusal:
    """Every offer priced at one instant, which is said too. A Refusal is the account's own."""
    at_us = effective_at_us or state.present(clock_us)
    found: list[Found] = []
    for option in options:
        priced = price(state, number, option.shape, option.values, at_us, clock_us)
        if isinstance(priced, Refusal) and priced.reason not in _OF_THE_OFFER:
            return priced
        account = state.accounts[number]
        facts = _facts(state.catalog, account.card_key, option.shape, at_us, priced)
        found.append(Found(priced, facts))
    return found, at_us


def render_comparison(
    assets: Assets,
    options: Sequence[Option],
    found: Sequence[Found],
    wishes: Wishes,
    entry: Entry,
    at_us: int,
) -> pb.CompareResponse:
    """The offers as a message, best first."""
    response = pb.CompareResponse(effective_at_us=at_us)
    places = {option.label: place for place, option in enumerate(options)}
    offers = [_offer(*each) for each in zip(options, found, strict=True)]
    for verdict in compare(offers, wishes):
        place = places[verdict.offer.label]
        priced = found[place].priced
        shown = response.options.add(
            label=verdict.offer.label,
            product=options[place].shape.product,
            rank=verdict.rank,
            score=_score(verdict),
            facts=verdict.offer.facts,
            failures=[
                pb.CompareFailure(
                    constraint=failure.constraint,
                    reason=failure.reason,
                    value=failure.value,
                    message=failure.message,
                )
                for failure in verdict.failures
            ],
        )
        if isinstance(priced, Priced):
            quote = render_quote(assets, priced, options[place].values, entry.shard)
            shown.quote.CopyFrom(quote)
    return response


def _offer(option: Option, found: Found) -> Offer:
    priced = found.priced
    if isinstance(priced, Refusal):
        failure = Failure("quantities", priced.reason, priced.value, priced.message)
        return Offer(option.label, 0, found.facts, (failure,))
    assessment = priced.assessment
    if any(assessment.reasons):
        message = "the rate card in force prices not every quantity of this product for the account"
        failure = Failure("price", assessment.denied, option.shape.product, message)
        return Offer(option.label, assessment.charge, found.facts, (failure,))
    return Offer(option.label, assessment.charge, found.facts, (), assessment.denied)


def _facts(
    catalog: Catalog,
    card_key: CardKey,
    shape: Shape,
    at_us: int,
    priced: Priced | Refusal,
) -> Mapping[str, str]:
    """What is published of the product by the version that prices it."""
    card = catalog.card(card_key)
    if isinstance(priced, Refusal):
        version = card.bind(shape, at_us).declaration.card_version
    else:
        version = priced.declared.card_version
    compiled = card.card(version)
    product = compiled.product(shape.product) if compiled is not None else None
    return product.facts if product is not None else {}


def _check_values(check: Checked, path: str, one_of: pb.FactOneOf) -> None:
    check.fault(id_fault(f"{path}.fact", one_of.fact))
    check.between(f"{path}.values", len(one_of.values), 1, VALUES_MAX)
    for index, value in enumerate(one_of.values[:VALUES_MAX]):
        check.text(f"{path}.values[{index}]", value, FACT_VALUE_BYTES_MAX)


def _bounds_of(check: Checked, path: str, given: pb.FactBounds) -> Bounds:
    check.fault(id_fault(f"{path}.fact", given.fact))
    check.given(f"{path}.at_least", bool(given.at_least or given.at_most))
    return Bounds(
        given.fact,
        _number(check, f"{path}.at_least", given.at_least),
        _number(check, f"{path}.at_most", given.at_most),
    )


def _number(check: Checked, path: str, text: str) -> Fraction | None:
    if not text:
        return None
    number = number_of(text)
    if number is None:
        message = f'a decimal such as "-0.5" or "1e6" of at most {PRICE_CHARS_MAX} characters'
        check.fault(Fault("NUMBER_MALFORMED", path, text, message))
    return number


def _score(verdict: Verdict) -> str:
    return str(verdict.score) if verdict.rank else ""


def _within(failed: CallFailed, path: str) -> CallFailed:
    """The faults of an offer with its place in the request."""
    return invalid(
        [
            Fault(fault.reason, f"{path}.{fault.field}", fault.value, fault.message)
            for fault in failed.faults
        ]
    )
