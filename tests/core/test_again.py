"""What is explained of a recorded decision is what was recorded: decided again from the state right
before it, folded from the journal as one family's, each comes out as it did (rules D1, D4, H1, H4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from inspect import signature
from random import Random
from types import ModuleType
from typing import Any, TypeVar

import msgspec
import pytest
import test_decision_policies
import test_operation_counting
import test_operation_holds
import test_operation_parts
import test_policy_rules
import test_sized_holds
from core_world import TENANT, Core
from ledger_case import LedgerCase
from msgspec.structs import replace
from policy_case import PolicyCase
from test_machine import STEPS, WORLDS, CoreMachine
from walking import walk

from ledger.api.assets import Assets
from ledger.api.deciding_again import explain_again
from ledger.api.rendering.render_decision import (
    limit_said,
    render_authorize,
    render_debit,
    say_limit,
    say_ruling,
)
from ledger.backtest.again import Said, command_of, differences, is_decision, said_of
from ledger.core import events as e
from ledger.core.catalog import Asset, Catalog
from ledger.core.limits import INT64_MAX
from ledger.core.packing import pack_family
from ledger.core.state import State
from ledger.engine.past import Past, PastFamily
from ledger.v1 import decision_pb2 as pb

T = TypeVar("T")
ENTRIES_A_STORY_MAX = 200  # each decision folds all before it
_decode = msgspec.msgpack.Decoder(list[e.Event]).decode


class NumberedAssets(Assets):
    """Those of a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def of(self, number: int) -> Asset:
        return self._catalog.assets[number] if number else Asset(0, 0, "", 0, "")


class Numbered:
    """Accounts are called by their numbers."""

    def __init__(self, catalog: Catalog) -> None:
        self.assets: Assets = NumberedAssets(catalog)

    async def names(self, numbers: Iterable[int]) -> dict[int, str]:
        return {0: "", **{number: f"account {number}" for number in numbers}}


def at_once(called: Coroutine[Any, Any, T]) -> T:
    """What a coroutine that waits for nothing returns."""
    with pytest.raises(StopIteration) as ended:
        called.send(None)
    result: T = ended.value.value
    return result


def before(
    journal: Sequence[tuple[int, bytes]], catalog: Catalog, root: int, batch: int, index: int
) -> Past:
    """The family as it stood before that entry."""
    state = State(0, catalog)
    past = PastFamily(state, TENANT, root)
    for number, (recorded_at, payload) in enumerate(journal[:batch], 1):
        events = _decode(payload)
        past.take(number, recorded_at, events, index if number == batch else None)
    return Past(state, events, 0)


def decided_again(core: Core) -> Counter[str]:
    """Explain every decision of a core's journal; how many there were of each kind."""
    journal, naming = core.journal(), Numbered(core.catalog)
    seen: Counter[str] = Counter()
    for batch, (_, payload) in enumerate(journal, 1):
        for index, event in enumerate(_decode(payload)):
            if not is_decision(event):
                continue
            root = core.state.accounts[event.account].root
            past = before(journal, core.catalog, root, batch, index)
            assert past.state.families.keys() <= {root}
            said = at_once(explain_again(naming, past))
            assert not said.differs, (event, said)
            made = said_of(event, (past.events[index + 1 :] or [None])[0])
            agrees(said, recorded(naming, made, past), made)
            seen[type(event).__name__] += 1
    return seen


def recorded(naming: Any, event: Said, past: Past) -> pb.AuthorizeResponse | pb.DebitResponse:
    """What a retry is told."""
    plan = past.events[event.plan]
    assert isinstance(plan, e.PlanDeclared)
    said: pb.AuthorizeResponse | pb.DebitResponse
    if isinstance(event, e.UsageDebited) or (isinstance(event, e.WorkDenied) and event.debit):
        said = render_debit(naming.assets, event, plan)
    else:
        said = render_authorize(naming.assets, event, plan, 0)
    limit = limit_said(event)
    if limit is not None:
        names = {limit.account: f"account {limit.account}"}
        say_limit(said, limit, 0, names, past.state.now)
    at_once(say_ruling(naming, said, event, plan, 0))
    return said


def agrees(
    said: pb.ExplainRecordedResponse, told: pb.AuthorizeResponse | pb.DebitResponse, event: Said
) -> None:
    """Outcome, price, limit and ruling are the recorded ones; the words end with the outcome."""
    found = said.explanation.decision
    told.ruling.ClearField("top_up_id")  # asked for by the entry itself
    if not told.HasField("ruling") or told.ruling == pb.Ruling():
        told.ClearField("ruling")
    assert (found.decision, found.reason) == (told.decision, told.reason), event
    assert (found.ruling, found.limit) == (told.ruling, told.limit), event
    assert (found.asset, found.rate_card, found.rate_card_version) == (
        told.asset, told.rate_card, told.rate_card_version,
    ), event  # fmt: skip
    assert (found.policy_version, found.retry_after_us) == (
        told.policy_version, told.retry_after_us,
    ), event  # fmt: skip
    if told.reason:  # a sum of grants may not fit an entry (rule N1)
        assert min(int(found.available), INT64_MAX) == int(told.available)
    assert found.charge == (told.charge if isinstance(told, pb.DebitResponse) else told.amount)
    name = pb.Decision.Name(found.decision).removeprefix("DECISION_")
    assert said.explanation.words[-1].startswith(name)


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> list[Core]:
    """Every core that a test makes."""
    made: list[Core] = []
    init = Core.__init__

    def kept(core: Core, *arguments: Any, **more: Any) -> None:
        init(core, *arguments, **more)
        made.append(core)

    monkeypatch.setattr(Core, "__init__", kept)
    return made


def test_decisions_of_walks_come_out_as_they_did() -> None:
    """Packages, contracts, seats, caps, budgets and shared grants at once, by both clocks."""
    seen: Counter[str] = Counter()
    for seed in range(3, 10):
        seen += decided_again(walk(seed).case.core)
    assert seen.keys() >= {"HoldAuthorized", "WorkDenied", "UsageDebited"}


@pytest.mark.parametrize("seed", range(len(WORLDS)))
def test_decisions_of_a_life_come_out_as_they_did(seed: int) -> None:
    """Every kind of grant, debt, freeze, quote and hold."""
    machine, drawn = CoreMachine(), Random(seed)
    machine.begin(WORLDS[seed % len(WORLDS)])
    names = sorted(STEPS)
    for _ in range(120):
        name = drawn.choice(names)
        arguments = {each: drawn.choice(domain) for each, domain in STEPS[name].items()}
        getattr(machine, name)(**arguments)
    assert decided_again(machine.case.core)


def test_a_hold_that_was_made_with_its_quote_comes_out_as_it_did() -> None:
    """Without the rules of a decision policy, which a quote does not ask; a promise without a hold
    decides nothing."""
    case = PolicyCase()
    case.run(
        """
        rate    credits usd 5/1
        account acme card=resold
        grant   acme 100
        ask     acme 10 as=a           -> held 10 from acme
        rules   acme deny,margin=450
        ask     acme 10 as=b           -> rule 1 deny: denied MARGIN_BELOW_FLOOR
        quote   acme 40 as=q hold=h
        quote   acme 5  as=p
        """
    )
    assert decided_again(case.core) == {"HoldAuthorized": 1, "PolicyDenied": 1, "QuoteMade": 1}


OF_OPERATIONS = (test_operation_holds, test_operation_parts, test_operation_counting)
OF_POLICIES = (test_policy_rules, test_decision_policies, test_sized_holds)
KINDS = {
    OF_OPERATIONS: {"OperationReserved", "OperationPartHeld", "HoldDebited", "HoldDebitDenied"},
    OF_POLICIES: {"PolicyHeld", "PolicyDenied", "PolicyDebited", "HoldSized", "SizedDenied"},
}
"""What the stories of each have to come across."""


@pytest.mark.parametrize("modules", KINDS, ids=["operations", "policies"])
def test_decisions_of_stories_come_out_as_they_did(
    modules: tuple[ModuleType, ...], cores: list[Core]
) -> None:
    """Holds of operations with their calls; rules, alternatives, estimates that were learned."""
    for module in modules:
        for name, story in vars(module).items():
            own = getattr(story, "__module__", "") == module.__name__
            drawn = hasattr(story, "hypothesis")  # of those there are enough in walks and lives
            if name.startswith("test_") and own and not drawn and not signature(story).parameters:
                story()
    seen: Counter[str] = Counter()
    for core in cores:
        if sum(len(events) for _, events in core.batches) < ENTRIES_A_STORY_MAX:
            seen += decided_again(core)
    assert not KINDS[modules] - seen.keys()


def test_another_family_of_the_shard_is_passed_over() -> None:
    """Books, grants and holds of both are numbered in turn; each is told by itself."""
    case = LedgerCase()
    case.run(
        """
        account acme
        account beta
        account dev   parent=acme
        grant   beta  100
        grant   acme  50   shared
        hold    beta  70   as=b
        grant   dev   5
        hold    dev   20   as=d
        usage   beta  20
        hold    dev   36   as=e   -> denied INSUFFICIENT_CREDITS
        grant   beta  7    as=second
        hold    acme  36   as=f   -> denied INSUFFICIENT_CREDITS
        hold    beta  900  as=g   -> denied INSUFFICIENT_CREDITS
        """
    )
    core = case.core
    assert decided_again(core).total() == 5
    acme, beta = [case.accounts[name] for name in ("acme", "beta")]
    batches = len(core.batches)
    found = before(core.journal(), core.catalog, acme, batches, len(core.batches[-1][1]))
    state = found.state
    assert {account.root for account in state.accounts.values()} == {acme}
    whole = core.state
    assert pack_family(state, acme, 0) == pack_family(whole, acme, 0)
    assert {grant.account.root for grant in state.grants.values()} == {acme}
    of_beta = [grant.book.number for grant in whole.grants.values() if grant.account.number == beta]
    assert of_beta and not any(state.books.numbered[number] for number in of_beta)


@pytest.mark.parametrize("field", ["slices", "available", "charge", "limit"])
def test_what_would_be_decided_otherwise_is_named(field: str) -> None:
    """As where a version with other rules recorded it."""
    case = LedgerCase()
    core = case.core
    case.run(
        """
        account acme
        grant   acme 10
        hold    acme 4   as=a
        hold    acme 7   as=b   -> denied INSUFFICIENT_CREDITS
        """
    )
    journal = [(at, _decode(payload)) for at, payload in core.journal()]
    for batch, (_, events) in enumerate(journal, 1):
        for index, event in enumerate(events):
            if is_decision(event) and hasattr(event, field):
                past = before(core.journal(), core.catalog, event.account, batch, index)
                changed = replace(event, **{field: None})
                past.events[index] = changed
                command = command_of(past.state, changed, past.events)
                assert differences(past.state, command, changed, past.events) == [field]
                return
    raise AssertionError(field)


def test_what_the_hold_of_a_quote_has_otherwise_is_named() -> None:
    case = LedgerCase()
    case.run("account acme\ngrant acme 10\nquote acme 4 as=q hold=h")
    core = case.core
    for batch, (_, payload) in enumerate(core.journal(), 1):
        for index, event in enumerate(_decode(payload)):
            if isinstance(event, e.QuoteMade):
                past = before(core.journal(), core.catalog, event.account, batch, index)
                past.events[index + 1] = replace(past.events[index + 1], slices=())  # type: ignore
                command = command_of(past.state, event, past.events)
                assert differences(past.state, command, event, past.events) == ["slices"]
                return
    raise AssertionError("no quote")
