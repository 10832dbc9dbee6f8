"""Accounts that move within their family: what they inherit counts anew, the past stays (D1)."""

from __future__ import annotations

import random
from typing import Final

import pytest
from core_world import CREDITS, FAMILY, TENANT, USD, Core, replay
from ledger_case import LedgerCase, ledger_case

from ledger.core.commands import (
    NO_NAMES,
    CreateAccount,
    IssueGrant,
    MoveAccount,
    RecordUsage,
)
from ledger.core.digest import digest
from ledger.core.events import AccountMoved, AccountPolicy, GrantKind, UsageRecorded
from ledger.core.limits import DEPTH_MAX, MOVES_REMEMBERED_MAX
from ledger.core.packing import drop_family, pack_family, unpack_family
from ledger.core.state import Account

TREE: Final = """
account acme
account eu  parent=acme
account us  parent=acme
account team  parent=eu
account ann  parent=team
"""


@ledger_case
def test_a_moved_account_draws_what_is_shared_where_it_stands(case: LedgerCase) -> None:
    """
    account acme
    account eu  parent=acme
    account us  parent=acme
    account team  parent=eu
    account ann  parent=team
    grant eu 10 shared
    grant us 10 shared
    usage ann 4 id=u  -> drawn 4 from eu
    move team us
    usage ann 3  -> drawn 3 from us
    expect left eu 6
    expect left us 7
    # Rule D3: what was drawn before is given back where it was drawn.
    reverse u
    expect left eu 10
    expect left us 7
    """


@ledger_case
def test_holds_stay_where_they_reserve(case: LedgerCase) -> None:
    """
    account acme
    account eu  parent=acme
    account us  parent=acme
    account ann  parent=eu
    grant eu 10 shared
    grant us 10 shared
    hold ann 6 as=h  -> held 6 from eu
    move ann us
    expect held eu 6
    expect available ann 10
    # Rule H1: its slices are the hold's; what goes beyond is new usage, and is drawn from there.
    capture h 8  -> drawn 6 from eu, drawn 2 from us
    expect left eu 4
    expect left us 8
    """


@ledger_case
def test_what_a_moved_account_shares_goes_with_it(case: LedgerCase) -> None:
    """
    account acme
    account eu  parent=acme
    account us  parent=acme
    account team  parent=eu
    account ann  parent=team
    account bob  parent=eu
    grant team 10 shared
    move team us
    usage ann 4  -> drawn 4 from team
    usage bob 1  -> owed 1; 1 over the limit
    expect left team 6
    """


@ledger_case
def test_overage_is_billed_to_the_parent_of_its_time_and_given_back_there(case: LedgerCase) -> None:
    """
    account acme
    account eu  parent=acme
    account us  parent=acme
    account ann  parent=eu overage=parent
    usage ann 5 id=u  -> overage 5 on eu
    move ann us
    usage ann 3  -> overage 3 on us
    reverse u
    expect overage eu 0
    expect overage us 3
    """


@ledger_case
def test_a_freeze_goes_by_where_an_account_stands(case: LedgerCase) -> None:
    """
    account acme
    account eu  parent=acme
    account us  parent=acme
    account ann  parent=eu
    freeze us
    move ann us
    expect frozen ann 1
    move ann eu  -> refused ACCOUNT_FROZEN account
    unfreeze us
    move ann eu
    expect frozen ann 0
    """


@ledger_case
def test_the_zone_of_the_new_parent_counts_from_the_end_of_the_month(case: LedgerCase) -> None:
    """
    # Rule T1: as with another policy; the replay at the end shows that the entry says from when.
    account acme
    account eu  parent=acme zone=Europe/Berlin
    account us  parent=acme zone=America/New_York
    account ann  parent=eu
    account kid  parent=ann
    move ann us
    clock +40d
    usage kid 1  -> owed 1; 1 over the limit
    """


@ledger_case
def test_what_is_inherited_counts_anew(case: LedgerCase) -> None:
    """
    account acme
    account eu  parent=acme
    account us  parent=acme
    account team  parent=eu
    account ann  parent=team
    override us chat:2
    grant ann 100
    usage ann 5  -> drawn 5 from ann
    move team us
    usage ann 5  -> drawn 10 from ann
    move team eu
    usage ann 5  -> drawn 5 from ann
    """


@pytest.mark.parametrize(
    ("statements", "refusal"),
    [
        ("move acme eu", "ACCOUNT_IS_ROOT account"),
        ("move nobody eu", "ACCOUNT_UNKNOWN account"),
        ("move team nobody", "PARENT_UNKNOWN parent"),
        ("move team eu", "PARENT_SAME parent"),
        ("move team team", "PARENT_BELOW parent"),
        ("move eu ann", "PARENT_BELOW parent"),
        ("account other\nmove team other", "PARENT_ELSEWHERE parent"),
        ("close us\nmove team us", "ACCOUNT_CLOSED account"),
        ("close ann\nmove ann us", "ACCOUNT_CLOSED account"),
        ("move team us version=2", "VERSION_MISMATCH expected_version"),
        ("move team us version=1\nmove team eu version=1", "VERSION_MISMATCH expected_version"),
        ("freeze acme\nfreeze eu\nunfreeze acme\nmove team us", "ACCOUNT_FROZEN account"),
    ],
)
def test_what_would_break_is_refused_and_changes_nothing(statements: str, refusal: str) -> None:
    """Cycles, other families, closed parents, freezes that it would lift: nothing half applied."""
    case = LedgerCase()
    *before, last = (TREE + statements).strip().splitlines()
    case.run("\n".join(before))
    was = digest(case.core.state)
    case.run(f"{last} -> refused {refusal}")
    assert digest(case.core.state) == was
    case.finish()


def test_a_settlement_currency_stays_while_anything_is_open() -> None:
    """Rule N6: not another one by a move either."""
    case = LedgerCase()
    case.run(
        "account acme\naccount eu parent=acme settles=usd\naccount us parent=acme\n"
        "account ann parent=eu\nmove ann us\nmove ann eu\n"
        "rate credits usd 1/100\nusage ann 500"
    )
    case.run("move ann us -> refused SETTLEMENT_ASSET_OPEN parent")
    case.finish()


def test_a_tree_is_at_most_so_deep() -> None:
    """The depth counts to the deepest account that moves along."""
    case = LedgerCase()
    case.run("account a1")
    for depth in range(2, DEPTH_MAX):
        case.run(f"account a{depth} parent=a{depth - 1}")
    case.run("account b parent=a1\naccount c parent=b")
    case.run(f"move b a{DEPTH_MAX - 1} -> refused DEPTH_EXCEEDED parent")
    case.run(f"move b a{DEPTH_MAX - 2}")
    assert case.account("c").depth == DEPTH_MAX
    case.finish()


def test_moves_are_remembered_up_to_a_limit() -> None:
    """They are needed for what is given back, and are forgotten when nothing is any more."""
    case = LedgerCase()
    case.run("account acme\naccount a parent=acme\naccount b parent=acme\naccount ann parent=b")
    for number in range(MOVES_REMEMBERED_MAX):
        case.run(f"move ann {'ab'[number % 2]}")
    case.run("move ann a -> refused MOVES_LIMIT parent")
    case.run("clock +460d\nmove ann a")
    assert len(case.account("ann").parents_before) == 1
    case.finish()


def tree_of(account: Account) -> list[Account]:
    return [account, *[each for child in account.children for each in tree_of(child)]]


@pytest.mark.parametrize("seed", range(6))
def test_random_moves_keep_the_tree_whole(seed: int) -> None:
    """Over random trees and moves: each account stands once, as deep as its parent says; what it
    draws is what it and those above it have; packed and replayed it is the same, byte for byte."""
    chance = random.Random(seed)
    case = LedgerCase()
    case.run("account n0\ngrant n0 1000 shared")
    for number in range(1, 30):
        case.run(f"account n{number} parent=n{chance.randrange(number)} overage=parent")
        if number % 4 == 0:
            case.run(f"grant n{number} 20 shared")
    state = case.core.state
    drawn: list[str] = []
    for step in range(120):
        name, other = f"n{chance.randrange(1, 30)}", f"n{chance.randrange(30)}"
        kind = chance.randrange(4)
        if kind == 0:
            was = digest(state)
            above: Account | None = case.account(other)
            line = []
            while above is not None:
                line.append(above.number)
                above = above.parent
            number = case.account(name).number
            if number in line:
                case.run(f"move {name} {other} -> refused PARENT_BELOW parent")
                assert digest(state) == was
            elif case.account(name).parent is case.account(other):
                case.run(f"move {name} {other} -> refused PARENT_SAME parent")
            else:
                case.run(f"move {name} {other}")
        elif kind == 1 and drawn:
            case.run(f"reverse {drawn.pop(chance.randrange(len(drawn)))}")
        else:
            case.run(f"usage {name} {chance.randrange(1, 30)} id=u{step}")
            drawn.append(f"u{step}")
        if step % 40 == 39:
            packed, was = pack_family(state, 1, state.settled_before), digest(state)
            drop_family(state, 1)
            unpack_family(state, packed)
            assert digest(state) == was
            assert pack_family(state, 1, state.settled_before) == packed
    found = tree_of(case.account("n0"))
    assert len(found) == len({each.number for each in found}) == 30
    for each in found[1:]:
        assert each.parent is not None and each.depth == each.parent.depth + 1
    assert digest(replay(case.core.journal())) == digest(state)
    case.finish()


def test_thousands_of_children_under_a_parent_are_a_family_like_any_other() -> None:
    """They draw what is shared, move alone and with all that is below, and are packed whole."""
    core, children = Core(), 3_000
    policy = AccountPolicy()
    for number in range(1, children + 4):
        parent = min(number - 1, 3)  # 1, below it 2, below it 3, and the rest below that
        core.run(CreateAccount(FAMILY.request(f"a{number}"), TENANT, number, parent, 1, policy))
    grant = IssueGrant(
        FAMILY.request("g"), 1, GrantKind.PREPAID, CREDITS, 10**6, 0, USD, 0, 0, 0, (), b"",
        shared=True,
    )  # fmt: skip
    core.run(grant)
    shape = core.shape("chat", "tokens")
    for number in range(4, 104):
        used = RecordUsage(FAMILY.request(f"u{number}"), number, shape, (1,), 0, NO_NAMES)
        assert isinstance(core.run(used), UsageRecorded)
    assert isinstance(core.run(MoveAccount(FAMILY.request("one"), children + 3, 1)), AccountMoved)
    assert isinstance(core.run(MoveAccount(FAMILY.request("all"), 3, 1)), AccountMoved)
    state = core.state
    assert state.accounts[4].depth == 3 and len(state.accounts[3].children) == children - 1
    packed, was = pack_family(state, 1, state.settled_before), digest(state)
    drop_family(state, 1)
    unpack_family(state, packed)
    assert digest(state) == was
