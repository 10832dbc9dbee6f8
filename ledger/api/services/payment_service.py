"""PaymentService: payments of gated grants, refunds, chargebacks, bills and what becomes of them.

Reasons and actors are written beside the entry, where an erasure may blank them; the entry holds
their digest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from ledger.api.answers import Answer, answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, refused
from ledger.api.ids import BILL, GRANT, mint
from ledger.api.limits import REASON_BYTES_MAX, Checked
from ledger.api.positions import decode_position, minimum, position_of
from ledger.api.requests import asset_number
from ledger.api.standing import note_pairs
from ledger.core.commands import (
    BillAccount,
    ChargeBack,
    Command,
    ConfirmPayment,
    FailPayment,
    IssueCreditNote,
    Names,
    RecordPayment,
    RefundGrant,
    WriteOffReceivable,
)
from ledger.core.events import (
    AccountBilled,
    BillLine,
    BookKind,
    CreditNoteIssued,
    GrantCancelled,
    GrantChargedBack,
    GrantRefunded,
    GrantReleased,
    PaymentRecorded,
    ReceivableWrittenOff,
)
from ledger.core.outcomes import Reason, Refusal
from ledger.core.state import State
from ledger.journal.directory import Entry
from ledger.v1 import payment_pb2 as pb

_LINES: Final = {
    BookKind.UNBILLED: pb.BILL_LINE_KIND_MONEY,
    BookKind.OVERAGE: pb.BILL_LINE_KIND_OVERAGE,
    BookKind.COMMITMENT: pb.BILL_LINE_KIND_COMMITMENT,
}


class OfGrant(Protocol):
    """A request about one grant."""

    @property
    def tenant(self) -> str:
        """The tenant's name."""
        ...

    @property
    def request_id(self) -> str:
        """Identity of the call."""
        ...

    @property
    def grant_id(self) -> str:
        """The grant, as it was issued."""
        ...


class OfReceivable(Protocol):
    """A request about what an account was billed."""

    @property
    def tenant(self) -> str:
        """The tenant's name."""
        ...

    @property
    def request_id(self) -> str:
        """Identity of the call."""
        ...

    @property
    def account(self) -> str:
        """Id or alias of the account."""
        ...

    @property
    def asset(self) -> str:
        """Code of the money."""
        ...

    @property
    def amount(self) -> int:
        """How much, in its minor units."""
        ...

    @property
    def reason(self) -> str:
        """Why, for people."""
        ...

    @property
    def actor(self) -> str:
        """Who asks."""
        ...


class Asked(NamedTuple):
    """What every command of a call has: its key, the account and the grant (0 = none) that it is
    about, the digest of reason and actor, and what stands beside its entry."""

    key: bytes
    account: int
    grant: int
    note: bytes
    names: Names
    entry: Entry


class PaymentService:
    """See ledger/v1/payment.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    # -- gated grants ----------------------------------------------------------------------------

    async def confirm(
        self, request: pb.PaymentServiceConfirmRequest, call: Call
    ) -> pb.PaymentServiceConfirmResponse:
        """Release what a payment pays for (rule F1)."""
        check = Checked()
        check.between("amount", request.amount, 0)
        check.optional(asset=request.asset)
        asked = await self._of_grant(request, check)
        asset = asset_number(self._edge.assets, "asset", request.asset, asked.entry)
        command = ConfirmPayment(
            asked.key, asked.account, asked.grant, request.amount, asset, asked.names, call.trace
        )
        given = {"grant_id": request.grant_id, "asset": request.asset}
        answer = await self._decided(asked, command, call, given)
        event = answer.event
        assert isinstance(event, GrantReleased), event
        with rendering(answer.position):
            money = await self._money_of(asked.entry, event.grant)
        if request.asset not in ("", money[0]):  # else it would have been refused at first
            message = f"the id was recorded for a payment in {money[0]}; send what was sent first"
            raise refused(Refusal(Reason.CONFLICT, "asset", request.asset, message), given)
        return pb.PaymentServiceConfirmResponse(
            released=event.amount,
            repaid_advance=sum([part.amount for part in event.backfills]),
            paid=event.payment,
            asset=money[0],
            scale=money[1],
            position=answer.position,
            replayed=answer.replayed,
        )

    async def fail(
        self, request: pb.PaymentServiceFailRequest, call: Call
    ) -> pb.PaymentServiceFailResponse:
        """Cancel what waits for a payment (rule F1)."""
        asked = await self._of_grant(request, Checked())
        command = FailPayment(asked.key, asked.account, asked.grant, asked.names, call.trace)
        answer = await self._decided(asked, command, call, {"grant_id": request.grant_id})
        event = answer.event
        assert isinstance(event, GrantCancelled), event
        return pb.PaymentServiceFailResponse(
            cancelled=event.amount,
            ended=event.whole,
            position=answer.position,
            replayed=answer.replayed,
        )

    # -- what goes back --------------------------------------------------------------------------

    async def refund(self, request: pb.RefundRequest, call: Call) -> pb.RefundResponse:
        """Take unused units back, and say how much money goes back with them (rule F2)."""
        check = Checked()
        check.between("units", request.units, 0)
        asked = await self._of_grant(request, check, request.reason, request.actor)
        command = RefundGrant(
            asked.key, asked.account, asked.grant, request.units, asked.note, asked.names,
            call.trace,
        )  # fmt: skip
        answer = await self._decided(asked, command, call, {"grant_id": request.grant_id})
        event = answer.event
        assert isinstance(event, GrantRefunded), event
        with rendering(answer.position):
            money = await self._money_of(asked.entry, event.grant)
        return pb.RefundResponse(
            units=event.amount,
            refunded=event.refunded,
            breakage=event.breakage,
            asset=money[0],
            scale=money[1],
            position=answer.position,
            replayed=answer.replayed,
        )

    async def chargeback(self, request: pb.ChargebackRequest, call: Call) -> pb.ChargebackResponse:
        """Void what is left of a payment that the bank took back (rule F3)."""
        asked = await self._of_grant(request, Checked(), request.reason, request.actor)
        command = ChargeBack(
            asked.key, asked.account, asked.grant, asked.note, asked.names, call.trace
        )
        answer = await self._decided(asked, command, call, {"grant_id": request.grant_id})
        event = answer.event
        assert isinstance(event, GrantChargedBack), event
        with rendering(answer.position):
            money = await self._money_of(asked.entry, event.grant)
        shard = asked.entry.shard
        return pb.ChargebackResponse(
            payment=event.payment,
            owed=event.owed,
            voided=[
                pb.VoidedUnits(
                    grant_id=mint(GRANT, shard, event.account, part.grant), units=part.amount
                )
                for part in event.parts
            ],
            asset=money[0],
            scale=money[1],
            position=answer.position,
            replayed=answer.replayed,
        )

    # -- bills -----------------------------------------------------------------------------------

    async def bill(self, request: pb.BillRequest, call: Call) -> pb.BillResponse:
        """Bill what an account owes (rule B4)."""
        check = Checked()
        check.optional(asset=request.asset)
        check.between("amount", request.amount, 0)
        if request.amount:
            check.given("asset", bool(request.asset))
        asked = await self._of_account(request, check)
        asset = asset_number(self._edge.assets, "asset", request.asset, asked.entry)
        command = BillAccount(
            asked.key, asked.account, asset, request.amount, asked.note, asked.names, call.trace
        )
        given = {"account": request.account, "asset": request.asset}
        answer = await self._decided(asked, command, call, given)
        event = answer.event
        assert isinstance(event, AccountBilled), event
        with rendering(answer.position):
            lines = await self._lines(event, asked.entry)
        return pb.BillResponse(
            bill_id=bill_id(answer, asked.entry.shard, event.account),
            lines=lines,
            position=answer.position,
            replayed=answer.replayed,
        )

    async def record_payment(
        self, request: pb.RecordPaymentRequest, call: Call
    ) -> pb.RecordPaymentResponse:
        """Record a payment of what was billed (rule B4)."""
        check = Checked()
        check.optional(source=request.source)
        asked, asset = await self._of_receivable(request, check)
        command = RecordPayment(
            asked.key, asked.account, asset, request.amount, request.source, asked.note,
            asked.names, call.trace,
        )  # fmt: skip
        answer = await self._decided(asked, command, call, _given(request))
        assert isinstance(answer.event, PaymentRecorded), answer.event
        return pb.RecordPaymentResponse(position=answer.position, replayed=answer.replayed)

    async def issue_credit_note(
        self, request: pb.IssueCreditNoteRequest, call: Call
    ) -> pb.IssueCreditNoteResponse:
        """Waive a part of what was billed (rule F4)."""
        asked, asset = await self._of_receivable(request, Checked())
        command = IssueCreditNote(
            asked.key, asked.account, asset, request.amount, asked.note, asked.names, call.trace
        )
        answer = await self._decided(asked, command, call, _given(request))
        assert isinstance(answer.event, CreditNoteIssued), answer.event
        return pb.IssueCreditNoteResponse(position=answer.position, replayed=answer.replayed)

    async def write_off(self, request: pb.WriteOffRequest, call: Call) -> pb.WriteOffResponse:
        """Give up a part of what was billed (rule F4)."""
        asked, asset = await self._of_receivable(request, Checked())
        command = WriteOffReceivable(
            asked.key, asked.account, asset, request.amount, asked.note, asked.names, call.trace
        )
        answer = await self._decided(asked, command, call, _given(request))
        assert isinstance(answer.event, ReceivableWrittenOff), answer.event
        return pb.WriteOffResponse(position=answer.position, replayed=answer.replayed)

    async def get_owed(self, request: pb.GetOwedRequest, call: Call) -> pb.GetOwedResponse:
        """What an account owes in each currency."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        entry = await edge.account(tenant, request.account)

        def look(state: State) -> dict[int, tuple[int, int, int]]:
            account = state.accounts.get(entry.number)
            if account is None:
                return {}
            found: dict[int, tuple[int, int, int]] = {}
            for asset in {*account.unbilled, *account.receivable, *account.lifetime}:
                books = account.unbilled.get(asset), account.receivable.get(asset)
                unbilled, receivable = [book.owed if book is not None else 0 for book in books]
                found[asset] = unbilled, receivable, account.lifetime.get(asset, 0)
            return found

        least = minimum(request.min_position, entry.shard)
        found, reached = await edge.writer(entry).read(look, least, (entry.number,))
        owed: list[pb.Owed] = []
        for number, (unbilled, receivable, lifetime) in found.items():
            asset = edge.assets.of(number)
            owed.append(
                pb.Owed(
                    asset=asset.code,
                    scale=asset.scale,
                    unbilled=str(unbilled),
                    receivable=str(receivable),
                    lifetime_value=str(lifetime),
                )
            )
        return pb.GetOwedResponse(
            owed=sorted(owed, key=lambda each: each.asset),
            position=position_of(entry.shard, reached),
        )

    # -- parts -----------------------------------------------------------------------------------

    async def _of_grant(
        self, request: OfGrant, check: Checked, reason: str = "", actor: str = ""
    ) -> Asked:
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        _check_texts(check, request.request_id, reason, actor)
        check.done()
        minted, entry = await edge.minted(tenant, GRANT, request.grant_id)
        return self._asked(request.request_id, entry, minted.number, reason, actor)

    async def _of_account(self, request: OfReceivable | pb.BillRequest, check: Checked) -> Asked:
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        _check_texts(check, request.request_id, request.reason, request.actor)
        check.done()
        entry = await edge.account(tenant, request.account)
        return self._asked(request.request_id, entry, 0, request.reason, request.actor)

    async def _of_receivable(self, request: OfReceivable, check: Checked) -> tuple[Asked, int]:
        check.ids(asset=request.asset)
        check.between("amount", request.amount, 1)
        asked = await self._of_account(request, check)
        assets = self._edge.assets
        asset = asset_number(assets, "asset", request.asset, asked.entry)
        if assets.of(asset).kind != "money":
            raise CallFailed(
                "ASSET_KIND_INVALID", "bills are paid in money", field="asset", value=request.asset
            )
        return asked, asset

    def _asked(self, request_id: str, entry: Entry, grant: int, reason: str, actor: str) -> Asked:
        family = self._edge.ledger.family(entry)
        said = note_pairs(reason, actor)
        names = Names("", request_id, personal=said)
        return Asked(
            family.request(request_id), entry.number, grant, family.pairs(said), names, entry
        )

    async def _decided(
        self, asked: Asked, command: Command, call: Call, given: dict[str, str]
    ) -> Answer:
        ticket = await call.submit(self._edge.ledger, asked.entry, command)
        return answer_of(ticket, given)

    async def _money_of(self, entry: Entry, grant: int) -> tuple[str, int]:
        """Code and scale of the money that a grant has its price in."""
        number = await self._read(entry, lambda state: state.grants[grant].price_asset)
        asset = self._edge.assets.of(number)
        return asset.code, asset.scale

    async def _lines(self, event: AccountBilled, entry: Entry) -> list[pb.BillLine]:
        def look(state: State) -> int:
            books = state.books.accounts
            kinds.extend([BookKind(books[line.credit].kind) for line in event.lines])
            return 0

        kinds: list[BookKind] = []
        await self._read(entry, look)
        lines = zip(kinds, event.lines, strict=True)
        return [self._line(kind, line, entry) for kind, line in lines]

    def _line(self, kind: BookKind, line: BillLine, entry: Entry) -> pb.BillLine:
        asset = self._edge.assets.of(line.asset)
        grant = mint(GRANT, entry.shard, entry.number, line.grant) if line.grant else ""
        return pb.BillLine(
            kind=_LINES[kind],
            asset=asset.code,
            scale=asset.scale,
            amount=line.amount,
            grant_id=grant,
        )

    async def _read(self, entry: Entry, look: Callable[[State], int]) -> int:
        found, _ = await self._edge.writer(entry).read(look, accounts=(entry.number,))
        return found


def bill_id(answer: Answer, shard: int, account: int) -> str:
    """A bill is called after the entry that it is."""
    return mint(BILL, shard, account, decode_position(answer.position)[shard] - 1)


def _check_texts(check: Checked, request_id: str, reason: str, actor: str) -> None:
    check.ids(request_id=request_id)
    check.text("reason", reason, REASON_BYTES_MAX)
    check.optional(actor=actor)


def _given(request: OfReceivable) -> dict[str, str]:
    return {"account": request.account, "asset": request.asset}
