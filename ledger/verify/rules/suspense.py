"""What waited for a price: rated once, only what waited, at its own time (rules B8, D5, T2)."""

from __future__ import annotations

from ledger.core.events import SuspenseRated
from ledger.core.state import State
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.overrides import look_at_overrides
from ledger.verify.rules.usage import drawn, grants_in_time

_UNRATED = -1  # in the place of a charge


def suspense_rated(judge: Judge, state: State, event: SuspenseRated) -> None:
    """By the usage event that it names, which waits in the account's family."""
    account = state.accounts[event.account]
    drawn(judge, state, account, event)
    grants_in_time(judge, state, event)
    look_at_overrides(judge, state, account, state.declared[event.plan], event.effective_at)
    judge.equal(state, "key of what nobody asked for", b"", event.key)
    judge.equal(state, "suspense of what is rated", 0, event.suspense)
    closed = account.closed_at and account.closed_at <= max(
        account.closed_until, state.now - account.policy.period_grace
    )
    if closed:
        judge.wrong(state, "rated", "nothing of an account that is closed", account.closed_at)
    waiting = state.families[account.root].waiting.get(event.original)
    if waiting is None:
        judge.wrong(state, f"usage at {event.original}", "in suspense", "rated or unknown")
        return
    plan = state.declared[event.plan]
    for what, expected, found in (
        ("number of the usage", waiting.entry_seq, event.original_entry),
        ("account of the usage", waiting.account, event.account),
        ("effective time of the usage", waiting.effective_at, event.effective_at),
        ("quantities of the usage", waiting.quantities, event.quantities),
        ("what was used", waiting.described,
         (plan.product, plan.attributes, plan.quantity_names)),
    ):  # fmt: skip
        judge.equal(state, what, expected, found)
    rated = set(event.rated)
    if not rated or len(rated) < len(event.rated) or not rated <= set(waiting.places):
        judge.wrong(state, "quantities rated", f"some of {waiting.places}", event.rated)
    left = tuple([place for place in waiting.places if place not in rated])
    judge.equal(state, "settled", int(not left), event.settled)
    for place, charge in enumerate(event.charges):
        waits = _UNRATED if place in left else 0
        if charge < 0 if place in rated else charge != waits:
            judge.wrong(state, f"charge of quantity {place}", "by what waits", charge)
