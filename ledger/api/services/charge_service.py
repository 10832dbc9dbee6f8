"""ChargeService: what an account costs every period, or once, whatever it uses."""

from __future__ import annotations

from typing import Final, TypeVar

from ledger.api.answers import Answer, answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault
from ledger.api.ids import CHARGE, unmint
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.read_models import reached
from ledger.api.rendering.render_charge import (
    BILLINGS,
    PAYERS,
    UNITS,
    ChargeView,
    charge_view,
    find_view,
    render_charge,
    render_fee,
    terms_of,
)
from ledger.api.requests import asset_number
from ledger.core.commands import (
    ChangeQuantity,
    ChangeTerms,
    Command,
    EndCharge,
    Names,
    StartCharge,
)
from ledger.core.events import ChargeChanged, ChargeEnded, ChargeStarted, ChargeTerms, Timing
from ledger.core.limits import RAMP_STEPS_MAX, ZONE_BYTES_MAX
from ledger.core.state import State
from ledger.journal.directory import Entry
from ledger.projections.as_of import History
from ledger.projections.fees import fees_of
from ledger.v1 import charge_pb2 as pb

_TIMINGS: Final = {0: Timing.NEXT_PERIOD, **{int(each): each for each in Timing}}

Reply = TypeVar(
    "Reply",
    pb.StartChargeResponse,
    pb.ChangeQuantityResponse,
    pb.ChangeTermsResponse,
    pb.EndChargeResponse,
)


class ChargeService:
    """See ledger/v1/charge.proto."""

    def __init__(self, edge: Edge, history: History | None) -> None:
        """`history` None: there are no read models."""
        self._edge = edge
        self._history = history

    async def start_charge(
        self, request: pb.StartChargeRequest, call: Call
    ) -> pb.StartChargeResponse:
        """Have an account charged."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, name=request.name)
        check.between("quantity", request.quantity, 0)
        check.instant("starts_at_us", request.starts_at_us)
        check.instant("ends_at_us", request.ends_at_us)
        _check_terms(check, request.terms, request.HasField("terms"))
        check.done()
        entry = await edge.account(tenant, request.account)
        edge.remember(entry)
        command = StartCharge(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            request.name,
            self._terms(request.terms, entry),
            request.quantity,
            request.starts_at_us,
            request.ends_at_us,
            Names("", request.request_id),
            call.trace,
        )
        given = {"account": request.account, "terms.asset": request.terms.asset}
        answer = await self._ask(call, entry, command, given)
        return await self._answered(pb.StartChargeResponse(), entry, answer, request.account)

    async def change_quantity(
        self, request: pb.ChangeQuantityRequest, call: Call
    ) -> pb.ChangeQuantityResponse:
        """Charge for another quantity, now or from the next period on."""
        check = Checked()
        check.ids(request_id=request.request_id)
        check.between("quantity", request.quantity, 0)
        check.one_of("timing", request.timing, _TIMINGS)
        check.between("expected_version", request.expected_version, 0)
        check.done()
        entry, number = await self._meant(request.tenant, request.charge_id)
        command = ChangeQuantity(
            self._edge.ledger.family(entry).request(request.request_id),
            entry.number,
            number,
            request.quantity,
            _TIMINGS[request.timing],
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        answer = await self._ask(call, entry, command, {"charge_id": request.charge_id})
        assert isinstance(answer.event, ChargeChanged), answer.event
        response = await self._answered(
            pb.ChangeQuantityResponse(), entry, answer, request.charge_id
        )
        response.charged = answer.event.amount
        return response

    async def change_terms(
        self, request: pb.ChangeTermsRequest, call: Call
    ) -> pb.ChangeTermsResponse:
        """Replace the terms from the next period on."""
        check = Checked()
        check.ids(request_id=request.request_id)
        check.between("expected_version", request.expected_version, 0)
        _check_terms(check, request.terms, request.HasField("terms"))
        check.done()
        entry, number = await self._meant(request.tenant, request.charge_id)
        command = ChangeTerms(
            self._edge.ledger.family(entry).request(request.request_id),
            entry.number,
            number,
            self._terms(request.terms, entry),
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        given = {"charge_id": request.charge_id, "terms.asset": request.terms.asset}
        answer = await self._ask(call, entry, command, given)
        return await self._answered(pb.ChangeTermsResponse(), entry, answer, request.charge_id)

    async def end_charge(self, request: pb.EndChargeRequest, call: Call) -> pb.EndChargeResponse:
        """Charge nothing after the present period, or from now on."""
        check = Checked()
        check.ids(request_id=request.request_id)
        check.one_of("timing", request.timing, _TIMINGS)
        check.done()
        entry, number = await self._meant(request.tenant, request.charge_id)
        command = EndCharge(
            self._edge.ledger.family(entry).request(request.request_id),
            entry.number,
            number,
            _TIMINGS[request.timing],
            Names("", request.request_id),
            call.trace,
        )
        answer = await self._ask(call, entry, command, {"charge_id": request.charge_id})
        assert isinstance(answer.event, ChargeEnded), answer.event
        response = await self._answered(pb.EndChargeResponse(), entry, answer, request.charge_id)
        response.ends_at_us = answer.event.ends_at
        response.charged = answer.event.amount
        return response

    async def list_charges(
        self, request: pb.ListChargesRequest, call: Call
    ) -> pb.ListChargesResponse:
        """The charges of an account in the order started."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        listing = f"charges/{entry.number}"
        after = page_after(listing, request.page_token)
        now_us = edge.now_us(tenant)

        def page(state: State) -> list[ChargeView]:
            account = state.accounts.get(entry.number)
            kept = account.charges if account is not None else ()
            found = [each for each in kept if each.number > after]
            return [charge_view(each, now_us) for each in found[: size + 1]]

        views, entries = await edge.writer(entry).read(
            page, minimum(request.min_position, entry.shard), (entry.number,)
        )
        shown = views[:size]
        return pb.ListChargesResponse(
            charges=[self._render(entry, view) for view in shown],
            next_page_token=page_token(listing, shown[-1].number) if len(views) > size else "",
            position=position_of(entry.shard, entries),
        )

    async def get_charge(self, request: pb.GetChargeRequest, call: Call) -> pb.GetChargeResponse:
        """One charge."""
        entry, number = await self._meant(request.tenant, request.charge_id)
        least = minimum(request.min_position, entry.shard)
        view, entries = await self._view(entry, number, request.charge_id, least)
        return pb.GetChargeResponse(
            charge=self._render(entry, view), position=position_of(entry.shard, entries)
        )

    async def list_fees(self, request: pb.ListFeesRequest, call: Call) -> pb.ListFeesResponse:
        """The fees of an account in the order recorded, from the read models."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        charge = 0
        if request.charge_id:
            minted = unmint(CHARGE, request.charge_id, edge.ledger.directory.shards)
            if (minted.shard, minted.account) != (entry.shard, entry.number):
                raise _unknown(request.charge_id)
            charge = minted.number
        listing = f"fees/{entry.number}/{charge}"
        after = page_after(listing, request.page_token)
        history = await reached(self._history, entry, request.min_position)
        rows, standing = await fees_of(
            history.pool, tenant, entry.shard, entry.number, after - 1, charge, size + 1
        )
        await edge.assets.read(tenant)
        shown = rows[:size]
        more = len(rows) > size
        return pb.ListFeesResponse(
            fees=[render_fee(edge.assets, row, entry.shard, entry.number) for row in shown],
            next_page_token=page_token(listing, shown[-1].entry_seq + 1) if more else "",
            position=position_of(entry.shard, standing.entries),
        )

    # -- parts -----------------------------------------------------------------------------------

    async def _meant(self, tenant: str, charge_id: str) -> tuple[Entry, int]:
        """The account and the charge's number."""
        edge = self._edge
        minted, entry = await edge.minted(await edge.tenant(tenant), CHARGE, charge_id)
        return entry, minted.number

    async def _ask(
        self, call: Call, entry: Entry, command: Command, given: dict[str, str]
    ) -> Answer:
        ticket = await call.submit(self._edge.ledger, entry, command)
        return answer_of(ticket, given)

    async def _answered(self, response: Reply, entry: Entry, answer: Answer, asked: str) -> Reply:
        """The reply to a mutation, with what it changed as it is at its position or later."""
        event = answer.event
        assert isinstance(event, ChargeStarted | ChargeChanged | ChargeEnded), event
        with rendering(answer.position):
            view, _ = await self._view(entry, event.charge, asked)
            response.charge.CopyFrom(self._render(entry, view))
        response.position, response.replayed = answer.position, answer.replayed
        return response

    async def _view(
        self, entry: Entry, number: int, asked: str, min_entries: int = 0
    ) -> tuple[ChargeView, int]:
        now_us = self._edge.now_us(entry.tenant)
        view, entries = await self._edge.writer(entry).read(
            lambda state: find_view(state, entry.number, number, now_us),
            min_entries,
            (entry.number,),
        )
        if view is None:
            raise _unknown(asked)
        return view, entries

    def _render(self, entry: Entry, view: ChargeView) -> pb.FixedCharge:
        return render_charge(self._edge.assets, view, entry.shard, entry.account_id)

    def _terms(self, terms: pb.ChargeTerms, entry: Entry) -> ChargeTerms:
        return terms_of(terms, asset_number(self._edge.assets, "terms.asset", terms.asset, entry))


def _unknown(asked: str) -> CallFailed:
    return CallFailed(
        "CHARGE_UNKNOWN", "the account has no such charge", field="charge_id", value=asked
    )


def _check_terms(check: Checked, terms: pb.ChargeTerms, given: bool) -> None:
    check.given("terms", given)
    if not given:
        return
    check.ids(**{"terms.product": terms.product, "terms.asset": terms.asset})
    check.one_of("terms.billing", terms.billing, BILLINGS)
    check.one_of("terms.payer", terms.payer, PAYERS)
    if not terms.once:
        check.one_of("terms.unit", terms.unit, UNITS)
    elif terms.unit or terms.every:
        message = "what is charged once has no periods; leave unit and every out"
        check.fault(Fault("NUMBER_OUT_OF_RANGE", "terms.unit", str(terms.unit), message))
    check.text("terms.zone", terms.zone, ZONE_BYTES_MAX)
    check.between("terms.ramp", len(terms.ramp), 0, RAMP_STEPS_MAX)
