"""What has no price waits, and is rated in order when the price arrives (rules B8, D5, T2)."""

from __future__ import annotations

from dataclasses import dataclass

from core_world import FAMILY, START_US, TENANT, Core, publish, replay
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase, ledger_case

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import HOUR_US, RATED_A_FAMILY_MAX, SUSPENDED_A_FAMILY_MAX
from ledger.core.live_timers import rebuild_timers
from ledger.core.metering.waiting import Rated, Waiting
from ledger.core.outcomes import Reason, Refusal
from ledger.core.packing import drop_family, pack_family, pack_shard, unpack_family, unpack_shard
from ledger.core.state import TIMER_SUSPENSE, State


@ledger_case
def test_it_is_rated_when_a_price_that_reaches_so_far_back_is_published(case: LedgerCase) -> None:
    """
    # rules B8, R1: in order of recording, by the price of its own time
    account acme
    grant   acme 100 effective=-1d
    usage   acme 5 of=new id=a at=-1h -> suspense
    usage   acme 7 of=new id=b        -> suspense
    expect  suspended acme 2
    publish new.tokens=2 from=-1d
    sweep                             -> rated, drawn 10 from acme; rated, drawn 14 from acme
    expect  suspended acme 0
    expect  available acme 76
    sweep                             -> nothing
    usage   acme 1 of=new             -> drawn 2 from acme
    """


@ledger_case
def test_a_price_from_now_on_leaves_what_was_before(case: LedgerCase) -> None:
    """
    # rule D5: it is priced at its effective time
    account acme
    grant   acme 100 effective=-1d
    usage   acme 5 of=new at=-1h -> suspense
    publish new.tokens=2
    sweep                        -> nothing
    expect  suspended acme 1
    publish new.tokens=3 from=-2h
    sweep                        -> rated, drawn 15 from acme
    """


@ledger_case
def test_the_other_quantities_are_charged_and_each_is_rated_once(case: LedgerCase) -> None:
    """
    # rule B8: what has no price then waits on
    account acme
    grant   acme 100
    publish tool.input=2 from=-1d
    usage   acme of=tool input=5 cached=2 output=3 id=a -> drawn 6 from acme, suspense
    expect  suspended acme 1
    publish tool.input=2 tool.output=4 from=-1d
    sweep                 -> rated, drawn 12 from acme, suspense
    expect  suspended acme 1
    publish tool.input=9 tool.output=9 tool.cached=1 from=-1d
    sweep                 -> rated, drawn 2 from acme
    expect  suspended acme 0
    expect  used tool 20
    """


@ledger_case
def test_another_card_of_the_account_may_have_the_price(case: LedgerCase) -> None:
    """
    # rule D8: what is below inherits it, and is tried too
    account acme
    account acme/a parent=acme
    grant   acme 100 shared
    usage   acme/a 5 of=new   -> suspense
    publish new.tokens=2 card=special from=-1d
    sweep                     -> nothing
    policy  acme card=special
    sweep                     -> rated, drawn 10 from acme
    """


@ledger_case
def test_it_draws_from_grants_in_force_at_its_time(case: LedgerCase) -> None:
    """
    # rule D5: from what is there now
    account acme excess=bill
    grant   acme 100 as=old expires=+1h
    usage   acme 5 of=new     -> suspense
    grant   acme 100 as=young effective=+2h
    clock   +3h
    publish new.tokens=2 from=-1d
    sweep                     -> rated, drawn 10 from old
    clock   +2d
    usage   acme 1            -> old expired 90; drawn 1 from young
    """


@ledger_case
def test_a_price_that_comes_after_the_grace_counts_in_the_open_month(case: LedgerCase) -> None:
    """
    # rules T2, D4: an adjustment; what no pot pays lands by the policy
    account acme overage=self cap=4 excess=absorb
    usage   acme 5 of=fresh at=-1h  -> suspense
    clock   2026-02-15
    publish fresh.tokens=2 from=2025-12-01
    sweep
    """
    batch = case.core.batches[-1][1]
    kinds = [type(event) for event in batch if not isinstance(event, e.BookOpened)]
    assert kinds[-3:] == [e.SuspenseRated, e.LimitExceeded, e.AdjustmentNoted]
    rated = batch[-3]
    assert isinstance(rated, e.SuspenseRated) and rated.over_limit == 6
    noted = batch[-1]
    assert isinstance(noted, e.AdjustmentNoted) and batch[noted.entry] is rated
    assert noted.period == rated.period > noted.closed


@ledger_case
def test_rounding_goes_on_over_the_period(case: LedgerCase) -> None:
    """
    # rule R1: 1 + 1 + 1 tokens at 1/3 are 1 credit
    account acme
    grant   acme 100
    usage   acme 1 of=new -> suspense
    usage   acme 1 of=new -> suspense
    usage   acme 1 of=new -> suspense
    publish new.tokens=1/3 from=-1d
    sweep                 -> rated; rated, drawn 1 from acme; rated
    """


@ledger_case
def test_what_was_charged_before_counts_once(case: LedgerCase) -> None:
    """
    # rule R1: rating the other quantity moves no total of this one
    account acme
    grant   acme 100
    publish tool.input=1/2 from=-1d
    usage   acme of=tool input=1 output=1 -> suspense
    publish tool.input=1/2 tool.output=1 from=-1d
    sweep                                 -> rated, drawn 1 from acme
    usage   acme of=tool input=1          -> free
    usage   acme of=tool input=1          -> drawn 1 from acme
    """


@ledger_case
def test_what_is_reversed_before_waits_no_more(case: LedgerCase) -> None:
    """
    # rule D3: the rest is rated
    account acme
    grant   acme 100
    usage   acme 5 of=new id=a -> suspense
    usage   acme 7 of=new id=b -> suspense
    reverse a                  -> nothing
    reverse b 4                -> nothing
    expect  suspended acme 1
    publish new.tokens=2 from=-1d
    sweep                      -> rated, drawn 6 from acme
    reverse b                  -> 6 to acme; nothing
    expect  available acme 100
    """


@ledger_case
def test_a_reversal_gives_back_what_rated_it_first(case: LedgerCase) -> None:
    """
    # rule D3: the last slice first, whichever entry drew it
    account acme
    publish tool.input=2 from=-1d
    grant   acme 10 as=G1
    grant   acme 10 as=G2 priority=1
    usage   acme of=tool input=4 output=4 id=a -> drawn 8 from G1, suspense
    publish tool.input=2 tool.output=1 from=-1d
    sweep                     -> rated, drawn 2 from G1, drawn 2 from G2
    reverse a charged=3       -> 2 to G2, 1 to G1; nothing
    reverse a charged=3       -> 1 to G1; 2 to G1
    reverse a charged=7       -> refused CORRECTION_TOO_LARGE as_charged
    reverse a                 -> nothing; 6 to G1
    expect  left G1 10
    expect  left G2 10
    """


@ledger_case
def test_some_quantities_go_back_by_the_price_that_each_had(case: LedgerCase) -> None:
    """
    # rules R1, D3
    account acme
    publish tool.input=2 from=-1d
    grant   acme 100
    usage   acme of=tool input=4 output=4 id=a -> drawn 8 from acme, suspense
    publish tool.input=7 tool.output=3 from=-1d
    sweep                           -> rated, drawn 12 from acme
    reverse a input=1 output=1 id=r -> 3 to acme; 2 to acme
    reverse a input=1 output=1 id=r -> replayed: 2 to acme
    reverse a input=2 id=r          -> refused CONFLICT quantities
    reverse a                       -> 9 to acme; 6 to acme
    expect  available acme 100
    """


@ledger_case
def test_amended_usage_gives_all_of_it_back(case: LedgerCase) -> None:
    """
    # rule D3
    account acme
    grant   acme 100
    usage   acme 5 of=new id=a -> suspense
    publish new.tokens=2 from=-1d
    sweep                      -> rated, drawn 10 from acme
    amend   a 3 as=b of=new    -> 10 to acme; nothing; drawn 6 from acme
    expect  available acme 94
    """


@ledger_case
def test_a_rating_between_the_question_and_the_answer_is_said(case: LedgerCase) -> None:
    """
    # rule I6: safe to retry
    account acme
    grant   acme 100
    usage   acme 5 of=new id=a -> suspense
    publish new.tokens=2 from=-1d
    sweep                      -> rated, drawn 10 from acme
    """
    reversal = c.ReverseUsage(FAMILY.request("r"), case.accounts["acme"], case.entries["a"])
    refusal = case.core.run(reversal)
    assert isinstance(refusal, Refusal) and refusal.reason == Reason.RATED_MEANWHILE
    rating = case.core.original(case.core.state.locator - 1)
    refusal = case.core.run(c.ReverseUsage(FAMILY.request("s"), 1, rating))
    assert isinstance(refusal, Refusal) and refusal.reason == Reason.NOT_REVERSIBLE


@ledger_case
def test_a_closed_account_is_charged_until_its_grace_has_ended(case: LedgerCase) -> None:
    """
    # rule T2; once it is open again it is tried again
    account acme overage=self
    account other overage=self
    usage   acme 5 of=new       -> suspense
    usage   other 5 of=new      -> suspense
    close   acme
    close   other
    publish new.tokens=2 card=none from=-1d
    clock   +2d
    publish new.tokens=2 from=-9d
    sweep                       -> nothing
    expect  suspended acme 1
    reopen  other
    sweep                       -> rated, overage 10 on other
    """


@ledger_case
def test_a_capture_may_wait_too(case: LedgerCase) -> None:
    """
    # rule H1: what the hold keeps is given back, the rest is new usage when it has a price
    account acme
    grant   acme 100
    hold    acme 10 as=h
    capture h input=5    -> suspense
    expect  held acme 0
    publish chat.input=2 from=-1d
    sweep                -> rated, drawn 10 from acme
    """


@ledger_case
def test_what_is_due_is_posted_before(case: LedgerCase) -> None:
    """
    # rules T3, H2: no decision sees an overdue pot
    account acme excess=absorb
    grant   acme 100 expires=+1h
    usage   acme 5 of=new at=+1m -> suspense
    clock   +3d
    publish new.tokens=2 from=-9d
    sweep
    expect  left acme 0
    expect  suspended acme 0
    """
    rated = [event for event in case.core.batches[-1][1] if isinstance(event, e.SuspenseRated)]
    assert [piece.pot for piece in rated[0].slices] == [e.Pot.ABSORBED]


@ledger_case
def test_a_sweep_takes_so_many_and_the_next_goes_on(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 100
    usage   acme 1 of=new -> suspense
    usage   acme 2 of=new -> suspense
    usage   acme 3 of=new -> suspense
    publish new.tokens=1 from=-1d
    """
    first = case.core.sweep(2)
    assert [event.quantities for event in first if isinstance(event, e.SuspenseRated)] == [
        (1,),
        (2,),
    ]
    case.core.begin_batch()
    second = case.core.sweep(2)
    assert [event.quantities for event in second if isinstance(event, e.SuspenseRated)] == [(3,)]


def test_more_than_the_limit_is_refused_until_the_price_is_there() -> None:
    """Nothing is lost: what is refused may be sent again, and no group is torn apart."""
    case = LedgerCase()
    case.run("account acme\ngrant acme 100\nhold acme 1 as=h")
    account = case.account("acme")
    one = Waiting(account.number, 1, case.core.now, "other", (), ("tokens",), (1,), (0,))
    family = case.core.state.families[account.root]
    family.waiting = dict.fromkeys(range(SUSPENDED_A_FAMILY_MAX - 2), one)
    case.run(
        """
        usage   acme 1 of=new  -> suspense
        linked  acme 1 acme 1 of=new -> refused SUSPENSE_FULL, SUSPENSE_FULL
        usage   acme 1 of=new id=a -> suspense
        usage   acme 1 of=new id=b -> refused SUSPENSE_FULL product
        capture h input=1          -> refused SUSPENSE_FULL product
        usage   acme 1             -> drawn 1 from acme
        publish new.tokens=1 from=-1d
        usage   acme 1 of=new id=b -> drawn 1 from acme
        """
    )
    case.core.state.books.check()


def test_ratings_beyond_what_is_remembered_are_adjusted_by_hand() -> None:
    """A clear refusal instead of a reversal that gives half of it back (rule D3)."""
    case = LedgerCase()
    case.run("account acme\ngrant acme 100")
    family = case.core.state.families[case.account("acme").root]
    remembered = Rated(case.core.now, (0,))
    family.rated = dict.fromkeys(range(1 - RATED_A_FAMILY_MAX, 0), remembered)
    case.run(
        """
        usage   acme 1 of=new id=a -> suspense
        usage   acme 1 of=new id=b -> suspense
        publish new.tokens=1 from=-1d
        sweep                      -> rated, drawn 1 from acme; rated, drawn 1 from acme
        reverse a                  -> 1 to acme; nothing
        reverse b                  -> refused NOT_REVERSIBLE entry
        """
    )
    case.core.state.books.check()


# -- memory and restarts ---------------------------------------------------------------------------


def waiting_case() -> LedgerCase:
    """Two families with usage that waits, one of it rated in part."""
    case = LedgerCase()
    case.run(
        """
        account acme
        account acme/a parent=acme
        account other
        grant   acme 100 shared
        publish tool.input=2 from=-1d
        usage   acme/a of=tool input=5 output=3 id=a
        usage   acme of=tool input=1 cached=1 output=1 id=b
        usage   other 5 of=new id=c
        publish tool.input=2 tool.cached=1 from=-1d
        sweep
        reverse a output=1 input=1
        """
    )
    return case


def restarted(state: State) -> State:
    """What a checkpoint and a replay of nothing make of it."""
    shard = pack_shard(state, state.batch_seq, state.entry_seq, state.recorded_at)
    loaded = unpack_shard(shard, state.catalog)
    for root in state.families:
        unpack_family(loaded, pack_family(state, root, state.settled_before))
    loaded.keys = state.keys
    rebuild_timers(loaded)
    return loaded


def test_what_waits_survives_a_checkpoint_and_a_replay() -> None:
    """All of it is state: bytes, digest and decisions are the same after a restart."""
    case = waiting_case()
    core = case.core
    core.begin_batch()
    again = restarted(core.state)
    assert digest(again) == digest(core.state) == digest(replay(core.journal()))
    assert again.suspended == {1: 2, 3: 1}
    core.state = again
    case.run(
        """
        publish tool.input=2 tool.cached=1 tool.output=4 new.tokens=1 from=-1d
        sweep -> rated, drawn 8 from acme; rated, drawn 4 from acme; rated, owed 5; 5 over the limit
        """
    )
    case.finish()


def test_what_was_published_and_not_yet_rated_is_rated_after_a_restart() -> None:
    """kill -9 between publication and rating: whatever state it opens on, it is due, and once."""
    case = waiting_case()
    case.run("publish tool.input=2 tool.cached=1 tool.output=4 new.tokens=1 from=-1d")
    core = case.core
    core.begin_batch()
    replayed = replay(core.journal()[:-1], core.catalog)
    rebuild_timers(replayed)
    replayed.begin_batch(core.state.batch_seq, core.now)
    core.state = replayed
    events = [type(event) for event in core.sweep() if isinstance(event, e.SuspenseRated)]
    assert len(events) == 3
    assert core.sweep() == []
    core.begin_batch()
    core.state = restarted(core.state)
    core.begin_batch()
    assert core.sweep() == []
    case.finish()


def test_a_family_that_is_paged_out_is_fetched_to_be_tried() -> None:
    """A price wakes what waits, wherever it is kept (rule B8)."""
    case = waiting_case()
    core = case.core
    core.sweep()
    state = core.state
    bodies = {root: pack_family(state, root, state.settled_before) for root in (1, 3)}
    for root in bodies:
        drop_family(state, root)
    publish(core, {"tool.input": "2", "tool.cached": "1", "tool.output": "4", "new.tokens": "1"},
            since=START_US - HOUR_US)  # fmt: skip
    assert core.sweep() == []
    assert sorted(state.overdue) == [1, 3]
    state.overdue = []
    for body in bodies.values():
        unpack_family(state, body)
    rated = [event for event in core.sweep() if isinstance(event, e.SuspenseRated)]
    assert [event.account for event in rated] == [2, 1, 3]
    case.finish()


def test_a_publication_of_another_tenant_wakes_nothing() -> None:
    """A tenant's prices are its own."""
    case = waiting_case()
    core = case.core
    core.sweep()
    core.run(c.ApplyConfiguration(TENANT + 1, 1, b"card"))
    assert not [kind for _, kind, _ in core.state.timers if kind == TIMER_SUSPENSE]


# -- the property ----------------------------------------------------------------------------------


@dataclass
class Ran:
    """One order of events: the balances that it ends in."""

    core: Core

    def usage(self, number: int, tokens: int, at: int) -> None:
        shape = self.core.shape("new", "tokens")
        key = FAMILY.usage("property", str(number))
        self.core.run(c.RecordUsage(key, 1, shape, (tokens,), at, c.NO_NAMES))

    def balances(self) -> dict[tuple[int, int, str], tuple[int, int]]:
        state = self.core.state
        return {
            (int(book.kind), book.owner, book.name): (book.debits_posted, book.credits_posted)
            for book in state.books.accounts.values()
        }


usages = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20)), min_size=1, max_size=12)


@given(usages, st.integers(0, 500), st.integers(0, 7), st.sampled_from(["1", "2", "5", "1/3"]))
def test_it_ends_as_if_the_price_had_been_there(
    events: list[tuple[int, int]], units: int, paid: int, price: str
) -> None:
    """Rules B8, D5: usage that waited and was rated costs, draws and earns what it would have."""
    runs: list[Ran] = []
    for early in (True, False):
        ran = Ran(Core())
        core = ran.core
        core.run(c.CreateAccount(FAMILY.request("a"), TENANT, 1, 0, 1, e.AccountPolicy()))
        if units:
            core.run(
                c.IssueGrant(
                    FAMILY.request("g"), 1, e.GrantKind.PREPAID, core.state.catalog.asset_of(
                        TENANT, "credits").number, units, paid, core.state.catalog.asset_of(
                        TENANT, "USD").number, 0, 0, 0, (), b"",
                    )
            )  # fmt: skip
        if early:
            publish(core, {"new.tokens": price}, since=START_US - 2 * HOUR_US)
        for number, (tokens, minutes) in enumerate(events):
            ran.usage(number, tokens, core.now - minutes * 1_000_000)
        core.begin_batch()
        if not early:
            publish(core, {"new.tokens": price}, since=START_US - 2 * HOUR_US)
            while core.sweep(3):
                core.begin_batch()
        assert not core.state.suspended
        assert digest(replay(core.journal())) == digest(core.state)
        runs.append(ran)
    first, second = runs
    assert first.balances() == second.balances()
