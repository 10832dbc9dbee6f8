"""Frozen, closed, opened again; another profile (rules I2, I5, T2, H1)."""

from __future__ import annotations

from typing import Any

from core_world import FAMILY, TENANT, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase, ledger_case
from test_properties import ACME as CHILD
from test_properties import PARENT, Run, steps

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest, snapshot
from ledger.core.evolve import evolve
from ledger.core.limits import DAY_US, REOPENINGS_MAX
from ledger.core.outcomes import Refusal
from ledger.core.packing import drop_family, pack_family, unpack_family
from ledger.core.state import NEVER, Account, State


@ledger_case
def test_a_frozen_account_takes_no_new_usage(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  20
    freeze  acme
    expect  frozen acme 1
    usage   acme  5  id=a         -> refused ACCOUNT_FROZEN account
    usage   acme  5  id=b at=-1h  -> refused ACCOUNT_FROZEN account  # whenever it happened
    usage   acme  5  at=-40d      -> refused ACCOUNT_FROZEN account  # not even quarantined
    hold    acme  5  as=h id=c    -> refused ACCOUNT_FROZEN account
    clock   +1h
    unfreeze acme
    usage   acme  5  id=a         -> drawn 5 from acme               # the same id, later (I2)
    usage   acme  5  id=b at=-30m -> drawn 5 from acme               # of while it was frozen
    hold    acme  5  as=h id=c    -> held 5 from acme
    """


@ledger_case
def test_work_that_was_let_go_ahead_is_still_captured(case: LedgerCase) -> None:
    """
    account acme  overdraft=10
    grant   acme  20
    hold    acme  5  as=less
    hold    acme  5  as=more
    hold    acme  5  as=back
    hold    acme  5  as=late  lifetime=1m
    freeze  acme
    capture less  3        -> drawn 3 from acme
    capture more  9        -> drawn 7 from acme, overdraft 2          # 5 of its own, then the rest
    release back           -> released
    clock   +2m
    capture late  5  id=l  -> refused ACCOUNT_FROZEN account
    unfreeze acme
    capture late  5  id=l  -> late, drawn 5 from acme
    """


@ledger_case
def test_a_freeze_stops_neither_credits_nor_policies(case: LedgerCase) -> None:
    """
    account acme
    freeze  acme
    grant   acme  9  as=a expires=+1h
    grant   acme  9  as=b
    void    b              -> b voided 9
    policy  acme  overdraft=3
    profile acme  Acme
    account acme/a  parent=acme
    clock   +2d
    sweep                  -> a expired 9
    close   acme/a
    """


@ledger_case
def test_a_freeze_covers_everything_below(case: LedgerCase) -> None:
    """
    account acme
    account acme/a      parent=acme
    account acme/a/b    parent=acme/a
    account acme/c      parent=acme
    freeze  acme/a
    usage   acme/a/b  1  -> refused ACCOUNT_FROZEN account
    usage   acme/c    1  -> owed 1; 1 over the limit
    freeze  acme
    account acme/a/d    parent=acme/a
    usage   acme/a/d  1  -> refused ACCOUNT_FROZEN account
    usage   acme/c    1  -> refused ACCOUNT_FROZEN account
    unfreeze acme/c      -> refused ACCOUNT_NOT_FROZEN account  # it is the one above
    unfreeze acme
    usage   acme/c    1  -> owed 1; 1 over the limit
    usage   acme/a/d  1  -> refused ACCOUNT_FROZEN account      # its own parent still is
    unfreeze acme/a
    usage   acme/a/d  1  -> owed 1; 1 over the limit
    """


@ledger_case
def test_freezing_again_and_what_is_not_frozen(case: LedgerCase) -> None:
    """
    account  acme
    freeze   acme  for=fraud id=f
    freeze   acme  for=fraud id=f  -> replayed: done
    freeze   acme  for=other id=f  -> refused CONFLICT reason
    unfreeze acme  for=fraud id=f  -> refused CONFLICT request
    freeze   acme                  -> refused ACCOUNT_FROZEN account
    unfreeze acme
    unfreeze acme                  -> refused ACCOUNT_NOT_FROZEN account
    freeze   acme  for=fraud id=f  -> replayed: done
    expect   frozen acme 0
    close    acme
    freeze   acme                  -> refused ACCOUNT_CLOSED account
    unfreeze acme                  -> refused ACCOUNT_CLOSED account
    """


@ledger_case
def test_a_closed_account_is_opened_again(case: LedgerCase) -> None:
    """
    account acme   overdraft=7
    reopen  acme              -> refused ACCOUNT_NOT_CLOSED account
    clock   +2h
    close   acme
    clock   +3h
    reopen  acme  id=r
    reopen  acme  id=r        -> replayed: done
    reopen  acme              -> refused ACCOUNT_NOT_CLOSED account
    expect  available acme 7                                     # settings stay
    clock   +1h
    usage   acme  1           -> overdraft 1
    usage   acme  1  at=-1h   -> overdraft 1                     # from the reopening on
    usage   acme  1  at=-2h   -> refused ACCOUNT_CLOSED account  # effective while closed
    usage   acme  1  at=-4h   -> refused ACCOUNT_CLOSED account  # the instant of closing
    usage   acme  1  at=-5h   -> overdraft 1                     # before it, within grace
    clock   +20h
    usage   acme  1  at=-25h  -> refused ACCOUNT_CLOSED account  # its grace has ended
    usage   acme  1  at=-20h  -> overdraft 1
    grant   acme  99          -> issued, repaid 4
    """


@ledger_case
def test_the_grace_of_a_closing_is_that_of_the_policy(case: LedgerCase) -> None:
    """
    account acme  grace=2h
    clock   +3h
    close   acme
    clock   +1h
    usage   acme  1  at=-2h    -> owed 1; 1 over the limit
    clock   +1h
    usage   acme  1  at=-3h    -> refused ACCOUNT_CLOSED account
    """


@ledger_case
def test_closed_and_opened_several_times(case: LedgerCase) -> None:
    """
    account acme
    clock   +1h
    close   acme
    clock   +1h
    reopen  acme
    clock   +1h
    close   acme
    clock   +1h
    reopen  acme
    clock   +1h
    usage   acme  1  at=-10m   -> owed 1; 1 over the limit
    usage   acme  1  at=-90m   -> refused ACCOUNT_CLOSED account
    usage   acme  1  at=-150m  -> owed 1; 1 over the limit
    usage   acme  1  at=-210m  -> refused ACCOUNT_CLOSED account
    usage   acme  1  at=-270m  -> owed 1; 1 over the limit
    clock   +40d
    usage   acme  1  at=-40d   -> quarantined TOO_OLD
    """


@ledger_case
def test_below_a_closed_account_nothing_opens(case: LedgerCase) -> None:
    """
    account acme
    account acme/a  parent=acme
    freeze  acme/a
    close   acme/a
    close   acme
    reopen  acme/a    -> refused ACCOUNT_CLOSED account
    reopen  acme
    reopen  acme/a
    usage   acme/a 1  -> refused ACCOUNT_FROZEN account   # as it was when it closed
    unfreeze acme/a
    usage   acme/a 1  -> owed 1; 1 over the limit
    """


@ledger_case
def test_a_profile_is_replaced_by_version(case: LedgerCase) -> None:
    """
    account acme
    profile acme  Acme   version=1 id=p
    profile acme  Acme   version=1 id=p  -> replayed: done
    profile acme  Other  version=1 id=p  -> refused CONFLICT metadata
    profile acme  Other  version=1       -> refused VERSION_MISMATCH expected_version
    profile acme  Other  version=2
    close   acme
    profile acme  Gone   version=3
    policy  acme         version=1       -> refused ACCOUNT_CLOSED account
    """
    assert case.account("acme").profile_version == 4
    assert case.account("acme").version == 1


@ledger_case
def test_an_abandoned_freeze_never_comes(case: LedgerCase) -> None:
    """
    account acme
    abandon acme  id=f
    freeze  acme  id=f   -> refused CONFLICT request
    expect  frozen acme 0
    """


def test_reopenings_are_limited_within_the_window() -> None:
    case = LedgerCase()
    case.run("account acme")
    for _ in range(REOPENINGS_MAX):
        case.run("close acme\nreopen acme")
    case.run("close acme\nreopen acme -> refused REOPENINGS_LIMIT account")
    case.run("clock +36d\nreopen acme")
    assert len(case.account("acme").gaps) == 1
    case.finish()


def test_a_freeze_may_follow_from_another_entry() -> None:
    """Without a key: as a chargeback freezes by policy (rule F3)."""
    case = LedgerCase()
    case.run("account acme")
    state = case.core.state
    keys = len(state.keys)
    evolve(state, e.AccountFrozen(b"", 1, e.FreezeCause.CHARGEBACK))
    assert len(state.keys) == keys
    account = case.account("acme")
    assert (account.frozen_at, account.freeze_cause) == (case.core.now, e.FreezeCause.CHARGEBACK)


# -- properties ----------------------------------------------------------------------------------

COMMANDS: dict[str, Any] = {
    "freeze": c.FreezeAccount,
    "unfreeze": c.UnfreezeAccount,
    "close": c.CloseAccount,
    "reopen": c.ReopenAccount,
}
moves = st.lists(st.tuples(st.sampled_from([*COMMANDS, "clock"]), st.integers(1, 6)), max_size=40)


@given(moves)
def test_who_takes_work_follows_from_what_is_frozen_and_closed(
    taken: list[tuple[str, int]],
) -> None:
    """In a family of six, in any order: what the hot path reads is what walking up would say."""
    core = Core()
    for number in range(1, 7):  # 1 over 2 and 3, 2 over 4 and 5, 3 over 6
        ask(core, c.CreateAccount, TENANT, number, number // 2, 1, e.AccountPolicy())
    for verb, number in taken:
        if verb == "clock":
            core.advance(number * DAY_US)
            continue
        ask(core, COMMANDS[verb], number)
        agrees(core.state)
        body = pack_family(core.state, 1, core.state.settled_before)
        drop_family(core.state, 1)
        unpack_family(core.state, body)
        agrees(core.state)
    assert digest(replay(core.journal())) == digest(core.state)


def ask(core: Core, command: Any, *fields: Any) -> Any:
    return core.run(command(FAMILY.request(str(core.state.entry_seq)), *fields))


def agrees(state: State) -> None:
    for account in state.accounts.values():
        frozen = any(each.frozen_at for each in lineage(account))
        assert account.frozen == frozen
        assert (account.freezer() is not None) == frozen
        assert (account.open_from == NEVER) == (frozen or account.closed_at > 0)
        if account.closed_at:
            assert all(child.closed_at for child in account.children)


def lineage(account: Account | None) -> list[Account]:
    found = []
    while account is not None:
        found.append(account)
        account = account.parent
    return found


@given(steps, st.sampled_from([CHILD, PARENT]))
def test_freezing_and_unfreezing_changes_no_balance(
    taken: list[tuple[Any, ...]], whom: int
) -> None:
    """Whatever the account has lived through; and in between no usage gets in."""
    run = Run()
    for verb, *given_ in taken:
        run.step(verb, *given_)
    run.core.advance(1)
    run.core.sweep(10_000)
    before = snapshot(run.state)
    assert isinstance(run.ask(c.FreezeAccount, whom), e.AccountFrozen)
    usage = (CHILD, run.core.shape("chat", "tokens"), (1,))
    assert isinstance(run.ask(c.RecordUsage, *usage, 0, c.NO_NAMES), Refusal)
    assert isinstance(run.ask(c.AuthorizeHold, *usage, 0), Refusal)
    frozen = snapshot(run.state)
    assert isinstance(run.ask(c.UnfreezeAccount, whom), e.AccountUnfrozen)
    after = snapshot(run.state)
    for part in ("books", "grants", "holds", "settled_holds", "families"):
        assert before[part] == frozen[part] == after[part]
    assert before["accounts"] == after["accounts"]
    assert digest(replay(run.core.journal())) == digest(run.state)
