"""The customer of the demo: prices, assets, a family of accounts and what it was granted.

Owns the plan: who gets which grant. Amounts follow from what each team's trace costs at list price,
so that the story is the same whether all of the trace is played or a little of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from ledger.api.rendering.render_card import render_card
from ledger.client import DrawdownClient, Refused
from ledger.core.limits import DAY_US, HOUR_US
from ledger.demo.traces import TraceRequest
from ledger.demo.workload import AGENTS, CHAT, CODE, Trace
from ledger.v1 import account_pb2, types_pb2
from rating.card import RateCard, canonical_bytes, content_hash
from rating.compile import CompiledCard
from rating.data import price_map
from rating.llm_costs import as_costs
from rating.llm_prices import import_price_map
from rating.price import rate
from rating.v1 import pricing_pb2

CARD: Final = "llm-list-prices"
COSTS: Final = "llm-costs"
DISCOUNT: Final = "0.6"  # of the list price is what the demo pays the providers
CREDIT: Final = "credit"
MONEY: Final = "USD"
SCALE: Final = 9
MAJOR: Final = 10**SCALE
FAMILIES_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Prices:
    """The published card."""

    card: RateCard
    version: int
    models: int
    rows: int

    def cost(self, trace: Trace, requests: Sequence[TraceRequest]) -> int:
        """What these requests cost, in minor units of CREDIT: computed here, not by the ledger."""
        compiled = CompiledCard(self.card, self.version)
        total = 0
        for request in requests:
            quantities = trace.quantities(request)
            plan = compiled.match(trace.model(request), {}, tuple(quantities))
            total += rate(plan, tuple(quantities.values()), {})[1]
        return total


@dataclass(frozen=True, slots=True)
class PlannedGrant:
    """A grant to issue. Amounts in minor units; `paid` for all of it, in MONEY."""

    account: str
    key: str
    amount: int
    kind: types_pb2.GrantKind.ValueType
    priority: int
    paid: int = 0
    days: int = 0
    products: tuple[str, ...] = ()


async def publish_prices(client: DrawdownClient) -> Prices:
    """Import the public price map as a rate card that charges credits, 1 credit = 1 US dollar, and
    as the card of what the providers take, in dollars."""
    imported, report = import_price_map(price_map(), CARD, CREDIT, SCALE)
    card = replace(imported, cost_card=COSTS)
    for asset, kind in (
        (CREDIT, pricing_pb2.ASSET_KIND_CREDIT),
        (MONEY, pricing_pb2.ASSET_KIND_MONEY),
    ):
        try:
            await client.create_asset(asset, SCALE, kind, request_id=f"demo-asset-{asset}")
        except Refused as refused:
            if refused.reason != "ASSET_EXISTS":
                raise
    await _publish(client, as_costs(replace(imported, name=COSTS, asset=MONEY), DISCOUNT))
    version = await _publish(client, card)
    return Prices(card, version, report.products, report.rows)


async def _publish(client: DrawdownClient, card: RateCard) -> int:
    """The version of a card: the newest, if that is this very card, else a new one."""
    versions = [version async for version in client.list_rate_cards(card.name)]
    newest = versions[0] if versions else None
    if newest is None or newest.content_hash != content_hash(canonical_bytes(card)):
        expected = newest.version if newest is not None else 0
        newest = (
            await client.publish_rate_card(render_card(card), expected_version=expected)
        ).version
    return newest.version


async def open_family(client: DrawdownClient, agents_cost: int) -> str:
    """Open the customer, its teams and an API key; returns the id of the root, a free one."""
    policy = account_pb2.AccountPolicy(rate_card=CARD)
    overdraft = account_pb2.AccountPolicy(
        rate_card=CARD,
        overdraft_asset=CREDIT,
        overdraft_limit=rounded(agents_cost // 10),
    )
    root = await _open_root(client, policy)
    for team in (CODE.team, CHAT.team, AGENTS.team):
        await client.create_account(
            f"{root}/{team}",
            parent=root,
            policy=overdraft if team == AGENTS.team else policy,
            display_name=f"{root.title()} {team}",
        )
    await client.assign_alias(gateway_key(root), f"{root}/{AGENTS.team}")
    return root


async def _open_root(client: DrawdownClient, policy: account_pb2.AccountPolicy) -> str:
    for number in range(1, FAMILIES_MAX):
        root = "acme" if number == 1 else f"acme-{number}"
        try:
            await client.create_account(root, policy=policy, display_name="Acme Robotics")
        except Refused as refused:
            if refused.reason != "ACCOUNT_EXISTS":
                raise
        else:
            return root
    raise AssertionError("a thousand demos ran on these books")


async def open_rich(client: DrawdownClient, account: str) -> None:
    """An account that never runs out."""
    policy = account_pb2.AccountPolicy(rate_card=CARD)
    await client.create_account(account, policy=policy)
    await client.issue_grant(account, CREDIT, 10**6 * MAJOR, kind=types_pb2.GRANT_KIND_PROMOTIONAL)


def gateway_key(root: str) -> str:
    """The alias by which the gateway names the agents' account: an API key."""
    return f"key-{root}-agents"


def plan_grants(root: str, costs: dict[str, int]) -> list[PlannedGrant]:
    """What the teams get. `costs`: what each team's trace costs, in minor units of CREDIT."""
    code, chat, agents = (costs[trace.team] for trace in (CODE, CHAT, AGENTS))
    annual = rounded(code * 3 // 2)
    bought = rounded(chat * 6 // 5)
    starter = rounded(agents * 11 // 20)
    free, prepaid = types_pb2.GRANT_KIND_PROMOTIONAL, types_pb2.GRANT_KIND_PREPAID
    return [
        PlannedGrant(
            f"{root}/{CODE.team}",
            "welcome",
            rounded(code // 20),
            free,
            priority=0,
            days=14,
            products=(CODE.models[0],),
        ),
        PlannedGrant(
            f"{root}/{CODE.team}",
            "annual",
            annual,
            prepaid,
            priority=10,
            paid=annual * 4 // 5,
            days=365,
        ),
        PlannedGrant(
            f"{root}/{CHAT.team}", "trial", rounded(chat // 10), free, priority=10, days=1
        ),
        PlannedGrant(
            f"{root}/{CHAT.team}",
            "annual",
            bought,
            prepaid,
            priority=10,
            paid=bought * 9 // 10,
            days=365,
        ),
        PlannedGrant(
            f"{root}/{AGENTS.team}", "starter", starter, prepaid, priority=10, paid=starter
        ),
    ]


async def issue(client: DrawdownClient, grant: PlannedGrant, now_us: int) -> int:
    """Issue a grant that also pays for the last hours; returns the advance that it repaid."""
    reply = await client.issue_grant(
        grant.account,
        CREDIT,
        grant.amount,
        kind=grant.kind,
        price_paid=grant.paid,
        price_asset=MONEY if grant.paid else "",
        priority=grant.priority,
        effective_at_us=now_us - 3 * HOUR_US,
        expires_at_us=now_us + grant.days * DAY_US if grant.days else 0,
        products=grant.products,
        external_key=f"{grant.account}/{grant.key}",
    )
    return reply.repaid_advance


def rounded(amount: int) -> int:
    """Up to a whole credit, or to a hundredth of one where there are fewer than ten."""
    step = MAJOR if amount >= 10 * MAJOR else MAJOR // 100
    return max(-(-amount // step), 1) * step
