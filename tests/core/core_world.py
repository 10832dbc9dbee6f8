"""A shard's core in memory for tests: prices, a clock to move, a journal to replay.

One credit is one minor unit (scale 0), so that the tests read without zeros. Prices a token:
chat, image 1; half 1/2; free 0; huge 2^61; gpt: input 2, cached (part of input) 1, output 3, and
4 and 6 above a prompt of 1,000; batch 1; agent as gpt, third 1/3; anything else has no price. Holds
for agent and third are charged when they expire; those for batch and agent may live for 35 days.
Sold by result: case, lead and deal 1, sixth 1/6; an outcome of case and sixth confirms itself after
two days, one of lead is cancelled then.
Card `usd` prices chat at 1 in money. Card `resold` is the same as the default one and names a card
of costs, `supplier`, in money: chat 3 (to acme-ai), half 1/3, free 2; gpt: input 1, cached 1/2,
output 2, and above a prompt of 1,000 input 2; for the rest the supplier has no price. Card
`marked_up` prices chat and image at 1.5 times that cost, in money.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from ledger.core import decide
from ledger.core.budgets.counted_before import counted_behind
from ledger.core.catalog import Asset, Catalog, asset_number
from ledger.core.commands import ApplyConfiguration, Command, Original
from ledger.core.decide import execute
from ledger.core.decisions.usual_debits import decide_usual
from ledger.core.due import sweep
from ledger.core.events import Event, PlanDeclared, UsageConverted
from ledger.core.evolve import evolve
from ledger.core.identity import FamilyDigest
from ledger.core.limits import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from ledger.core.metering.levels import metered_before
from ledger.core.outcomes import Known, split_locator
from ledger.core.repeats import first_difference
from ledger.core.shapes import Shape
from ledger.core.state import State
from rating.card import ExpiryPolicy, Meter, Outcome, OutcomeTimeout, PriceRow, Product, RateCard
from rating.compile import CompiledCard
from rating.models import CostPlus, Scope
from rating.versions import CardVersion

WITH_OTHER_LIMITS = pytest.mark.skipif(
    not decide.__file__.endswith(".py"), reason="limits are constants of the compiled build"
)
TENANT = 1
CREDITS = asset_number(TENANT, 1)
USD = asset_number(TENANT, 2)
START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z: a month begins
UNITS_US = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US}
PRODUCTS = (
    Product("chat"),
    Product("image", tags=("media",)),
    Product("half"),
    Product("free"),
    Product("huge"),
    Product("gpt"),
    Product("batch", batch=True),
    Product("agent", hold_expiry=ExpiryPolicy.CHARGE, batch=True),
    Product("third", hold_expiry=ExpiryPolicy.CHARGE),
    Product("case", outcome=Outcome(2 * DAY_US)),
    Product("lead", outcome=Outcome(2 * DAY_US, OutcomeTimeout.CANCEL)),
    Product("deal", outcome=Outcome()),
    Product("sixth", outcome=Outcome(2 * DAY_US)),
)
SUPPLIED = (Product("chat", provider="acme-ai"), *PRODUCTS[1:])
FAMILY = FamilyDigest(b"\x01" * 32)

METERS = (
    Meter("tokens"),
    Meter("input"),
    Meter("cached", subset_of="input"),
    Meter("output"),
)


def _row(product: str, quantity: str, price: str, above_prompt: int = 0) -> PriceRow:
    return PriceRow(product=product, quantity=quantity, price=price, above_prompt=above_prompt)


ROWS = (
    _row("chat", "tokens", "1"),
    _row("image", "tokens", "1"),
    _row("half", "tokens", "1/2"),
    _row("free", "tokens", "0"),
    _row("huge", "tokens", str(2**61)),
    _row("gpt", "input", "2"),
    _row("gpt", "cached", "1"),
    _row("gpt", "output", "3"),
    _row("gpt", "input", "4", 1_000),
    _row("gpt", "output", "6", 1_000),
    _row("batch", "tokens", "1"),
    _row("agent", "tokens", "1"),
    _row("agent", "input", "2"),
    _row("agent", "cached", "1"),
    _row("agent", "output", "3"),
    _row("agent", "input", "4", 1_000),
    _row("agent", "output", "6", 1_000),
    _row("third", "tokens", "1/3"),
    _row("case", "tokens", "1"),
    _row("case", "output", "3"),
    _row("lead", "tokens", "1"),
    _row("deal", "tokens", "1"),
    _row("sixth", "tokens", "1/6"),
)


SUPPLIER = (
    _row("chat", "tokens", "3"),
    _row("half", "tokens", "1/3"),
    _row("free", "tokens", "2"),
    _row("gpt", "input", "1"),
    _row("gpt", "cached", "1/2"),
    _row("gpt", "output", "2"),
    _row("gpt", "input", "2", 1_000),
)
MARKED_UP = tuple(
    [
        PriceRow(product, "tokens", "", model=CostPlus("3/2"), scope=Scope.MONTH)
        for product in ("chat", "image")
    ]
)


def card(name: str, asset: str, rows: tuple[PriceRow, ...], cost_card: str = "") -> RateCard:
    return RateCard(
        name=name,
        asset=asset,
        asset_scale=0,
        prompt_quantity="input",
        meters=METERS,
        products=SUPPLIED if rows is SUPPLIER else PRODUCTS,
        rows=rows,
        cost_card=cost_card,
    )


def make_catalog() -> Catalog:
    catalog = Catalog()
    catalog.add_asset(Asset(CREDITS, TENANT, "credits", 0, "credit"))
    catalog.add_asset(Asset(USD, TENANT, "USD", 0, "money"))
    for number, made in enumerate(
        (
            card("default", "credits", ROWS),
            card("usd", "USD", ROWS[:1]),
            card("resold", "credits", ROWS, "supplier"),
            card("supplier", "USD", SUPPLIER),
            card("marked_up", "USD", MARKED_UP, "supplier"),
        ),
        start=3,
    ):
        compiled = CompiledCard(made, number)
        catalog.add_card(TENANT, made.name, CardVersion(number, 0, 0, compiled))
    return catalog


def publish(
    core: Core, prices: dict[str, str], name: str = "default", since: int = 0
) -> decide.Outcome:
    """What a shard does with a published version of a card: its rows and `PRODUCT.QUANTITY` at
    these prices, meant from `since` (0 = from now)."""
    state = core.state
    version = state.configuration.get(TENANT, 0) + 1
    rows = {(row.product, row.quantity, row.above_prompt): row for row in ROWS}
    for place, price in prices.items():
        product, _, quantity = place.partition(".")
        rows[product, quantity, 0] = _row(product, quantity, price)
    made = card(name, "USD" if name == "usd" else "credits", tuple(rows.values()))
    made = msgspec.structs.replace(
        made, products=(*PRODUCTS, *(Product(each) for each in sorted(_new(prices))))
    )
    outcome = core.run(ApplyConfiguration(TENANT, version, b"card"))
    number = 10 + version
    compiled = CompiledCard(made, number)
    state.catalog.add_card(TENANT, name, CardVersion(number, core.now, since or core.now, compiled))
    return outcome


def _new(prices: dict[str, str]) -> set[str]:
    known = {product.product for product in PRODUCTS}
    return {place.partition(".")[0] for place in prices} - known


def move_clock(core: Core, tenant: int, offset: int) -> decide.Outcome:
    """What a shard does with published configuration that moves a tenant's clock."""
    version = core.state.configuration.get(tenant, 0) + 1
    return core.run(ApplyConfiguration(tenant, version, b"clock", offset))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Event]).decode


class Core:
    """A state, the clock that it is told, and the journal of what it decided."""

    def __init__(self, now: int = START_US) -> None:
        self.catalog = make_catalog()
        self.state = State(0, self.catalog)
        self.now = now
        self.batches: list[tuple[int, list[Event]]] = []
        self.plainly = False  # record nothing as usual usage
        self.rows = ROWS
        self.versions = 4
        self._shapes: dict[tuple[object, ...], Shape] = {}
        self.begin_batch()

    def begin_batch(self) -> None:
        """Start the next batch, at the clock's time or just after the last one."""
        self.now = max(self.now, self.state.recorded_at + 1)
        self.state.begin_batch(self.state.batch_seq + 1, self.now)
        self.batches.append((self.now, []))

    def advance(self, by_us: int) -> None:
        self.now += by_us
        self.begin_batch()

    def run(self, command: Command) -> decide.Outcome:
        """What a writer does with one command."""
        batch = self.batches[-1][1]
        recorded: list[int] = []
        if not self.plainly and decide_usual(self.state, [command], 0, batch, recorded):
            return batch[recorded[0]]
        return execute(self.state, command, batch)

    def run_usual(self, commands: Sequence[Command]) -> int:
        """How many of these are usual; they are recorded."""
        return decide_usual(self.state, commands, 0, self.batches[-1][1], [])

    def sweep(self, entries_max: int = 256) -> list[Event]:
        batch = self.batches[-1][1]
        before = len(batch)
        sweep(self.state, entries_max, batch)
        return batch[before:]

    def reprice(self, product: str, quantity: str, price: str) -> None:
        """A version of the card `default` in force from now on, with another price in its rows;
        "-" = without them."""
        rows = tuple(
            [
                msgspec.structs.replace(row, price=price)
                if (row.product, row.quantity) == (product, quantity)
                else row
                for row in self.rows
                if price != "-" or (row.product, row.quantity) != (product, quantity)
            ]
        )
        self.rows, self.versions = rows, self.versions + 1
        compiled = CompiledCard(card("default", "credits", rows), self.versions)
        version = CardVersion(self.versions, self.now, self.now, compiled)
        self.catalog.add_card(TENANT, "default", version)

    def shape(
        self, product: str, *names: str, attributes: tuple[tuple[str, str], ...] = ()
    ) -> Shape:
        place = (product, names, attributes)
        if place not in self._shapes:
            self._shapes[place] = Shape(product, attributes, names)
        return self._shapes[place]

    def recorded(self, known: Known) -> tuple[Event, PlanDeclared | None]:
        """The entry that a known key was recorded as, and the plan that it names."""
        batch_seq, index = split_locator(known.locator)
        events = self.batches[batch_seq - 1][1]
        event = events[index]
        plan = events[event.plan] if hasattr(event, "plan") else None
        assert plan is None or isinstance(plan, PlanDeclared)
        return event, plan

    def original(self, locator: int) -> Original:
        """An entry as a command hands it in: read from the bytes that a journal holds."""
        batch_seq, index = split_locator(locator)
        before = sum(len(events) for _, events in self.batches[: batch_seq - 1])
        events = _decode(_encode(self.batches[batch_seq - 1][1]))
        event = events[index]
        plan = events[event.plan] if hasattr(event, "plan") else None
        behind = events[index + 1] if index + 1 < len(events) else None
        conversion = behind if isinstance(behind, UsageConverted) else None
        cost = getattr(event, "cost", None)
        cost_plan = events[cost.plan] if cost is not None else None
        metered = metered_before(events, index)
        counted = counted_behind(events, index)
        return Original(
            locator, before + index, event, plan, conversion, cost_plan, metered, counted
        )

    def difference(self, command: Command, known: Known) -> str:
        """Field in which a command differs from what was recorded; "" = the same again."""
        batch_seq, index = split_locator(known.locator)
        metered = metered_before(self.batches[batch_seq - 1][1], index)
        return first_difference(command, *self.recorded(known), metered)

    def journal(self) -> list[tuple[int, bytes]]:
        """What a journal would hold: the time and the bytes of each batch."""
        return [(recorded_at, _encode(events)) for recorded_at, events in self.batches]


class SandboxCore(Core):
    """The same for a sandbox tenant (rule T4): time passes only as its clock is moved. Each batch
    is a microsecond after the one before; `now` is what the tenant's clock shows."""

    def begin_batch(self) -> None:
        """Start the next batch at once."""
        before = self.state.recorded_at
        wall = before + 1 if before else self.now
        self.state.begin_batch(self.state.batch_seq + 1, wall)
        self.batches.append((wall, []))
        self.now = wall + self.state.offsets.get(TENANT, 0)

    def advance(self, by_us: int) -> None:
        """Move the tenant's clock by so much."""
        to = self.now + by_us
        self.begin_batch()
        move_clock(self, TENANT, to - self.state.recorded_at)
        self.now = to


def replay(journal: list[tuple[int, bytes]], catalog: Catalog | None = None) -> State:
    """Fold the journal's bytes into a state; the catalog stays empty unless it is given."""
    state = State(0, catalog if catalog is not None else Catalog())
    for batch_seq, (recorded_at, payload) in enumerate(journal, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in _decode(payload):
            evolve(state, event)
    return state


def duration_us(text: str) -> int:
    """+90s, 15m, -2h, 30d as microseconds."""
    return int(text[:-1]) * UNITS_US[text[-1]]
