"""ContractService: a package for a time, with prices and commitments of its own (rule P5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ledger.api.answers import Answer, answer_of, rendering
from ledger.api.calls import Call
from ledger.api.commitment_parts import (
    check_invoices,
    check_segments,
    check_terms,
    invoices_of,
    segment_of,
    terms_of,
)
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault
from ledger.api.ids import COMMITMENT, mint
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_override import override_faults_of, override_of, render_standing
from ledger.api.rendering.render_package import render_taken
from ledger.core.commands import AmendContract, Command, EndContract, Names, SignContract
from ledger.core.contracts.contracts import Contract, ContractState, named
from ledger.core.events import (
    CommitmentEnding,
    Committed,
    ContractAmended,
    ContractEnded,
    ContractRollover,
    ContractSigned,
    OldGrants,
)
from ledger.core.limits import CONTRACT_COMMITMENTS_MAX
from ledger.core.state import Account, State
from ledger.journal.directory import Entry
from ledger.v1 import contract_pb2 as pb
from ledger.v1 import package_pb2
from rating.overrides import OVERRIDES_MAX, Override, SetOverride
from rating.v1 import override_pb2

_RENEWALS: Final = {
    int(pb.CONTRACT_RENEWAL_UNSPECIFIED): 0,
    int(pb.CONTRACT_RENEWAL_AUTO): 1,
    int(pb.CONTRACT_RENEWAL_OFF): 2,
}
_ENDINGS: Final = {int(ending): ending for ending in CommitmentEnding}
_OLD_GRANTS: Final = {int(each): each for each in OldGrants} | {
    int(package_pb2.OLD_GRANTS_UNSPECIFIED): OldGrants.KEEP
}
_TARGET: Final = "target_commitment_id"


class ContractView(NamedTuple):
    """A contract at one position, with its prices that stand now or later."""

    contract: Contract
    overrides: tuple[SetOverride, ...]


class ContractService:
    """See ledger/v1/contract.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def sign(
        self, request: pb.ContractServiceSignRequest, call: Call
    ) -> pb.ContractServiceSignResponse:
        """Sign a contract."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, contract=request.contract, package=request.package)
        check.between("package_version", request.package_version, 0)
        check.instant("starts_at_us", request.starts_at_us)
        check.between("ends_at_us", request.ends_at_us, 1)
        check.one_of("renewal", request.renewal, _RENEWALS)
        check.between("minimum", request.minimum, 0)
        _check_overrides(check, "overrides", request.overrides)
        _check_commitments(check, request.commitments)
        check.done()
        entry = await edge.account(tenant, request.account)
        command = SignContract(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            request.contract,
            request.package,
            request.package_version,
            request.starts_at_us,
            request.ends_at_us,
            _overrides_of(request.overrides),
            int(request.renewal == pb.CONTRACT_RENEWAL_AUTO),
            request.minimum,
            self._committed(request.commitments, entry),
            _rollover_of(request.rollover) if request.HasField("rollover") else None,
            Names("", request.request_id),
            call.trace,
        )
        answer = await self._ask(call, entry, command, {"account": request.account})
        event = answer.event
        assert isinstance(event, ContractSigned), event
        backdated = bool(event.starts_given) and event.starts_at < answer.recorded_at_us
        return pb.ContractServiceSignResponse(
            contract=await self._now(entry, event.contract, answer),
            rerate_from_us=event.starts_at if backdated else 0,
            replayed=answer.replayed,
            position=answer.position,
        )

    async def amend(
        self, request: pb.ContractServiceAmendRequest, call: Call
    ) -> pb.ContractServiceAmendResponse:
        """Change what a contract says."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, contract=request.contract)
        check.instant("effective_at_us", request.effective_at_us)
        check.between("package_version", request.package_version, 0)
        check.instant("ends_at_us", request.ends_at_us)
        check.one_of("renewal", request.renewal, _RENEWALS)
        check.between("expected_version", request.expected_version, 0)
        check.between("minimum", request.minimum, 0)
        _check_overrides(check, "prices.overrides", request.prices.overrides)
        _check_commitments(check, request.commitments)
        check.done()
        entry = await edge.account(tenant, request.account)
        prices = request.prices
        command = AmendContract(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            request.contract,
            request.effective_at_us,
            _overrides_of(prices.overrides) if request.HasField("prices") else None,
            request.package_version,
            request.ends_at_us,
            _RENEWALS[request.renewal],
            self._committed(request.commitments, entry),
            request.expected_version,
            request.minimum if request.HasField("minimum") else -1,
            _rollover_of(request.rollover) if request.HasField("rollover") else None,
            Names("", request.request_id),
            call.trace,
        )
        answer = await self._ask(call, entry, command, {"account": request.account})
        event = answer.event
        assert isinstance(event, ContractAmended), event
        return pb.ContractServiceAmendResponse(
            contract=await self._now(entry, event.contract, answer),
            rerate_from_us=event.rerate_from,
            replayed=answer.replayed,
            position=answer.position,
        )

    async def end(
        self, request: pb.ContractServiceEndRequest, call: Call
    ) -> pb.ContractServiceEndResponse:
        """End a contract before its time."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, contract=request.contract)
        check.one_of("ending", request.ending, _ENDINGS)
        check.one_of("old_grants", request.old_grants, _OLD_GRANTS)
        check.between("expected_version", request.expected_version, 0)
        transfer = int(request.ending) == CommitmentEnding.TRANSFER
        if request.target_commitment_id and not transfer:
            message = "only an end by transfer has a target"
            check.fault(Fault("TRANSFER_INVALID", _TARGET, request.target_commitment_id, message))
        check.done()
        entry = await edge.account(tenant, request.account)
        target: tuple[int, int] = (0, 0)
        if transfer:
            there, taker = await edge.minted(
                tenant, COMMITMENT, request.target_commitment_id, _TARGET
            )
            target = (taker.number, there.number)
        command = EndContract(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            request.contract,
            _ENDINGS[request.ending],
            _OLD_GRANTS[request.old_grants],
            *target,
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        given = {"account": request.account, _TARGET: request.target_commitment_id}
        answer = await self._ask(call, entry, command, given)
        event = answer.event
        assert isinstance(event, ContractEnded), event
        contract = await self._now(entry, event.contract, answer)
        with rendering(answer.position):
            return pb.ContractServiceEndResponse(
                contract=contract,
                taken_back=render_taken(event.taken, entry.shard, entry.number),
                replayed=answer.replayed,
                position=answer.position,
            )

    async def get(
        self, request: pb.ContractServiceGetRequest, call: Call
    ) -> pb.ContractServiceGetResponse:
        """One contract."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(contract=request.contract)
        check.done()
        entry = await edge.account(tenant, request.account)
        least = minimum(request.min_position, entry.shard)
        view, reached = await self._view(entry, request.contract, least)
        return pb.ContractServiceGetResponse(
            contract=await self._render(entry, view), position=position_of(entry.shard, reached)
        )

    async def list(
        self, request: pb.ContractServiceListRequest, call: Call
    ) -> pb.ContractServiceListResponse:
        """The contracts of an account in the order signed."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        listing = f"contracts/{entry.number}"
        after = page_after(listing, request.page_token)

        def page(state: State) -> list[ContractView]:
            account = state.accounts.get(entry.number)
            if account is None:
                return []
            found = account.contracts[after : after + size + 1]
            return [_view_of(state, account, each) for each in found]

        views, reached = await edge.writer(entry).read(
            page, minimum(request.min_position, entry.shard), (entry.number,)
        )
        return pb.ContractServiceListResponse(
            contracts=[await self._render(entry, view) for view in views[:size]],
            next_page_token=page_token(listing, after + size) if len(views) > size else "",
            position=position_of(entry.shard, reached),
        )

    # -- parts -----------------------------------------------------------------------------------

    async def _ask(
        self, call: Call, entry: Entry, command: Command, given: dict[str, str]
    ) -> Answer:
        ticket = await call.submit(self._edge.ledger, entry, command)
        return answer_of(ticket, given)

    async def _now(self, entry: Entry, name: str, answer: Answer) -> pb.Contract:
        """A contract that was changed, as it is at that position or later."""
        with rendering(answer.position):
            view, _ = await self._view(entry, name)
            return await self._render(entry, view)

    async def _view(
        self, entry: Entry, name: str, min_entries: int = 0
    ) -> tuple[ContractView, int]:
        def look(state: State) -> ContractView | None:
            account = state.accounts.get(entry.number)
            contract = named(account, name) if account is not None else None
            if account is None or contract is None:
                return None
            return _view_of(state, account, contract)

        view, reached = await self._edge.writer(entry).read(look, min_entries, (entry.number,))
        if view is None:
            raise CallFailed(
                "CONTRACT_UNKNOWN",
                "the account has no contract of that name",
                field="contract",
                value=name,
            )
        return view, reached

    async def _render(self, entry: Entry, view: ContractView) -> pb.Contract:
        contract = view.contract
        names = await self._edge.names({entry.number})
        renewal = pb.CONTRACT_RENEWAL_AUTO if contract.auto_renew else pb.CONTRACT_RENEWAL_OFF
        return pb.Contract(
            account=entry.account_id,
            contract=contract.name,
            package=contract.package,
            package_version=contract.version,
            starts_at_us=contract.starts_at,
            term_start_us=contract.term_start,
            ends_at_us=contract.ends_at,
            renewal=renewal,
            minimum=contract.minimum_at(max(contract.starts_at, self._edge.now_us(entry.tenant))),
            state=pb.ContractState.ValueType(contract.state),
            version=contract.revision,
            overrides=[
                render_standing(
                    each.numbered,
                    each.set_at_us,
                    entry.number,
                    names,
                    override_pb2.OVERRIDE_SOURCE_CONTRACT,
                )
                for each in view.overrides
            ],
            commitment_ids=[
                mint(COMMITMENT, entry.shard, entry.number, number)
                for number in contract.commitments
            ],
            signed_at_us=contract.signed_at,
            ended_at_us=contract.ended_at,
            minimums=[
                pb.ContractMinimum(from_us=since, amount=amount)
                for since, amount in contract.minimums
            ],
            rollover=_render_rollover(contract.rollover) if contract.rollover else None,
        )

    def _committed(
        self, given: Sequence[pb.ContractCommitment], entry: Entry
    ) -> tuple[Committed, ...]:
        assets = self._edge.assets
        return tuple(
            [
                Committed(
                    terms_of(assets, each.terms, entry, f"commitments[{place}].terms"),
                    tuple([segment_of(segment) for segment in each.segments]),
                    invoices_of(each.invoices),
                )
                for place, each in enumerate(given)
            ]
        )


def _rollover_of(given: pb.ContractRollover) -> ContractRollover:
    cap = given.cap if given.HasField("cap") else -1
    return ContractRollover(given.numerator, given.denominator, cap)


def _render_rollover(rollover: ContractRollover) -> pb.ContractRollover:
    return pb.ContractRollover(
        numerator=rollover.numerator,
        denominator=rollover.denominator,
        cap=rollover.cap if rollover.cap >= 0 else None,
    )


def _view_of(state: State, account: Account, contract: Contract) -> ContractView:
    layer = account.sold.contract if account.sold is not None else ()
    over = contract.state == ContractState.ENDED
    standing = [
        each
        for each in layer
        if each.numbered.number in contract.overrides and each.ended_at_us > state.now and not over
    ]
    return ContractView(contract, tuple(standing))


def _overrides_of(given: Sequence[override_pb2.PriceOverride]) -> tuple[Override, ...]:
    return tuple([override_of(each) for each in given])


def _check_overrides(
    check: Checked, field: str, given: Sequence[override_pb2.PriceOverride]
) -> None:
    check.between(field, len(given), 0, OVERRIDES_MAX)
    prefix = field.removesuffix("overrides")
    for fault in override_faults_of(given):
        check.fault(fault._replace(field=f"{prefix}{fault.field}"))


def _check_commitments(check: Checked, given: Sequence[pb.ContractCommitment]) -> None:
    check.between("commitments", len(given), 0, CONTRACT_COMMITMENTS_MAX)
    for place, each in enumerate(given[:CONTRACT_COMMITMENTS_MAX]):
        path = f"commitments[{place}]."
        check.given(f"{path}terms", each.HasField("terms"))
        if each.HasField("terms"):
            check_terms(check, each.terms, f"{path}terms")
        check_segments(check, each.segments, path)
        check_invoices(check, each.invoices, path)
