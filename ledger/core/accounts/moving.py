"""Deciding moves: an account, with all below it, goes to another parent of its family (rule D1).

From the entry's instant on it inherits from there: zone, rate card, overrides, comparator,
settlement currency, and what is shared with it. Its holds stay as they are; what was drawn of
grants above it before, or billed to an account there, is given back there (`State.ever_above`).
Across families nothing moves: another family has other books, identities and maybe another shard.
Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.accounts.accounts import settles_otherwise, zone_from
from ledger.core.admission import account_closed, open_account
from ledger.core.budgets.budgeting import refuse_moved_budgets
from ledger.core.commands import MoveAccount
from ledger.core.drawing.drawdown import settlement_asset
from ledger.core.events import AccountMoved, Event
from ledger.core.funding.sharing import refuse_moved_caps
from ledger.core.limits import DEPTH_MAX, MOVES_REMEMBERED_MAX
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import Account, State, inherited_zone, pays_minimums
from rating.functions import SCOPE_MINIMUM


def decide_move(state: State, command: MoveAccount, out: list[Event]) -> Event | Known | Refusal:
    """Put it there, unless that would break something: nothing is moved in part."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    version = account.place_version
    if command.expected_version and command.expected_version != version:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(version),
            f"the account's place is at version {version}, not {command.expected_version}; read "
            "it again",
        )
    before, parent = account.parent, state.accounts.get(command.parent)
    if before is None:
        return Refusal(
            Reason.ACCOUNT_IS_ROOT,
            "account",
            str(account.number),
            "the root of a family stays its root; open a new account and move what is below",
        )
    if parent is None:
        return Refusal(
            Reason.PARENT_UNKNOWN,
            "parent",
            str(command.parent),
            "the parent does not exist; create it first",
        )
    refusal = _refuse_place(state, account, before, parent)
    if refusal is None:
        refusal = settles_otherwise(
            state, account, account.policy.settlement_asset or settlement_asset(parent), "parent"
        )
    if refusal is not None:
        return refusal
    moved = AccountMoved(
        command.key,
        account.number,
        parent.number,
        before.number,
        version + 1,
        command.expected_version,
        command.note,
        command.trace,
        *zone_from(state, account, inherited_zone(parent, account.policy)),
    )
    out.append(moved)
    return moved


def _refuse_place(
    state: State, account: Account, before: Account, parent: Account
) -> Refusal | None:
    """Why it cannot stand there."""
    if parent.root != account.root:
        return parent_elsewhere(str(parent.number))
    if parent is before:
        return Refusal(Reason.PARENT_SAME, "parent", str(parent.number), "it is the parent already")
    above: Account | None = parent
    while above is not None:
        if above is account:
            return Refusal(
                Reason.PARENT_BELOW,
                "parent",
                str(parent.number),
                "an account cannot stand below itself; move that one away first",
            )
        above = above.parent
    if parent.closed_at:
        return account_closed(parent)
    freezer = before.freezer()
    if freezer is not None and parent.freezer() is None:
        return Refusal(
            Reason.ACCOUNT_FROZEN,
            "account",
            str(freezer.frozen_at),
            "an account above it is frozen since this instant, which the move would lift; unfreeze "
            "that first",
        )
    deepest = max([each.depth for each in account.below()])
    depth = parent.depth + 1 + deepest - account.depth
    if depth > DEPTH_MAX:
        return Refusal(
            Reason.DEPTH_EXCEEDED,
            "parent",
            str(depth),
            f"a family is at most {DEPTH_MAX} accounts deep; choose a parent nearer its root",
        )
    remembered = account.moves_remembered(state.corrected_before)
    if len(remembered) >= MOVES_REMEMBERED_MAX:
        return Refusal(
            Reason.MOVES_LIMIT,
            "parent",
            str(len(remembered)),
            f"an account moves at most {MOVES_REMEMBERED_MAX} times while its usage may be "
            "corrected",
        )
    return (
        _refuse_minimums(account, before, parent)
        or refuse_moved_budgets(state, account, parent)
        or refuse_moved_caps(account, before, parent)
    )


def parent_elsewhere(parent: str) -> Refusal:
    """A move across families."""
    return Refusal(
        Reason.PARENT_ELSEWHERE,
        "parent",
        parent,
        "the parent is of another family, with books of its own: open an account there, void or "
        "let expire what is left here and issue it there, then close this one",
    )


def _refuse_minimums(account: Account, before: Account, parent: Account) -> Refusal | None:
    """What it was charged in a period that is not settled counts for the minimums of whoever pays
    those of the card that it inherits (rule R2): that one would be charged it twice."""
    payer = _payer(before)
    if account.policy.rate_card or payer is _payer(parent):
        return None
    heirs = [account]
    for each in heirs:
        heirs.extend([child for child in each.children if not child.policy.rate_card])
        for (_, scope, start), charged in each.scoped.items():
            if scope == SCOPE_MINIMUM and charged and start >= payer.minimums_until:
                return Refusal(
                    Reason.MINIMUMS_OPEN,
                    "account",
                    str(each.number),
                    "what this account was charged counts for a minimum of another account's card "
                    "in a period that is not settled; move it before it is charged, or once the "
                    "period is settled",
                )
    return None


def _payer(account: Account) -> Account:
    """Who pays the minimums of the card that an account has."""
    while account.parent is not None and not pays_minimums(account):
        account = account.parent
    return account
