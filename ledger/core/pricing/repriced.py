"""What a job that rates usage again does for it: the price of the version that it names (rule R7).

That version prices usage of any time, and the account's overrides count from when they are meant,
whenever they were set: a contract that was signed on the 15th as of the 1st. Reads state, changes
nothing.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import astuple

from ledger.core.catalog import Bound, CardKey
from ledger.core.commands import RepriceUsage
from ledger.core.events import UsageCosted, UsageModeled, UsageRecorded, UsageRepriced
from ledger.core.outcomes import LOCATOR_INDEX_MASK, Reason, Refusal, split_locator
from ledger.core.pricing.contracted import as_contracted
from ledger.core.shapes import Shape
from ledger.core.state import Account, State

_NOTHING_OF_MODELS: Final[tuple[tuple[int, ...], ...]] = ((), (), (), (), ())


def bound_by(
    state: State,
    account: Account,
    rate_card: str,
    version: int,
    shape: Shape,
    quantities: tuple[int, ...],
    at: int,
) -> Bound | Refusal:
    """The shape as a version of a card prices it for the account at that time, whenever it was
    published, with the overrides that are meant for then."""
    key: CardKey = (account.tenant, rate_card)
    if account.override_set is not None:
        key = (account.tenant, rate_card, account.override_set.as_meant())
    priced = state.catalog.card(key)
    card = priced.card(version)
    if card is None:
        return Refusal(
            Reason.UNPRICED,
            "version",
            str(version),
            f"the shard has no version {version} of rate card {rate_card!r}",
        )
    plan = card.match(
        shape.product, dict(shape.attributes), shape.quantity_names, card.time_class(at)
    )
    if priced.overridden is not None:
        plan = priced.overridden.over(at, shape.product, shape.attributes, plan)
    if plan.steps:
        plan = plan.at(quantities[plan.prompt_index])
    bound = priced.bound(shape, plan, sold=priced.sells(plan, shape.product, at))
    return as_contracted(account, bound, at)


def unpriced(command: RepriceUsage) -> Refusal:
    """The version has no price for all of the usage: it stays as it was."""
    return Refusal(
        Reason.UNPRICED,
        "version",
        str(command.card_version),
        f"version {command.card_version} of rate card {command.rate_card!r} does not price all of "
        "the usage",
    )


def of_job(state: State, command: RepriceUsage, recorded: UsageRecorded) -> UsageRepriced:
    """The same entry as one that says by which job and of which usage it is."""
    figures = astuple(recorded)
    if not isinstance(recorded, UsageModeled):
        figures = (*figures, *_NOTHING_OF_MODELS)
    if not isinstance(recorded, UsageCosted):
        figures = (*figures, None)
    reversal = command.reversal_entry
    locator = state.keys.find(command.taken)
    assert locator is not None, "what was not given back is not recorded again"
    batch_seq, _ = split_locator(locator)
    if batch_seq == state.batch_seq:
        first = state.entry_seq - state.batch_length
        reversal = first + (locator & LOCATOR_INDEX_MASK)
    figures = (*figures, command.job, command.original, command.original_entry, reversal)
    return UsageRepriced(*figures)
