"""Whether a command is let in: its key, its account, its time (rules I2, I4, T2, R6, B8).

What most decisions begin with. Reads state, changes nothing; a refusal says what happened, the
value, and what to do.
"""

from __future__ import annotations

from ledger.core.limits import FUTURE_TOLERANCE_US, SUSPENDED_A_FAMILY_MAX
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import NEVER, Account, State


def recorded_before(state: State, key: bytes) -> Known | Refusal | None:
    """What precedes every other check: the key is known already, or none may be added."""
    keys = state.keys
    locator = keys.find(key)
    if locator is not None:
        return Known(locator)
    if len(keys.newest) >= keys.newest_max:
        return keys_exhausted(state)
    return None


def known_account(state: State, key: bytes, number: int) -> Account | Known | Refusal:
    """The account that a command of this key is for: what begins most decisions."""
    known = recorded_before(state, key)
    if known is not None:
        return known
    account = state.accounts.get(number)
    return account if account is not None else unknown_account(number)


def open_account(state: State, key: bytes, number: int) -> Account | Known | Refusal:
    """The same for a command that a closed account does not take."""
    account = known_account(state, key, number)
    return (
        account_closed(account) if isinstance(account, Account) and account.closed_at else account
    )


def refuse_suspense(state: State, account: Account, events: int = 1) -> Refusal | None:
    """Whether so much of the family waits for a price that not so many `events` more are taken."""
    if len(state.families[account.root].waiting) + events <= SUSPENDED_A_FAMILY_MAX:
        return None
    return Refusal(
        Reason.SUSPENSE_FULL,
        "product",
        str(SUSPENDED_A_FAMILY_MAX),
        "so many usage events of the family wait for a price; publish it (or reverse them), then "
        "send the same again",
    )


def keys_exhausted(state: State) -> Refusal:
    """No more identities may be remembered for now."""
    return Refusal(
        Reason.KEYS_EXHAUSTED,
        "id",
        str(state.keys.keys_max),
        "the map of identities that no checkpoint holds yet is full; retry later, and look at "
        "why checkpoints do not become durable",
    )


def unusable(quantities: tuple[int, ...]) -> Refusal | None:
    """Why quantities of which one is not positive are invalid, if they are (rule R6)."""
    least = min(quantities, default=0)
    if least < 0:
        return Refusal(
            Reason.QUANTITY_INVALID, "quantities", str(least), "a quantity is zero or more"
        )
    if not any(quantities):
        return Refusal(
            Reason.QUANTITIES_ALL_ZERO, "quantities", "0", "at least one quantity is above zero"
        )
    return None


def unknown_account(number: int) -> Refusal:
    """No such account on this shard."""
    return Refusal(
        Reason.ACCOUNT_UNKNOWN,
        "account",
        str(number),
        "the account does not exist; create it, or name another",
    )


def refuse_closed(state: State, account: Account, at: int, *, old: bool = False) -> Refusal | None:
    """Closed for usage of that time: only what was before a closing, until grace ends (T2). Usage
    before the dedupe window is not let in anyway, but where it is in the stead of `old` usage."""
    ungraced = account.closed_by(state.now)
    if account.closed_at and (at >= account.closed_at or account.closed_at <= ungraced):
        return account_closed(account)
    if old or at >= state.window_start:
        for closed_at, reopened_at in account.gaps:
            if at < reopened_at and (at >= closed_at or closed_at <= ungraced):
                return _was_closed(closed_at, reopened_at)
    return None


def account_closed(account: Account) -> Refusal:
    """The account takes no more usage (rule T2)."""
    return Refusal(
        Reason.ACCOUNT_CLOSED,
        "account",
        str(account.closed_at),
        "the account is closed since this instant; only earlier usage, until its grace ends",
    )


def _was_closed(closed_at: int, reopened_at: int) -> Refusal:
    return Refusal(
        Reason.ACCOUNT_CLOSED,
        "account",
        str(closed_at),
        f"the account was closed from this instant to {reopened_at}; only later usage, and earlier "
        "until the grace of the closing ended",
    )


def refuse_frozen(account: Account) -> Refusal | None:
    """A frozen account, or one below it, takes nothing new; the same id may come later (I2)."""
    freezer = account.freezer()
    if freezer is None:
        return None
    which = "the account is" if freezer is account else "an account above it is"
    return Refusal(
        Reason.ACCOUNT_FROZEN,
        "account",
        str(freezer.frozen_at),
        f"{which} frozen since {freezer.frozen_at}; unfreeze it and send the same again",
    )


def refuse_new(account: Account) -> Refusal | None:
    """Whether the account takes no new work now: it is closed or frozen."""
    if account.open_from < NEVER:
        return None
    return account_closed(account) if account.closed_at else refuse_frozen(account)


def outcome_expected(product: str) -> Refusal:
    """The product is sold by result, so work is not charged as it is done."""
    return Refusal(
        Reason.OUTCOME_EXPECTED,
        "product",
        product,
        "the product is sold by result; report its work as an outcome, which is charged once it is "
        "confirmed",
    )


def in_future(at: int, now: int) -> Refusal:
    """Further ahead of the writer's clock than rule I4 allows."""
    return Refusal(
        Reason.IN_FUTURE,
        "effective_at_us",
        str(at),
        f"more than {FUTURE_TOLERANCE_US} us after the writer's clock, {now}; correct the sender's",
    )
