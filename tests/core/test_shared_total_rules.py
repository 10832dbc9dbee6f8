"""What no entry by a shared total may say, though hashes are right: one rule broken at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core_world import Core
from msgspec.structs import replace
from shared_world import SharedCase
from test_verify_rules import judged

from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.evolve import evolve
from ledger.core.state import State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules

STORY = """
account acme card=together
account a parent=acme
account b parent=acme
account c parent=acme
grant   a 2000 as=ga
grant   b 2000 as=gb
grant   c 2000 as=gc
usage   a 60 of=volume
usage   b 30 of=volume
usage   c 30 of=volume id=c
sweep
reverse c
sweep
usage   b 1 of=volume
usage   a 100 of=included id=i
usage   b 60 of=included
reverse i
sweep
"""


def told() -> Core:
    case = SharedCase()
    case.run(STORY)
    return case.core


def found(kind: type, place: int, change: Callable[[Any], Any], goes_on: bool = False) -> list[str]:
    """What the rules say to the entry of that kind at that place, were it otherwise; `goes_on`: and
    to all that follows."""
    core = told()
    findings = Findings(ShardReport(0))
    rules = Rules(findings)
    state = State(0, Catalog())
    seen = 0
    for batch_seq, (recorded_at, events) in enumerate(core.batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in events:
            if type(event) is kind:
                if seen == place:
                    event = change(event)
                seen += 1
            rules.before(state, event)
            if seen > place and not goes_on:
                return [each.what.partition(", ")[2] for each in findings.found]
            evolve(state, event)
            rules.after(state, event)
    assert seen > place, f"there are only {seen} of {kind.__name__}"
    return [each.what.partition(", ")[2] for each in findings.found]


def shares(*amounts: tuple[int, int]) -> Callable[[e.RerateShared], e.RerateShared]:
    def change(event: e.RerateShared) -> e.RerateShared:
        return replace(event, shares=(replace(event.shares[0], amounts=amounts),))

    return change


def test_the_story_itself_has_no_findings() -> None:
    assert judged(told()) == []


def test_shares_are_by_the_parts_of_the_total() -> None:
    """a has 60 of it and b 30: of 450 that is 300 and 150, not the other way."""
    assert found(e.RerateShared, 0, shares((2, -300), (3, -150))) == []
    assert found(e.RerateShared, 0, shares((2, -150), (3, -300))) == ["shares of a re-rate"]


def test_shares_are_of_others_of_the_family_in_order() -> None:
    assert "accounts of a re-rate" in found(e.RerateShared, 0, shares((3, -150), (2, -300)))
    assert "share of a re-rate" in found(e.RerateShared, 0, shares((2, -300), (4, -150)))


def test_others_are_given_no_more_than_they_have_drawn() -> None:
    assert found(e.RerateShared, 2, shares((3, -60))) == []
    assert found(e.RerateShared, 2, shares((3, -61))) == ["given back to others"]


def test_what_is_posted_is_what_was_due() -> None:
    def more(event: e.SharedRerated) -> e.SharedRerated:
        return replace(event, rerates=(replace(event.rerates[0], amount=-301),))

    assert "re-rate" in found(e.SharedRerated, 0, more)
    assert "re-rate" in found(e.SharedRerated, 0, lambda event: replace(event, cause=1))


def test_no_usage_comes_before_what_is_due() -> None:
    """Usage of a, as if it had been recorded before the sweep."""
    core = told()
    usage = [each for _, events in core.batches for each in events if type(each) is e.UsageModeled]
    late = replace(usage[0], key=b"late", totals_before=(120,))
    assert late.account == 2
    assert "re-rates due before usage" in found(e.SharedRerated, 0, lambda _: late)


def test_usage_counts_under_an_account_of_its_own_line() -> None:
    def elsewhere(event: e.UsageModeled) -> e.UsageModeled:
        scoped = replace(event.scoped[0], scope=3 << 4 | 6)
        return replace(event, scoped=(scoped,))

    assert "account of a shared total" in found(e.UsageModeled, 0, elsewhere)


def test_totals_before_are_those_of_all_together() -> None:
    def alone(event: e.UsageModeled) -> e.UsageModeled:
        return replace(event, totals_before=(0,))

    assert found(e.UsageModeled, 1, alone) == ["totals before"]


def test_where_a_total_stands_again_all_were_charged_the_same() -> None:
    """A reversal that gives back less than its quantity costs is found as the total stands there
    again: at 90 all had been charged 900."""

    def less(event: e.UsageReversed) -> e.UsageReversed:
        return replace(event, refunds=(149,))

    assert "charged at shared total 90" in found(e.UsageReversed, 0, less, goes_on=True)
