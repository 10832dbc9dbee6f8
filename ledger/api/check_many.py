"""CheckMany of DecisionService: many accounts and pieces of work in one call, answered in columns.

Accounts are resolved together and looked at one after the other, with turns for the writers
between; those of other processes' shards are asked of them, and their columns put in place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault, failure_of, invalid
from ledger.api.forward import Forwarder, PassedOn
from ledger.api.ids import HOLD, MintedId, unmint
from ledger.api.intake.batches import LOOK_UP, UNKNOWN, Seat, Seats
from ledger.api.intake.shapes import quantities_fault
from ledger.api.limits import Checked, id_fault
from ledger.api.positions import position_of
from ledger.api.rendering.render_decision import (
    DECISIONS,
    render_limit,
    render_sizes,
    retry_after,
)
from ledger.api.requests import check_operation, check_unlearned, with_seat
from ledger.api.sizing_many import Seated, sized_many
from ledger.core.catalog import Bound
from ledger.core.decisions.authorizing import range_of
from ledger.core.decisions.checking import Answered, Asked, Checker, Work
from ledger.core.events import Limit, UpTo
from ledger.core.outcomes import Refusal
from ledger.engine.writer import Writer
from ledger.v1 import decision_pb2 as pb

ACCOUNTS_MAX: Final = 100
WORK_MAX: Final = 100  # with as many accounts 10,000 answers of about 10 B
TURN_US: Final = 700  # of answers, about, between two turns of the loop

METHOD: Final = f"{pb.DESCRIPTOR.services_by_name['DecisionService'].full_name}/CheckMany"
_DECISION: Final = (
    pb.DECISION_DENY,
    pb.DECISION_ALLOW,
    pb.DECISION_ALLOW_OVERDRAFT,
    pb.DECISION_ALLOW_UP_TO,
    pb.DECISION_DOWNGRADE,
    pb.DECISION_DEFER,
    pb.DECISION_TOP_UP,
)


class Columns:
    """The answer as it comes together, account by account."""

    def __init__(self, edge: Edge, accounts: int, work: int) -> None:
        self._assets = edge.assets
        self._work = work
        self.accounts = [pb.CheckedAccount() for _ in range(accounts)]
        self._decisions: list[list[pb.Decision.ValueType]] = [[]] * accounts
        self._charges: list[list[int]] = [[]] * accounts
        self._available: list[list[int]] = [[]] * accounts
        self._reasons: list[list[int]] = [[]] * accounts
        self._prices: list[list[int]] = [[]] * accounts
        self._limits: list[list[int]] = [[]] * accounts
        self._amounts: list[list[int]] = [[]] * accounts
        self._sizes: list[list[int]] = [[]] * accounts
        self._taken: list[list[int]] = [[]] * accounts
        self._size_places: dict[bytes, int] = {b"": 0}
        self._size_names: list[pb.CheckedSizes] = [pb.CheckedSizes()]
        self.limit_names: list[pb.CheckedLimit] = [pb.CheckedLimit()]
        self.limit_accounts: list[int] = [0]
        self._limit_places: dict[tuple[int, Limit | None], int] = {}
        self._reason_places: dict[str, int] = {"": 0}
        self._price_places: dict[tuple[str, int, str, int], int] = {("", 0, "", 0): 0}
        self._bound_places: dict[Bound | None, int] = {None: 0}

    def take(self, place: int, found: Answered, shard: int, position: str, now: int) -> None:
        """The answers for one account."""
        account = self.accounts[place]
        account.policy_version, account.position = found.version, position
        self._decisions[place] = [_DECISION[allowed] for allowed in found.allowed]
        self._charges[place], self._available[place] = found.charges, found.available
        self._reasons[place] = [self._reason(reason) for reason in found.denied]
        known = self._bound_places
        for bound in found.bounds:
            if bound not in known:
                known[bound] = self._price_of(bound)
        self._prices[place] = [known[bound] for bound in found.bounds]
        self._amounts[place], self._taken[place] = found.amounts, found.taken
        self._limits[place] = [
            0 if limit is None else self._limit(shard, limit, now) for limit in found.limits
        ]
        self._sizes[place] = [0 if work is None else self._size_of(work) for work in found.sized]

    def deny(self, place: int, reason: str) -> None:
        """Nothing is known of an account."""
        self.accounts[place].reason = reason
        none = [0] * self._work
        self._decisions[place] = [pb.DECISION_DENY] * self._work
        self._charges[place] = self._available[place] = self._prices[place] = none
        self._limits[place] = self._amounts[place] = self._sizes[place] = none
        self._taken[place] = none
        self._reasons[place] = [self._reason(reason)] * self._work

    def merge(self, places: Sequence[int], part: pb.CheckManyResponse) -> None:
        """What another process answered for the accounts at these places."""
        reasons = [self._reason(name) for name in part.reason_names]
        prices = [
            self._price((each.asset, each.scale, each.rate_card, each.rate_card_version))
            for each in part.price_names
        ]
        decisions, charges = list(part.decisions), list(part.charges)
        available, work = list(part.available), self._work
        amounts = list(part.allowed_quantities) or [0] * len(part.decisions)
        sizes = list(part.sizes) or [0] * len(part.decisions)
        taken = list(part.from_hold) or [0] * len(part.decisions)
        named = [self._size(each) for each in part.size_names] or [0]
        first = len(self.limit_names) - 1
        self.limit_names += part.limit_names[1:]
        self.limit_accounts += [0] * (len(part.limit_names) - 1)  # they are named already
        for at, place in enumerate(places):
            self.accounts[place] = part.accounts[at]
            row = slice(at * work, (at + 1) * work)
            self._decisions[place], self._charges[place] = decisions[row], charges[row]
            self._available[place] = available[row]
            self._reasons[place] = [reasons[each] for each in part.reasons[row]]
            self._prices[place] = [prices[each] for each in part.prices[row]]
            self._limits[place] = [first + each if each else 0 for each in part.limits[row]]
            self._amounts[place], self._taken[place] = amounts[row], taken[row]
            self._sizes[place] = [named[each] for each in sizes[row]]

    def response(self, of_hold: bool) -> pb.CheckManyResponse:
        """All of it; `of_hold`: a hold is to pay first."""
        reply = pb.CheckManyResponse(
            accounts=self.accounts,
            reason_names=list(self._reason_places),
            price_names=[
                pb.CheckedPrice(asset=asset, scale=scale, rate_card=card, rate_card_version=version)
                for asset, scale, card, version in self._price_places
            ],
        )
        for rows, column in (
            (self._charges, reply.charges),
            (self._available, reply.available),
            (self._reasons, reply.reasons),
            (self._prices, reply.prices),
            (self._limits, reply.limits),
        ):
            for row in rows:
                column.extend(row)
        reply.limit_names.extend(self.limit_names)
        if any(any(row) for row in self._amounts):
            for row in self._amounts:
                reply.allowed_quantities.extend(row)
        if of_hold:
            for row in self._taken:
                reply.from_hold.extend(row)
        if len(self._size_names) > 1:
            for row in self._sizes:
                reply.sizes.extend(row)
            reply.size_names.extend(self._size_names)
        for decisions in self._decisions:
            reply.decisions.extend(decisions)
        return reply

    def counts(self) -> Mapping[str, int]:
        """How many of each decision."""
        found: dict[str, int] = {}
        for row in self._decisions:
            for decision in set(row):
                name = DECISIONS[decision]
                found[name] = found.get(name, 0) + row.count(decision)
        return found

    def _limit(self, shard: int, limit: Limit, now: int) -> int:
        """The place of a limit, whose account is named later."""
        known = self._limit_places.get((shard, limit))
        if known is None:
            known = self._limit_places[shard, limit] = len(self.limit_names)
            unnamed = render_limit(limit, shard, {limit.account: ""})
            self.limit_names.append(
                pb.CheckedLimit(limit=unnamed, retry_after_us=retry_after(limit, now))
            )
            self.limit_accounts.append(limit.account)
        return known

    def _size_of(self, work: Work) -> int:
        sizing, names = work.sizing, work.shape.quantity_names
        if sizing is None or not sizing.sizes:
            return 0
        sizes = render_sizes(sizing.asked, sizing.sizes, names, work.quantities, work.up_to)
        return self._size(pb.CheckedSizes(sized=sizes))

    def _size(self, sizes: pb.CheckedSizes) -> int:
        key = sizes.SerializeToString(deterministic=True)
        known = self._size_places.get(key)
        if known is None:
            known = self._size_places[key] = len(self._size_names)
            self._size_names.append(sizes)
        return known

    def _reason(self, reason: str) -> int:
        return self._reason_places.setdefault(reason, len(self._reason_places))

    def _price(self, price: tuple[str, int, str, int]) -> int:
        return self._price_places.setdefault(price, len(self._price_places))

    def _price_of(self, bound: Bound | None) -> int:
        if bound is None:
            return 0
        asset, declared = self._assets.of(bound.asset), bound.declaration
        card = declared.rate_card if declared.card_version else ""
        return self._price((asset.code, asset.scale, card, declared.card_version))


class CheckManyCalls:
    """Part of DecisionService."""

    _edge: Edge
    _forwarder: Forwarder

    async def check_many(self, request: pb.CheckManyRequest, call: Call) -> pb.CheckManyResponse:
        """Advice on each piece of work for each account, from the newest state."""
        edge = self._edge
        names = list(request.accounts)
        _check_counts(names, request)
        hold: MintedId | None = None
        if request.hold_id:
            hold = _check_hold(request, len(edge.ledger.writers))
        tenant = await edge.tenant(request.tenant)
        asked = self._asked(request.work)
        columns = Columns(edge, len(names), len(asked.work))
        here, away = await self._places(tenant, request, asked, columns, call)
        modes = [each.sizing for each in request.work]
        await asyncio.gather(
            self._answer_here(tenant, here, modes, columns, call, hold),
            *[self._ask(address, request, each, columns, call) for address, each in away.items()],
        )
        owners = await edge.names(columns.limit_accounts)
        for said, owner in zip(columns.limit_names, columns.limit_accounts, strict=True):
            if owner:
                said.limit.account = owners[owner]
        for decision, count in columns.counts().items():
            edge.telemetry.decided("CheckMany", decision, count)
        return columns.response(hold is not None)

    def _asked(self, asked: Iterable[pb.WorkToCheck]) -> Asked:
        """The pieces of work. Raises CallFailed, naming the one at fault."""
        work: list[Work] = []
        faults: list[Fault] = []
        for place, each in enumerate(asked):
            quantities = each.quantities
            shape = self._edge.shapes.of(each.product, each.attributes, tuple(quantities))
            if isinstance(shape, Fault):
                faults.append(shape._replace(field=f"work[{place}].{shape.field}"))
                continue
            values = tuple([quantities[name] for name in shape.quantity_names])
            fault = quantities_fault(shape.quantity_names, values)
            if fault is not None:
                faults.append(fault._replace(field=f"work[{place}].{fault.field}"))
            up_to: UpTo | Refusal | None = None
            if each.HasField("up_to"):
                named = each.up_to
                up_to = range_of(shape, values, named.quantity or "\0", named.minimum)
            if isinstance(up_to, Refusal):
                field = f"work[{place}].{up_to.field}"
                faults.append(Fault(up_to.reason, field, up_to.value, up_to.message))
                continue
            work.append(Work(shape, values, up_to))
        if faults:
            raise invalid(faults)
        return Asked(work)

    async def _places(
        self,
        tenant: int,
        request: pb.CheckManyRequest,
        asked: Asked,
        columns: Columns,
        call: Call,
    ) -> tuple[dict[int, list[Seated]], dict[str, list[int]]]:
        """Accounts by shard of this process, and places of others by the address of theirs."""
        ledger = self._edge.ledger
        names, operation = request.accounts, request.operation
        seats = Seats(ledger, self._edge.seats, tenant)
        found = [_find(seats, name) for name in names]
        missing = [
            (name, 0) for name, (seat, _) in zip(names, found, strict=True) if seat is LOOK_UP
        ]
        if missing:
            await seats.look_up(missing)
            found = [_find(seats, name) for name in names]
        here: dict[int, list[Seated]] = {}
        away: dict[str, list[int]] = {}
        worked: dict[tuple[str, str], Asked | Fault] = {}
        for place, (seat, named) in enumerate(found):
            number, _, family, shard = seat
            address = "" if ledger.shards.owns(shard) else ledger.shards.route(shard)
            if seat is UNKNOWN:
                unknown = "NOT_PERMITTED" if call.principal.accounts else "ACCOUNT_UNKNOWN"
                columns.deny(place, unknown)
            elif address and not call.forwarded:
                away.setdefault(address, []).append(place)
            else:
                its: Asked | Fault = asked
                if named is not None:
                    if named not in worked:
                        worked[named] = self._of_seat(asked.work, named)
                    its = worked[named]
                if isinstance(its, Fault):
                    columns.deny(place, its.reason)
                else:
                    part_of = b""
                    if operation:
                        part_of = family.operation(operation, request.operation_parent)
                    here.setdefault(shard, []).append(Seated(place, number, its, part_of))
        return here, away

    def _of_seat(self, work: Sequence[Work], named: tuple[str, str]) -> Asked | Fault:
        """The same work of the seat that an alias names (rule I7)."""
        found: list[Work] = []
        for each in work:
            shape = with_seat(self._edge.shapes, each.shape, named)
            if isinstance(shape, Fault):
                return shape
            found.append(Work(shape, each.quantities, each.up_to))
        return Asked(found)

    async def _answer_here(
        self,
        tenant: int,
        here: Mapping[int, list[Seated]],
        modes: Sequence[pb.Sizing.ValueType],
        columns: Columns,
        call: Call,
        hold: MintedId | None,
    ) -> None:
        if hold is None and (tenant in self._edge.ledger.configurations.sizing or any(modes)):
            known = [each for accounts in here.values() for each in accounts]
            sized = await sized_many(self._edge, tenant, known, modes)
            by_place = {each.place: each for each in sized}
            here = {s: [by_place[each.place] for each in rows] for s, rows in here.items()}
        spent = 0
        for shard, accounts in here.items():
            writer = self._edge.ledger.writers[shard]
            try:
                numbers = [each.number for each in accounts]
                covered = await call.covered(tenant, shard, numbers)
                for each in accounts:
                    if each.number not in covered:
                        columns.deny(each.place, "NOT_PERMITTED")
                seen = [each for each in accounts if each.number in covered]
                spent = await self._answer_shard(writer, seen, columns, spent, hold)
            except Exception as error:
                failure = failure_of(error)
                if failure is None:
                    raise
                for each in accounts:
                    if not columns.accounts[each.place].policy_version:
                        columns.deny(each.place, failure.reason)

    async def _answer_shard(
        self,
        writer: Writer,
        accounts: Sequence[Seated],
        columns: Columns,
        spent: int,
        hold: MintedId | None,
    ) -> int:
        """Look at accounts of a shard; `spent`: since the loop had its turn. Raises NotApplied."""
        clock_us = self._edge.ledger.clock.now_us()
        checker: Checker | None = None
        await writer.bring_in([each.number for each in accounts])
        for each in accounts:
            if spent >= TURN_US:
                await asyncio.sleep(0)
                spent = 0
            await writer.bring_in((each.number,))
            state = writer.state
            account = state.accounts.get(each.number)
            if account is None:
                columns.deny(each.place, "ACCOUNT_UNKNOWN")
                continue
            if hold is not None and hold.account != each.number:
                columns.deny(each.place, "HOLD_UNKNOWN")
                continue
            if state.offsets:
                state.act_for(account.tenant)
            if checker is None or not checker.is_of(state):
                checker = Checker(state.catalog)
            now = state.present(clock_us)
            paying = hold.number if hold is not None else 0
            found = checker.answer(state, account, each.asked, now, each.operation, paying)
            position = position_of(writer.shard, writer.durable_position)
            columns.take(each.place, found, writer.shard, position, now)
            spent += found.spent
        return spent

    async def _ask(
        self,
        address: str,
        request: pb.CheckManyRequest,
        places: Sequence[int],
        columns: Columns,
        call: Call,
    ) -> None:
        """Have another process look at its accounts."""
        part = pb.CheckManyRequest(
            tenant=request.tenant,
            accounts=[request.accounts[place] for place in places],
            work=request.work,
            operation=request.operation,
            operation_parent=request.operation_parent,
            hold_id=request.hold_id,
        )
        try:
            answer = await self._forwarder.ask(
                address, METHOD, part, pb.CheckManyResponse, call.hop
            )
        except Exception as error:
            failure = error.failure() if isinstance(error, PassedOn) else failure_of(error)
            if failure is None:
                raise
            for place in places:
                columns.deny(place, failure.reason)
            return
        columns.merge(places, answer)


def _find(seats: Seats, name: str) -> tuple[Seat, tuple[str, str] | None]:
    """Where an account is, and the seat that its alias names."""
    seat = seats.by_id.get(name)
    if seat is not None:
        return seat, None
    seat = seats.find(name, 0)
    return seat, seats.named


def _check_counts(names: Sequence[str], request: pb.CheckManyRequest) -> None:
    check, work = Checked(), request.work
    check.given("accounts", bool(names))
    check.given("work", bool(work))
    for field, given, most in (("accounts", names, ACCOUNTS_MAX), ("work", work, WORK_MAX)):
        if len(given) > most:
            message = f"{len(given)} given; at most {most} allowed: split the call"
            check.fault(Fault("TOO_MANY", field, str(len(given)), message))
    for place, name in enumerate(names[:ACCOUNTS_MAX]):
        check.fault(id_fault(f"accounts[{place}]", name))
    modes = pb.Sizing.DESCRIPTOR.values_by_number
    for place, each in enumerate(work[:WORK_MAX]):
        check.one_of(f"work[{place}].sizing", each.sizing, modes)
    if request.operation or request.operation_parent:
        check_operation(check, request)
    check.done()


def _check_hold(request: pb.CheckManyRequest, shards: int) -> MintedId:
    """The hold that is to pay first, for work of the one account whose it is. Raises CallFailed."""
    if len(request.accounts) > 1:
        message = "a hold pays for work of its own account: ask about that one alone"
        raise CallFailed("FIELD_NOT_ALLOWED", message, field="hold_id", value=request.hold_id)
    for place, each in enumerate(request.work):
        check_unlearned(f"work[{place}].sizing", each.sizing)
    return unmint(HOLD, request.hold_id, shards)
