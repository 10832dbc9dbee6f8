"""Price overrides: numbered once, and pricing only usage of their account and time (rule R4)."""

from __future__ import annotations

from ledger.core.events import PlanDeclared, PriceOverridesSet
from ledger.core.state import Account, State
from ledger.verify.rules.judge import Judge
from rating.overrides import Layer, Multiplier, NumberedOverride, SetOverride


def price_overrides_set(judge: Judge, state: State, event: PriceOverridesSet) -> None:
    """Versions follow each other; what stood goes on, and everything else has a new number."""
    account = state.accounts[event.account]
    judge.equal(state, "overrides of a closed account", 0, account.closed_at)
    judge.equal(state, "version of the overrides", account.overrides_version + 1, event.version)
    if event.expected_version:
        judge.equal(state, "expected version", account.overrides_version, event.expected_version)
    look_at_numbers(judge, state, account, account.overrides, event.overrides, state.now)


def look_at_numbers(
    judge: Judge,
    state: State,
    account: Account,
    standing: Layer,
    overrides: tuple[NumberedOverride, ...],
    at: int,
) -> None:
    """What stood in a list goes on as it was, everything else has the next number of its family."""
    before = {each.numbered.number: each for each in standing}
    following = state.families[account.root].next_override
    seen: list[int] = []
    for each in overrides:
        found = before.get(each.number)
        if found is None:
            judge.equal(state, "number of an override", following, each.number)
            following += 1
        elif found.numbered != each or found.ended_at_us <= at:
            judge.wrong(state, f"override {each.number}", "as it stands", each.override)
        if each.number in seen:
            judge.wrong(state, f"override {each.number}", "once", "again")
        seen.append(each.number)


def look_at_overrides(
    judge: Judge,
    state: State,
    account: Account,
    plan: PlanDeclared,
    at: int,
    *,
    late: bool = False,
    quoted: bool = False,
) -> None:
    """Each that priced a quantity is the account's or of one above it, and was meant for then;
    `late`: also where it was set later and the card had a price. A price that was `quoted` then
    may be of one that was ended at the same instant, after the quote."""
    for row, numbered in zip(plan.rows, plan.overrides, strict=False):
        if numbered is None:
            continue
        what = f"override {numbered.number}"
        found = _of_its_line(account, numbered.number)
        if found is None or found.numbered != numbered:
            judge.wrong(state, what, "one of the account's line", numbered.override)
            continue
        back = found.reaches_back_us
        in_force = found.from_us <= at < found.until_us + quoted
        if not in_force and not ((row < 0 or late) and back[0] <= at < back[1]):
            lasts = f"{found.from_us} to {found.until_us}"
            judge.wrong(state, f"time that {what} is for", lasts, at)
        if row < 0:
            judge.equal(state, f"row of {what}", -1 - numbered.number, row)
            if isinstance(numbered.override.change, Multiplier):
                judge.wrong(state, f"row that {what} multiplies", "one of the card", row)


def _of_its_line(account: Account, number: int) -> SetOverride | None:
    above: Account | None = account
    while above is not None:
        of_terms = (*above.sold.package, *above.sold.contract) if above.sold is not None else ()
        for each in (*above.overrides, *of_terms):
            if each.numbered.number == number:
                return each
        above = above.parent
    return None
