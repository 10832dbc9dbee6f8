"""A decision explained: prices, pots, budgets, margin, rules; as data and in words."""

from __future__ import annotations

from collections.abc import Mapping

from ledger.api.advising import Looked, say
from ledger.api.assets import Naming
from ledger.api.ids import GRANT, HOLD, mint
from ledger.core.decisions.reckoning import (
    NOT_APPLICABLE,
    WITHOUT_LIMIT,
    BudgetStep,
    PotStep,
    Reckoning,
    reckon,
)
from ledger.core.decisions.ruling import Margin, margin_of
from ledger.core.events import Pot
from ledger.core.state import Hold
from ledger.v1 import decision_pb2 as pb
from ledger.v1 import types_pb2
from rating.wording import decimal


async def explain_decision(edge: Naming, who: str, looked: Looked) -> pb.ExplainDecisionResponse:
    """What was found, step by step, for the account that is called `who`: to be called at once,
    while the state is that of `looked`."""
    afforded, shape, state = looked.found.as_asked, looked.shape, looked.state
    found, quantities, now = afforded.found, afforded.quantities, looked.found.now
    account = state.accounts[looked.number]
    hold = looked.found.hold
    reckoning = reckon(
        state, account, found, shape, quantities, now, looked.found.operation, hold,
        reserves=not shape.product,
    )  # fmt: skip
    paying = None if hold is None else _hold(edge, hold, reckoning, found.asset, looked)
    margin = margin_of(state, account, found, shape, quantities, now) if shape.product else None
    names = await edge.names(
        [
            *[step.owner for step in reckoning.pots],
            *[step.budget.account.number for step in reckoning.budgets],
        ]
    )
    reasons = found.reasons or ("",) * len(quantities)
    lines = zip(shape.quantity_names, quantities, found.charges, reasons, strict=True)
    response = pb.ExplainDecisionResponse(
        decision=await say(edge, looked),
        lines=[
            pb.PricedQuantity(quantity_name=name, quantity=units, charge=charge, unrated_reason=why)
            for name, units, charge, why in lines
        ],
        charge=found.charge,
        pots=[_pot(step, looked.state.shard, names) for step in reckoning.pots],
        budgets=[_budget(step, names) for step in reckoning.budgets],
        margin=_margin(edge, margin),
        hold=paying,
    )
    response.words.extend(_in_words(edge, who, looked, response))
    return response


def _pot(step: PotStep, shard: int, names: Mapping[int, str]) -> pb.PotStep:
    return pb.PotStep(
        pot=types_pb2.Pot.ValueType(step.pot),
        grant_id=mint(GRANT, shard, step.owner, step.grant) if step.pot == Pot.GRANT else "",
        account=names[step.owner],
        units=step.units,
        room=step.room,
        gives=step.gives,
        withheld=step.withheld,
    )


def _hold(
    edge: Naming, hold: Hold, reckoning: Reckoning, asset: int, looked: Looked
) -> pb.HoldStep:
    its = edge.assets.of(hold.asset)
    return pb.HoldStep(
        hold_id=mint(HOLD, looked.state.shard, looked.number, hold.number),
        asset=its.code,
        scale=its.scale,
        left=hold.left,
        gives=reckoning.taken,
        withheld="" if hold.asset == asset else NOT_APPLICABLE,
    )


def _budget(step: BudgetStep, names: Mapping[int, str]) -> pb.BudgetStep:
    budget = step.budget
    return pb.BudgetStep(
        account=names[budget.account.number],
        name=budget.name,
        value=step.value,
        shared=step.shared,
        limit=step.limit,
        used=step.posted,
        held=step.pending,
        counts=step.counts,
        pends=step.pends,
        left=step.left,
        allows=step.allows,
        hard=budget.terms.hard,
        of_operation=budget.operation is not None,
        policy_version=budget.operation.policy if budget.operation is not None else 0,
    )


def _margin(edge: Naming, margin: Margin | None) -> pb.MarginStep | None:
    if margin is None:
        return None
    asset = edge.assets.of(margin.asset)
    return pb.MarginStep(
        asset=asset.code, scale=asset.scale, price=str(margin.price), cost=str(margin.cost)
    )


def _in_words(
    edge: Naming, who: str, looked: Looked, said: pb.ExplainDecisionResponse
) -> list[str]:
    """A sentence or a step each."""
    decision = said.decision
    asset = edge.assets.of(looked.found.as_asked.found.asset)

    def amount(units: int) -> str:
        return f"{decimal((units, 10**asset.scale))} {asset.code}"

    card = decision.rate_card or "no rate card"
    work = looked.shape.product or "an operation with all its calls"
    words = [f"{who} asks for {work}: {amount(said.charge)} by {card}"]
    for line in said.lines:
        price = f"has no price ({line.unrated_reason})" if line.unrated_reason else ""
        words.append(f"  {line.quantity} {line.quantity_name}: {price or amount(line.charge)}")
    if said.HasField("hold"):
        hold = said.hold
        gives = f"may give nothing ({hold.withheld})" if hold.withheld else ""
        has = f"{decimal((hold.left, 10**hold.scale))} {hold.asset}"
        words.append(f"  hold {hold.hold_id} has {has}, {gives or 'gives ' + amount(hold.gives)}")
    for pot in said.pots:
        name = f"grant {pot.grant_id}" if pot.grant_id else _name(pot.pot)
        has = "without a limit" if pot.units == WITHOUT_LIMIT else f"has {amount(pot.units)}"
        gives = f"may give nothing ({pot.withheld})" if pot.withheld else ""
        words.append(f"  {name} of {pot.account} {has}, {gives or 'gives ' + amount(pot.gives)}")
    for budget in said.budgets:
        verdict = "allows it" if budget.allows else "refuses"
        pends = f", {budget.pends} of it held already" if budget.pends else ""
        name = f"of operation {budget.name}" if budget.of_operation else budget.name
        words.append(
            f"  budget {name} of {budget.account}: {budget.left} of {budget.limit} left, "
            f"{budget.counts} asked for{pends}, {verdict}"
        )
    if said.HasField("margin"):
        margin = said.margin
        words.append(
            f"  the provider takes {decimal((int(margin.cost), 10**margin.scale))} of "
            f"{decimal((int(margin.price), 10**margin.scale))} {margin.asset}"
        )
    words += [
        f"  rule {each.rule}: {each.result or 'decides'}"
        if each.rule
        else f"  alternative {each.alternative}: {each.result or 'decides'}"
        for each in decision.ruling.tried
    ]
    name = pb.Decision.Name(decision.decision).removeprefix("DECISION_")
    words.append(f"{name} ({decision.reason})" if decision.reason else name)
    return words


def _name(pot: types_pb2.Pot.ValueType) -> str:
    return types_pb2.Pot.Name(pot).removeprefix("POT_").lower()
