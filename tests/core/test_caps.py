"""With whom a grant is shared, and how much of it each may draw (rules D1, D8)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from budget_case import BudgetCase
from core_world import replay
from family_case import FamilyCase, family_case
from ledger_case import LedgerCase
from msgspec.structs import astuple, replace
from test_verify_rules import judged

from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.packing import whole


class CappedCase(FamilyCase, BudgetCase):
    """Tells stories of caps, in which captures may be reversed."""


@family_case
def test_shared_with_those_listed_and_what_is_below_them(case: LedgerCase) -> None:
    """
    # Rule D1: all, none, listed. Slices drawn before stay (rule D3).
    account acme
    account eu     parent=acme
    account sales  parent=eu
    account us     parent=acme
    grant   acme   100
    usage   sales  1   -> owed 1; 1 over the limit
    share   acme   eu  version=1 -> done
    usage   sales  10  id=u -> drawn 10 from acme
    usage   eu     10  -> drawn 10 from acme
    usage   us     10  -> owed 10; 10 over the limit
    expect  available sales 80
    expect  available us 0
    share   acme   all -> done
    usage   us     10  -> drawn 10 from acme
    share   acme   none -> done
    usage   sales  10  -> owed 10; 10 over the limit
    reverse u      -> 10 to acme
    share   acme   all version=1 -> refused VERSION_MISMATCH expected_version
    """


@family_case
def test_shared_with_those_that_bear_a_label(case: LedgerCase) -> None:
    """
    # Rule D1: matching. A label is of the account's policy; what is below has it too.
    account acme
    account lab    parent=acme  labels=research,eu
    account team   parent=lab
    account sales  parent=acme  labels=sales
    grant   acme   100
    share   acme   labels=research -> done
    usage   team   10  -> drawn 10 from acme
    usage   sales  10  -> owed 10; 10 over the limit
    policy  sales  labels=research
    usage   sales  10  -> drawn 10 from acme
    policy  lab    labels=eu
    usage   team   10  -> owed 10; 10 over the limit
    """


@family_case
def test_what_a_commitment_or_a_recurring_grant_issues_is_shared_alike(case: LedgerCase) -> None:
    """
    # Rule D1: the segments to come, the periods to come, and what rolls over of a grant.
    account acme
    account a      parent=acme
    account b      parent=acme
    commit  acme   now..+10d:50/50 as=C for=chat shared
    share   C.1    a -> done
    upsize  C      now..+20d:50/50
    usage   a      80  -> drawn 50 from C.1, drawn 30 from C.2
    usage   b      1   -> owed 1; 1 over the limit
    recurring acme 20 as=R for=image
    sweep
    share   R@2026-01-01 b -> done
    clock   2026-02-01
    sweep
    usage   b      20 of=image -> drawn 20 from R@2026-02-01
    usage   a      1 of=image  -> owed 1; 1 over the limit
    """


@family_case
def test_a_cap_is_a_ceiling_and_the_rest_goes_on_down_the_order(case: LedgerCase) -> None:
    """
    # Rule D8: it binds recorded usage too; each child's overage is its own.
    account acme
    account a      parent=acme  overage=self
    account b      parent=acme  overage=self
    grant   acme   100 shared
    cap     acme   a 30 -> done
    usage   a      20  -> drawn 20 from acme
    usage   a      20  id=u -> drawn 10 from acme, overage 10 on a
    usage   b      70  -> drawn 70 from acme
    expect  available a 0
    reverse u      15  -> 10 to overage, 5 to acme
    expect  counted a 25
    usage   a      20  -> drawn 5 from acme, overage 15 on a
    """


@family_case
def test_departments_draw_on_one_commitment_each_within_its_cap_with_its_own_bill(
    case: LedgerCase,
) -> None:
    """
    # The first story. acme commits 1000 for 500; search with its team may draw 300 of it, a month,
    # research a half in all. What is beyond is search's own overage, and of research acme's.
    account acme
    account search    parent=acme   overage=self
    account team      parent=search overage=self
    account research  parent=acme   overage=parent
    commit  acme      2026-01-01..2026-03-01:1000/500 as=C shared
    cap     acme search 300 window=month
    cap     acme research of=1/2
    usage   team      200 -> drawn 200 from C.1
    usage   search    150 -> drawn 100 from C.1, overage 50 on search
    usage   team      5   -> overage 5 on team
    usage   research  510 -> drawn 500 from C.1, overage 10 on acme
    expect  unbilled  acme 400            # half a unit of money each that the commitment paid
    expect  counted   search 300
    expect  room      research 0
    expect  available acme 200
    clock   2026-02-01
    usage   team      250 -> drawn 200 from C.1, overage 50 on team
    expect  counted   search 200
    expect  unbilled  acme 500
    clock   2026-03-02
    sweep                 -> C.1 expired 0
    """
    assert judged(case.core) == []


@family_case
def test_holds_count_and_give_back(case: LedgerCase) -> None:
    """
    # Rule D8: a cap counts holds; what they release is there again.
    account acme
    account a      parent=acme
    grant   acme   100 shared
    cap     acme   a 30
    hold    a      20 as=h -> held 20 from acme
    expect  available a 10
    hold    a      20 as=no -> denied INSUFFICIENT_CREDITS
    capture h      5  -> drawn 5 from acme
    expect  counted a 5
    hold    a      25 as=i -> held 25 from acme
    release i
    hold    a      20 as=j lifetime=1h -> held 20 from acme
    capture j      30 -> drawn 25 from acme, owed 5; 5 over the limit
    expect  counted a 30
    """


@family_case
def test_a_cap_counts_from_when_it_is_set_with_what_is_held_then(case: LedgerCase) -> None:
    """
    # Rule D8: another limit never resets the counter and never cancels holds.
    account acme
    account a      parent=acme
    grant   acme   100 shared
    usage   a      40 -> drawn 40 from acme
    hold    a      10 as=h
    cap     acme   a 30 window=day
    expect  counted a 10
    capture h      10 -> drawn 10 from acme
    expect  counted a 10
    usage   a      20 -> drawn 20 from acme
    recap   a      40 version=1 -> done
    usage   a      15 -> drawn 10 from acme, owed 5; 5 over the limit
    recap   a      10 -> done
    expect  room a 0
    recap   a      99 version=1 -> refused VERSION_MISMATCH expected_version
    uncap   a
    usage   a      15 -> drawn 15 from acme
    """


@family_case
def test_a_fraction_is_of_what_was_granted(case: LedgerCase) -> None:
    """
    # Rule D8: of a grant, or of all that is shared at the time; rounded down. Caps may be
    # oversubscribed.
    account acme
    account a      parent=acme
    account b      parent=acme
    grant   acme   31 as=g shared priority=-1
    cap     acme   a of=1/2 as=one grant=g
    cap     acme   b of=9/10
    usage   a      31 -> drawn 15 from g, owed 16; 16 over the limit
    grant   acme   69 as=more shared
    expect  room b 90
    usage   b      30 -> drawn 16 from g, drawn 14 from more
    usage   a      10 -> drawn 10 from more
    """


@family_case
def test_per_window(case: LedgerCase) -> None:
    """
    # Rules D8, H5: usage counts in the window of its effective time; a reversal lowers that.
    account acme
    account a      parent=acme
    grant   acme   1000 shared
    cap     acme   a 30 window=day zone=UTC
    clock   +23h
    usage   a      40 id=u -> drawn 30 from acme, owed 10; 10 over the limit
    clock   +2h
    expect  counted a 0
    usage   a      25 -> drawn 25 from acme
    usage   a      5  at=-3h  -> owed 5; 5 over the limit
    expect  counted a 25
    reverse u      20 -> 10 to advance, 10 to acme
    usage   a      15 at=-3h  -> drawn 10 from acme, owed 5; 5 over the limit
    expect  counted a 25
    expect  total a 55
    """


@family_case
def test_what_is_late_for_every_window_that_is_kept(case: LedgerCase) -> None:
    """
    # Rule H5: the third day's window lets go of the first's, though it was met last: what
    # comes of that day then counts in the lifetime alone.
    account acme
    account a      parent=acme
    grant   acme   1000 shared
    cap     acme   a 100 window=day
    usage   a      5          -> drawn 5 from acme
    clock   +24h
    usage   a      7          -> drawn 7 from acme
    clock   +23h
    usage   a      2  at=-47h -> drawn 2 from acme
    clock   +1h
    usage   a      3          -> drawn 3 from acme
    usage   a      4  at=-48h -> drawn 4 from acme
    expect  counted a 3
    expect  total a 21
    """


@family_case
def test_a_hold_and_its_captures_count_in_the_window_of_its_authorisation(
    case: LedgerCase,
) -> None:
    """
    # Rule H5; and so does what is given back of them.
    account acme
    account a      parent=acme
    grant   acme   1000 shared
    cap     acme   a 30 window=day
    clock   +23h
    hold    a      20 as=h lifetime=10h -> held 20 from acme
    clock   +2h
    capture h      25 -> drawn 25 from acme
    expect  counted a 0
    usage   a      10 at=-3h -> drawn 5 from acme, owed 5; 5 over the limit
    """


@family_case
def test_fixed_and_sliding_windows(case: LedgerCase) -> None:
    """
    # Rules D8, H5: from first use; and the length before each instant, never under-counted.
    account acme
    account a      parent=acme
    account b      parent=acme
    grant   acme   1000 shared
    cap     acme   a 30 window=fixed/10h
    cap     acme   b 30 window=sliding/10h
    usage   a      30 -> drawn 30 from acme
    usage   b      30 -> drawn 30 from acme
    clock   +5h
    usage   a      1  -> owed 1; 1 over the limit
    usage   b      1  -> owed 1; 1 over the limit
    clock   +6h
    usage   a      30 -> drawn 30 from acme
    usage   b      10 -> drawn 10 from acme
    clock   +5h
    usage   b      30 -> drawn 20 from acme, owed 10; 10 over the limit
    """


@family_case
def test_a_draw_counts_for_every_capped_account_on_the_way(case: LedgerCase) -> None:
    """
    # Rule D8: nested; a grant of the middle is no business of the caps of the top.
    account acme
    account eu     parent=acme
    account a      parent=eu
    account b      parent=eu
    grant   acme   100 shared
    grant   eu     10 as=eu shared for=image
    cap     acme   eu 30 as=eu
    cap     acme   a 20 as=a
    usage   a      25 -> drawn 20 from acme, owed 5; 5 over the limit
    usage   b      25 -> drawn 10 from acme, owed 15; 15 over the limit
    usage   eu     1  -> owed 1; 1 over the limit
    usage   a      10 of=image -> drawn 10 from eu
    expect  counted eu 30
    expect  counted a 20
    """


@family_case
def test_what_is_reserved_siblings_cannot_touch(case: LedgerCase) -> None:
    """
    # Rule D8: nor does the account that shares; as it is drawn, no more is set aside.
    account acme
    account a      parent=acme
    account b      parent=acme
    grant   acme   100 shared
    cap     acme   a grant=acme reserve=40 as=mine
    expect  available a 100
    expect  available b 60
    expect  available acme 60
    usage   b      70 -> drawn 60 from acme, owed 10; 10 over the limit
    usage   acme   1  -> owed 1; 1 over the limit
    hold    a      10 as=h -> held 10 from acme
    expect  aside acme 30
    release h
    expect  aside acme 40
    usage   a      15 id=u -> drawn 15 from acme
    expect  aside acme 25
    recap   mine   reserve=20
    usage   b      30 -> drawn 20 from acme, owed 10; 10 over the limit
    reverse u      -> 15 to acme
    expect  aside acme 20
    uncap   mine
    usage   b      30 -> drawn 20 from acme, owed 10; 10 over the limit
    """


@pytest.mark.parametrize("how", ["usage   a 29 id=u", "hold    a 40 as=h\ncapture h 29 id=u"])
def test_what_was_drawn_before_a_cap_gives_it_no_room(how: str) -> None:
    """It counted nothing there; what is drawn after it does. One that is set anew is new."""
    case = CappedCase()
    case.run(
        f"""
        account acme
        account a      parent=acme
        grant   acme   200 shared as=g
        {how}
        usage   a      9 id=v
        cap     acme   a 40 as=all
        cap     acme   a 40 as=day window=day
        cap     acme   a grant=g reserve=30 as=mine
        usage   a      6 id=w
        reverse u      -> 29 to g
        reverse w      2 -> 2 to g
        expect  total  all 4
        expect  counted day 4
        expect  aside g 26
        usage   a      40 -> drawn 36 from g, owed 4; 4 over the limit
        uncap   all
        cap     acme   a 50 as=all
        reverse v      -> 9 to g
        expect  total  all 0
        """
    )
    case.finish()


@family_case
def test_a_cap_of_an_older_journal_counts_less_by_what_came_before(case: LedgerCase) -> None:
    """
    account acme
    account a      parent=acme
    grant   acme   200 shared as=g
    usage   a      29 id=u
    cap     acme   a 40 as=all
    usage   a      6
    reverse u      -> 29 to g
    """
    at, events = case.core.batches[0]
    older = [e.CapSet(*astuple(each)) if isinstance(each, e.CapBegun) else each for each in events]
    state = replay([(at, msgspec.msgpack.encode(older))])
    [cap] = state.accounts[case.accounts["acme"]].caps_given.values()
    assert (cap.since, cap.counter.posted) == (0, 6 - 29)


@family_case
def test_what_was_converted_counts_less_where_it_had_counted(case: LedgerCase) -> None:
    """
    # An account may have moved meanwhile, to below another that is capped.
    rate    credits usd 1/1
    account acme   settles=usd
    account eu     parent=acme settles=usd
    account us     parent=acme settles=usd
    account team   parent=eu settles=usd
    grant   acme   100 shared asset=usd as=g
    cap     acme   eu 30 asset=usd as=eu
    cap     acme   us 30 asset=usd as=us
    usage   team   20 id=u
    expect  counted eu 20
    move    team   us
    reverse u
    expect  counted eu 0
    expect  counted us 0
    """


@family_case
def test_no_more_is_set_aside_than_is_reserved(case: LedgerCase) -> None:
    """
    # A re-rate gives back 500 of what was drawn before the cap: others may draw it.
    account  acme
    account  a    parent=acme
    account  b    parent=acme
    grant    acme 1040 shared as=g
    override a    chat/tokens:v100/10,5
    usage    a    100
    cap      acme a grant=g reserve=30 as=mine
    usage    a    1
    expect   aside g 30
    recap    mine reserve=35
    expect   aside g 35
    usage    b    510 -> drawn 500 from g, owed 10; 10 over the limit
    """


@family_case
def test_what_is_no_cap_is_refused(case: LedgerCase) -> None:
    """
    # Nothing is changed by a refusal.
    account acme
    account a      parent=acme
    account kid    parent=a
    account other
    grant   acme   100 shared
    grant   a      5 as=own
    cap     acme   a -> refused CAP_INVALID cap.limit
    cap     acme   a 5 of=1/2 -> refused CAP_INVALID cap.limit
    cap     acme   a of=3/2 -> refused CAP_INVALID cap.fraction
    cap     acme   acme 5 -> refused NOT_BELOW cap.below
    cap     a      acme 5 -> refused NOT_BELOW cap.below
    cap     acme   other 5 -> refused NOT_BELOW cap.below
    cap     acme   nobody 5 -> refused NOT_BELOW cap.below
    cap     acme   a 5 grant=own -> refused GRANT_UNKNOWN cap.grant_id
    cap     acme   a 5 window=day zone=Nowhere -> refused CAP_INVALID cap.window.zone
    cap     acme   a reserve=5 -> refused CAP_INVALID cap.reserved
    cap     acme   a grant=acme reserve=101 -> refused RESERVE_EXCEEDS cap.reserved
    cap     acme   a 4 grant=acme reserve=5 -> refused CAP_INVALID cap.reserved
    cap     acme   a grant=acme reserve=5 as=r -> done
    cap     acme   kid grant=acme reserve=5 -> refused CAP_INVALID cap_id
    recap   none   5 -> refused CAP_UNKNOWN cap_id
    uncap   none   -> refused CAP_UNKNOWN cap_id
    close   kid
    share   acme   a a -> refused SHARING_INVALID sharing.accounts
    share   acme   other -> refused NOT_BELOW sharing.accounts
    share   acme   labels=x,x -> refused SHARING_INVALID sharing.labels
    void    own
    close   a      -> refused ACCOUNT_NOT_EMPTY account
    uncap   r
    close   a      -> done
    """


@family_case
def test_the_same_request_again_is_answered_as_before(case: LedgerCase) -> None:
    """
    # Rule I5: another body under the same request is a conflict.
    account acme
    account a      parent=acme
    grant   acme   100
    share   acme   a id=1
    share   acme   a id=1 -> replayed: done
    share   acme   all id=1 -> refused CONFLICT sharing
    cap     acme   a 5 id=2
    cap     acme   a 5 id=2 -> replayed: done
    cap     acme   a 6 id=2 -> refused CONFLICT cap
    recap   a      7 id=3
    recap   a      7 id=3 -> replayed: done
    recap   a      7 id=2 -> refused CONFLICT cap.cap_id
    uncap   a      id=4
    uncap   a      id=4 -> replayed: done
    """


@family_case
def test_caps_come_back_as_they_were_packed(case: LedgerCase) -> None:
    """
    account acme
    account eu     parent=acme
    account a      parent=eu
    grant   acme   100 shared
    cap     acme   eu grant=acme reserve=30 as=r
    cap     eu     a 10 as=of_eu
    cap     acme   a of=1/3 window=month as=m
    cap     acme   a 25 window=sliding/7h as=s
    share   acme   eu
    usage   a      20 -> drawn 20 from acme
    hold    a      4  as=h
    """
    assert isinstance(case, FamilyCase)
    state = case.core.state
    assert digest(whole(state, {})) == digest(state)


@family_case
def test_a_move_leaves_what_counts_where_it_counted(case: LedgerCase) -> None:
    """
    # Rules D1, D8: a move is refused while a cap would lose who set it, or holds would count
    # elsewhere; what is given back counts less where it was drawn.
    account acme
    account eu     parent=acme
    account us     parent=acme
    account team   parent=eu
    grant   acme   100 shared
    grant   eu     9   as=eu shared for=image
    cap     acme   eu 30 as=eu
    cap     acme   us 30 as=us
    cap     eu     team 5 as=team
    move    team   us -> refused CAPS_STAND parent
    uncap   team
    usage   team   20 id=u -> drawn 20 from acme
    hold    team   5  as=h
    move    team   us -> refused CAPS_STAND parent
    release h
    move    team   us -> done
    reverse u      15 -> 15 to acme
    expect  counted eu 5
    expect  counted us 0
    usage   team   40 -> drawn 30 from acme, owed 10; 10 over the limit
    """


@pytest.mark.parametrize(
    ("kind", "changed", "what"),
    [
        (e.CapSet, {"terms": e.CapTerms(10)}, "drawn within cap 1"),
        (e.CapSet, {"cap": 7}, "number of the cap"),
        (e.SharingUpdated, {"sharing": e.Sharing(e.SharingMode.NONE)}, "who draws grant 1"),
        (e.SharingUpdated, {"version": 9}, "version of the sharing"),
    ],
)
def test_verify_finds_what_was_not_decided_so(
    kind: type[e.Event], changed: dict[str, Any], what: str
) -> None:
    """An entry that says otherwise than what followed is found apart from the core."""
    case = FamilyCase()
    case.run(
        """
        account acme
        account a      parent=acme
        grant   acme   100
        share   acme   all
        cap     acme   a 30
        usage   a      20 -> drawn 20 from acme
        """
    )
    for _, events in case.core.batches:
        for place, event in enumerate(events):
            if isinstance(event, kind):
                events[place] = replace(event, **changed)
    found = judged(case.core, replays=False)
    assert any(what in each.what for each in found), found
