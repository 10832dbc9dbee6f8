"""JournalService: what became of a call, who serves which shard, and whether the books balance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger.api.answers import Answer, replayed
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, refused
from ledger.api.forward import Forwarder
from ledger.api.forward_all import gather_parts, read_owned
from ledger.api.ids import (
    CAP,
    CHARGE,
    COMMITMENT,
    GRANT,
    HOLD,
    LEASE,
    OUTCOME,
    QUOTE,
    RECURRING,
    TOP_UP,
    mint,
)
from ledger.api.limits import Checked
from ledger.api.positions import decode_position, encode_position, position_of
from ledger.api.proofs import ProofCalls
from ledger.api.rendering.render_decision import (
    hold_of,
    hold_view,
    limit_said,
    render_authorize,
    render_capture,
    render_debit,
    render_release,
    say_limit,
    say_ruling,
)
from ledger.api.replies import Outcomes
from ledger.api.services.fail_mode_service import fail_modes_of
from ledger.api.services.payment_service import bill_id
from ledger.core import events as e
from ledger.core.commands import AbandonRequest, Names
from ledger.core.outcomes import Reason, Refusal
from ledger.core.state import State
from ledger.engine.ticket import Replay
from ledger.integrity.store import SealStore
from ledger.journal.directory import PLACEMENT_HASH, Entry
from ledger.v1 import journal_pb2 as pb
from ledger.v1.decision_pb2 import ExtendResponse

_KINDS: Final[Mapping[type, pb.MutationKind.ValueType]] = {
    e.UsageRecorded: pb.MUTATION_KIND_USAGE,  # a capture where it settled a hold
    e.UsageModeled: pb.MUTATION_KIND_USAGE,
    e.UsageCosted: pb.MUTATION_KIND_USAGE,
    e.UsageCaptured: pb.MUTATION_KIND_CAPTURE,
    e.UsageQuoted: pb.MUTATION_KIND_USAGE,  # likewise
    e.UsageRepriced: pb.MUTATION_KIND_USAGE,
    e.QuoteMade: pb.MUTATION_KIND_CREATE_QUOTE,
    e.UsageQuarantined: pb.MUTATION_KIND_USAGE,
    e.GaugeReported: pb.MUTATION_KIND_USAGE,
    e.GaugeCharged: pb.MUTATION_KIND_USAGE,  # nobody knows its key
    e.GaugeReversed: pb.MUTATION_KIND_REVERSE_USAGE,
    e.HoldAuthorized: pb.MUTATION_KIND_AUTHORIZE,
    e.AuthorizeDenied: pb.MUTATION_KIND_AUTHORIZE,
    e.QuotedDenied: pb.MUTATION_KIND_AUTHORIZE,
    e.SizedDenied: pb.MUTATION_KIND_AUTHORIZE,
    e.WorkDenied: pb.MUTATION_KIND_AUTHORIZE,  # a debit where it was to be charged at once
    e.HoldSized: pb.MUTATION_KIND_AUTHORIZE,
    e.OperationHeld: pb.MUTATION_KIND_AUTHORIZE,
    e.OperationReserved: pb.MUTATION_KIND_AUTHORIZE,
    e.OperationPartHeld: pb.MUTATION_KIND_AUTHORIZE,
    e.SizedOperationHeld: pb.MUTATION_KIND_AUTHORIZE,
    e.HoldUpTo: pb.MUTATION_KIND_AUTHORIZE,
    e.PolicyHeld: pb.MUTATION_KIND_AUTHORIZE,
    e.PolicyDenied: pb.MUTATION_KIND_AUTHORIZE,  # likewise
    e.UsageDebited: pb.MUTATION_KIND_DEBIT,
    e.PolicyDebited: pb.MUTATION_KIND_DEBIT,
    e.HoldDebited: pb.MUTATION_KIND_DEBIT,
    e.HoldDebitDenied: pb.MUTATION_KIND_AUTHORIZE,  # likewise
    e.DecisionPolicySet: pb.MUTATION_KIND_SET_DECISION_POLICY,
    e.BudgetDenied: pb.MUTATION_KIND_AUTHORIZE,
    e.BudgetSet: pb.MUTATION_KIND_SET_BUDGET,
    e.GroupedBudgetSet: pb.MUTATION_KIND_SET_BUDGET,
    e.OperationBudgetSet: pb.MUTATION_KIND_SET_OPERATION_BUDGET,
    e.OperationPolicySet: pb.MUTATION_KIND_SET_OPERATION_POLICY,
    e.BudgetRemoved: pb.MUTATION_KIND_REMOVE_BUDGET,
    e.SharingUpdated: pb.MUTATION_KIND_UPDATE_SHARING,
    e.CapSet: pb.MUTATION_KIND_SET_CAP,
    e.CapBegun: pb.MUTATION_KIND_SET_CAP,
    e.CapRemoved: pb.MUTATION_KIND_REMOVE_CAP,
    e.HoldReleased: pb.MUTATION_KIND_RELEASE,
    e.LeaseGranted: pb.MUTATION_KIND_ACQUIRE_LEASE,
    e.OperationLeaseGranted: pb.MUTATION_KIND_ACQUIRE_LEASE,
    e.LeaseRenewed: pb.MUTATION_KIND_RENEW_LEASE,
    e.LeaseReturned: pb.MUTATION_KIND_GIVE_BACK_LEASE,
    e.LeaseRecalled: pb.MUTATION_KIND_RECALL_LEASE,
    e.MandateGranted: pb.MUTATION_KIND_GRANT_MANDATE,
    e.BuyingMandateGranted: pb.MUTATION_KIND_GRANT_MANDATE,
    e.PurchaseRequested: pb.MUTATION_KIND_REQUEST_TOP_UP,
    e.MandateRevoked: pb.MUTATION_KIND_REVOKE_MANDATE,
    e.UsageLeased: pb.MUTATION_KIND_USAGE,
    e.OutcomeReported: pb.MUTATION_KIND_REPORT_OUTCOME,
    e.OutcomeConfirmed: pb.MUTATION_KIND_CONFIRM_OUTCOME,
    e.OutcomeRejected: pb.MUTATION_KIND_REJECT_OUTCOME,
    e.HoldExtended: pb.MUTATION_KIND_EXTEND,
    e.AccountCreated: pb.MUTATION_KIND_CREATE_ACCOUNT,
    e.AccountPolicyUpdated: pb.MUTATION_KIND_UPDATE_POLICY,
    e.AccountClosed: pb.MUTATION_KIND_CLOSE_ACCOUNT,
    e.AccountClosedOut: pb.MUTATION_KIND_CLOSE_ACCOUNT,
    e.AccountMoved: pb.MUTATION_KIND_MOVE_ACCOUNT,
    e.AccountFrozen: pb.MUTATION_KIND_FREEZE_ACCOUNT,
    e.AccountUnfrozen: pb.MUTATION_KIND_UNFREEZE_ACCOUNT,
    e.AccountReopened: pb.MUTATION_KIND_REOPEN_ACCOUNT,
    e.AccountProfileUpdated: pb.MUTATION_KIND_UPDATE_METADATA,
    e.PriceOverridesSet: pb.MUTATION_KIND_SET_PRICE_OVERRIDES,
    e.GrantIssued: pb.MUTATION_KIND_ISSUE_GRANT,
    e.GrantVoided: pb.MUTATION_KIND_VOID_GRANT,
    e.RecurringStarted: pb.MUTATION_KIND_START_RECURRING_GRANT,
    e.RecurringChanged: pb.MUTATION_KIND_CHANGE_RECURRING_GRANT,
    e.RecurringPaused: pb.MUTATION_KIND_PAUSE_RECURRING_GRANT,
    e.RecurringResumed: pb.MUTATION_KIND_RESUME_RECURRING_GRANT,
    e.RecurringEnded: pb.MUTATION_KIND_END_RECURRING_GRANT,
    e.CommitmentCreated: pb.MUTATION_KIND_CREATE_COMMITMENT,
    e.SegmentAdded: pb.MUTATION_KIND_ADD_SEGMENT,
    e.CommitmentEnded: pb.MUTATION_KIND_END_COMMITMENT,
    e.Subscribed: pb.MUTATION_KIND_SUBSCRIBE,
    e.PackageChanged: pb.MUTATION_KIND_CHANGE_PACKAGE,
    e.SubscriptionCancelled: pb.MUTATION_KIND_CANCEL_SUBSCRIPTION,
    e.SeatPlanStarted: pb.MUTATION_KIND_START_SEAT_PLAN,
    e.SeatsAdded: pb.MUTATION_KIND_ADD_SEATS,
    e.SeatsRemoved: pb.MUTATION_KIND_REMOVE_SEATS,
    e.SeatReassigned: pb.MUTATION_KIND_REASSIGN_SEAT,
    e.SeatSuspended: pb.MUTATION_KIND_SUSPEND_SEAT,  # or resumed
    e.SeatPlanEnded: pb.MUTATION_KIND_END_SEAT_PLAN,
    e.SeatTermsChanged: pb.MUTATION_KIND_CHANGE_SEAT_TERMS,
    e.ChargeStarted: pb.MUTATION_KIND_START_CHARGE,
    e.ChargeChanged: pb.MUTATION_KIND_CHANGE_CHARGE_QUANTITY,  # of terms where it says some
    e.ChargeEnded: pb.MUTATION_KIND_END_CHARGE,
    e.StatementsSet: pb.MUTATION_KIND_SET_STATEMENTS,
    e.StatementEnded: pb.MUTATION_KIND_CLOSE_STATEMENT,
    e.StatementClosed: pb.MUTATION_KIND_CLOSE_STATEMENT,  # the server's own, behind it
    e.ContractSigned: pb.MUTATION_KIND_SIGN_CONTRACT,
    e.ContractAmended: pb.MUTATION_KIND_AMEND_CONTRACT,
    e.ContractEnded: pb.MUTATION_KIND_END_CONTRACT,
    e.RunwayAlertSet: pb.MUTATION_KIND_SET_RUNWAY_ALERT,
    e.RunwayAlertRemoved: pb.MUTATION_KIND_REMOVE_RUNWAY_ALERT,
    e.TopUpRuleSet: pb.MUTATION_KIND_SET_TOP_UP_RULE,
    e.TopUpRuleRemoved: pb.MUTATION_KIND_REMOVE_TOP_UP_RULE,
    e.TopUpConfirmed: pb.MUTATION_KIND_CONFIRM_TOP_UP,
    e.TopUpDeclined: pb.MUTATION_KIND_DECLINE_TOP_UP,
    e.UsageReversed: pb.MUTATION_KIND_REVERSE_USAGE,  # an amendment where other usage stands for it
    e.BalanceAdjusted: pb.MUTATION_KIND_ADJUST_BALANCE,
    e.GrantReleased: pb.MUTATION_KIND_CONFIRM_PAYMENT,
    e.GrantCancelled: pb.MUTATION_KIND_FAIL_PAYMENT,
    e.GrantRefunded: pb.MUTATION_KIND_REFUND,
    e.GrantChargedBack: pb.MUTATION_KIND_CHARGEBACK,
    e.AccountBilled: pb.MUTATION_KIND_BILL,
    e.PaymentRecorded: pb.MUTATION_KIND_RECORD_PAYMENT,
    e.CreditNoteIssued: pb.MUTATION_KIND_ISSUE_CREDIT_NOTE,
    e.ReceivableWrittenOff: pb.MUTATION_KIND_WRITE_OFF,
}


_OF_ACCOUNTS: Final = (
    e.DecisionPolicySet,
    e.OperationPolicySet,
    e.MandateGranted,
    e.BuyingMandateGranted,
    e.MandateRevoked,
    e.AccountCreated,
    e.AccountPolicyUpdated,
    e.AccountClosed,
    e.AccountClosedOut,
    e.AccountMoved,
    e.AccountFrozen,
    e.AccountUnfrozen,
    e.AccountReopened,
    e.AccountProfileUpdated,
    e.PriceOverridesSet,
    e.Subscribed,
    e.PackageChanged,
    e.SubscriptionCancelled,
    e.SeatPlanStarted,
    e.SeatsAdded,
    e.SeatsRemoved,
    e.SeatReassigned,
    e.SeatSuspended,
    e.SeatTermsChanged,
    e.SeatPlanEnded,
    e.StatementsSet,
    e.StatementEnded,
    e.StatementClosed,
    e.ContractSigned,
    e.ContractAmended,
    e.ContractEnded,
)

TRIAL_BALANCE_METHOD: Final = (
    f"{pb.DESCRIPTOR.services_by_name['JournalService'].full_name}/TrialBalance"
)


class JournalService(ProofCalls):
    """See ledger/v1/journal.proto."""

    def __init__(self, edge: Edge, seals: SealStore, forwarder: Forwarder) -> None:
        self._edge = edge
        self._seals = seals
        self._forwarder = forwarder

    # -- outcomes --------------------------------------------------------------------------------

    async def get_outcome(self, request: pb.GetOutcomeRequest, call: Call) -> pb.GetOutcomeResponse:
        """What is known of a call; with `abandon`, "not applied" becomes final."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(account=request.account)
        which = request.WhichOneof("key")
        check.given("key", which is not None)
        if which == "usage":
            check.ids(**{"usage.source": request.usage.source, "usage.id": request.usage.id})
        elif which == "request_id":
            check.ids(request_id=request.request_id)
        check.done()
        entry = await edge.ledger.resolve(tenant, request.account)
        if entry is None:
            return self._without_account(request)
        family = edge.ledger.family(entry)
        key = (
            family.usage(request.usage.source, request.usage.id)
            if which == "usage"
            else family.request(request.request_id)
        )
        writer = edge.writer(entry)
        _, reached = await writer.read(_nothing)
        recorded = await writer.recorded.under(key)
        if recorded is None and request.abandon:
            recorded = await self._abandon(request, entry, key, call)
        if recorded is None:
            return pb.GetOutcomeResponse(
                state=pb.OUTCOME_STATE_NOT_FOUND, position=position_of(entry.shard, reached)
            )
        if isinstance(recorded.event, e.RequestAbandoned):
            return pb.GetOutcomeResponse(
                state=pb.OUTCOME_STATE_ABANDONED,
                recorded_at_us=recorded.recorded_at,
                position=position_of(entry.shard, recorded.entry_seq + 1),
            )
        await call.found(tenant, entry.shard, recorded.event.account, "account", request.account)
        response = await self._recorded(recorded, entry)
        if response.kind != pb.MUTATION_KIND_USAGE:  # nobody is named beside usage
            at = entry.shard, recorded.batch_seq, recorded.entry_seq
            response.actor = await edge.actor(*at)
        return response

    def _without_account(self, request: pb.GetOutcomeRequest) -> pb.GetOutcomeResponse:
        """Nobody knows the account: nothing was recorded for it, and no tombstone can stand."""
        if request.abandon:
            raise CallFailed(
                "ACCOUNT_UNKNOWN",
                "a call of an account that does not exist cannot be abandoned",
                field="account",
                value=request.account,
            )
        return pb.GetOutcomeResponse(state=pb.OUTCOME_STATE_NOT_FOUND)

    async def _abandon(
        self, request: pb.GetOutcomeRequest, entry: Entry, key: bytes, call: Call
    ) -> Replay | None:
        """Write the tombstone, unless the call was recorded meanwhile; what stands there then."""
        names = (
            Names(request.usage.source, request.usage.id)
            if request.HasField("usage")
            else Names("", request.request_id)
        )
        command = AbandonRequest(key, entry.number, names, call.trace)
        ticket = await call.submit(self._edge.ledger, entry, command)
        outcome = ticket.outcomes[0]
        if isinstance(outcome, Refusal) and outcome.reason != Reason.ABANDONED:
            raise refused(outcome, {"account": request.account})
        return await self._edge.writer(entry).recorded.under(key)

    async def _recorded(self, recorded: Replay, entry: Entry) -> pb.GetOutcomeResponse:
        edge = self._edge
        answer = replayed(recorded, entry.shard)
        event = recorded.event
        response = pb.GetOutcomeResponse(
            state=pb.OUTCOME_STATE_RECORDED,
            kind=_KINDS[type(event)],
            recorded_at_us=recorded.recorded_at,
            position=answer.position,
        )
        match event:
            case e.UsageReversed() if event.replaced_by:
                response.kind = pb.MUTATION_KIND_AMEND_USAGE
            case e.SeatSuspended() if not event.suspended:
                response.kind = pb.MUTATION_KIND_RESUME_SEAT
                response.resource = (await edge.names([event.account]))[event.account]
            case e.OutcomeReported() | e.OutcomeConfirmed() | e.OutcomeRejected():
                response.resource = mint(OUTCOME, entry.shard, event.account, event.hold)
            case e.LeaseGranted() | e.LeaseRenewed() | e.LeaseReturned() | e.LeaseRecalled():
                response.resource = mint(LEASE, entry.shard, event.account, event.hold)
            case e.UsageLeased():
                self._usage(response, recorded)
                response.resource = mint(LEASE, entry.shard, event.account, event.hold)
            case e.UsageDebited():
                await self._debit(response, answer, event, entry)
            case e.WorkDenied() if event.debit:
                response.kind = pb.MUTATION_KIND_DEBIT
                await self._debit(response, answer, event, entry)
            case e.UsageRecorded() if event.hold:
                response.kind = pb.MUTATION_KIND_CAPTURE
                await self._capture(response, answer, event, entry)
            case e.UsageRecorded() | e.UsageQuarantined() | e.GaugeReported():
                self._usage(response, recorded)
            case e.HoldAuthorized() | e.AuthorizeDenied():
                await self._authorize(response, answer, event, entry)
            case e.QuoteMade():
                response.resource = mint(QUOTE, entry.shard, event.account, event.quote)
            case e.HoldReleased():
                response.resource = mint(HOLD, entry.shard, event.account, event.hold)
                hold = await hold_of(edge.writer(entry), event.account, event.hold)
                response.release.CopyFrom(render_release(edge.assets, hold))
                response.release.position = answer.position
                response.release.replayed = True
            case e.HoldExtended():
                response.resource = mint(HOLD, entry.shard, event.account, event.hold)
                hold = await hold_of(edge.writer(entry), event.account, event.hold)
                response.extend.CopyFrom(
                    ExtendResponse(
                        expires_at_us=event.expires_at,
                        hold_state=hold.state,
                        position=answer.position,
                        replayed=True,
                    )
                )
            case e.PurchaseRequested():
                response.resource = mint(GRANT, entry.shard, event.payer, event.grant)
            case e.TopUpDeclined():
                response.resource = mint(TOP_UP, entry.shard, event.account, event.top_up)
            case e.AccountBilled():
                response.resource = bill_id(answer, entry.shard, event.account)
            case (
                e.GrantIssued()
                | e.GrantVoided()
                | e.GrantReleased()
                | e.GrantCancelled()
                | e.GrantRefunded()
                | e.GrantChargedBack()
                | e.TopUpConfirmed()
                | e.SharingUpdated()
            ):
                response.resource = mint(GRANT, entry.shard, event.account, event.grant)
            case (
                e.RecurringStarted()
                | e.RecurringChanged()
                | e.RecurringPaused()
                | e.RecurringResumed()
                | e.RecurringEnded()
            ):
                response.resource = mint(RECURRING, entry.shard, event.account, event.recurring)
            case e.CapSet() | e.CapRemoved():
                response.resource = mint(CAP, entry.shard, event.account, event.cap)
            case e.ChargeStarted() | e.ChargeChanged() | e.ChargeEnded():
                if isinstance(event, e.ChargeChanged) and event.terms is not None:
                    response.kind = pb.MUTATION_KIND_CHANGE_CHARGE_TERMS
                response.resource = mint(CHARGE, entry.shard, event.account, event.charge)
            case e.CommitmentCreated() | e.SegmentAdded() | e.CommitmentEnded():
                response.resource = mint(COMMITMENT, entry.shard, event.account, event.commitment)
            case _ if isinstance(event, _OF_ACCOUNTS):
                response.resource = (await edge.names([event.account]))[event.account]
        return response

    def _usage(self, response: pb.GetOutcomeResponse, recorded: Replay) -> None:
        assets = self._edge.assets
        outcomes = Outcomes(1, assets)
        outcomes.recorded(0, recorded.event, recorded.plan)
        outcomes.replayed[0] = response.position
        response.usage.CopyFrom(outcomes.result(0))
        if outcomes.assets():
            charged = outcomes.assets()[0]
            response.asset, response.scale = charged.asset, charged.scale

    async def _capture(
        self, response: pb.GetOutcomeResponse, answer: Answer, event: e.UsageRecorded, entry: Entry
    ) -> None:
        edge = self._edge
        assert answer.plan is not None
        response.resource = mint(HOLD, entry.shard, event.account, event.hold)
        hold = await hold_of(edge.writer(entry), event.account, event.hold)
        response.capture.CopyFrom(render_capture(edge.assets, event, answer.plan, hold))
        response.capture.position, response.capture.replayed = answer.position, True

    async def _debit(
        self,
        response: pb.GetOutcomeResponse,
        answer: Answer,
        event: e.UsageDebited | e.WorkDenied,
        entry: Entry,
    ) -> None:
        assert answer.plan is not None
        debit = response.debit
        debit.CopyFrom(render_debit(self._edge.assets, event, answer.plan))
        debit.position, debit.replayed = answer.position, True
        if event.limit is not None:
            names = await self._edge.names([event.limit.account])
            say_limit(debit, event.limit, entry.shard, names, answer.recorded_at_us)
        await say_ruling(self._edge, debit, event, answer.plan, entry.shard)

    async def _authorize(
        self,
        response: pb.GetOutcomeResponse,
        answer: Answer,
        event: e.HoldAuthorized | e.AuthorizeDenied,
        entry: Entry,
    ) -> None:
        edge = self._edge
        assert answer.plan is not None
        decided = response.authorize
        decided.CopyFrom(render_authorize(edge.assets, event, answer.plan, entry.shard))
        decided.position, decided.replayed = answer.position, True
        limit = limit_said(event)
        if limit is not None:
            names = await edge.names([limit.account])
            say_limit(decided, limit, entry.shard, names, answer.recorded_at_us)
        await say_ruling(edge, decided, event, answer.plan, entry.shard)
        if isinstance(event, e.HoldAuthorized):
            number = event.hold
            view, _ = await edge.writer(entry).read(
                lambda state: hold_view(state, event.account, number), accounts=(event.account,)
            )
            decided.hold_state = view.state
            response.resource = decided.hold_id

    # -- shards and books ------------------------------------------------------------------------

    async def get_routing(self, request: pb.GetRoutingRequest, call: Call) -> pb.GetRoutingResponse:
        """The shard map. Of ourselves we say "as you asked", unless there are others."""
        tenant = await self._edge.tenant(request.tenant)
        ledger = self._edge.ledger
        shards = ledger.shards
        await ledger.configurations.read(tenant)
        return pb.GetRoutingResponse(
            hash=PLACEMENT_HASH,
            shards=[
                pb.ShardRoute(shard=shard, address=shards.address(shard))
                for shard in range(len(shards.writers))
            ],
            fail_modes=fail_modes_of(ledger.configurations, tenant),
        )

    async def trial_balance(
        self, request: pb.TrialBalanceRequest, call: Call
    ) -> pb.TrialBalanceResponse:
        """Debits and credits of each asset on each shard."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.optional(asset=request.asset)
        check.done()
        least = decode_position(request.min_position)
        rows: list[pb.TrialBalanceRow] = []
        reached: dict[int, int] = {}
        balanced = True
        here = await read_owned(edge.ledger, lambda state: _totals(state, tenant), least)
        for part in await self._elsewhere(request, set(here), call):
            rows.extend(part.rows)
            reached.update(decode_position(part.position))
            balanced &= part.balanced
        for shard, (totals, position) in here.items():
            reached[shard] = position
            for number, row in totals.items():
                asset = edge.assets.of(number)
                if request.asset and asset.code != request.asset:
                    continue
                row.asset, row.scale = asset.code, asset.scale
                row.position = position_of(shard, reached[shard])
                balanced &= row.debits_posted == row.credits_posted
                balanced &= row.debits_pending == row.credits_pending
                rows.append(row)
        return pb.TrialBalanceResponse(
            rows=sorted(rows, key=lambda row: (row.asset, row.shard)),
            balanced=balanced,
            position=encode_position(reached),
        )

    async def _elsewhere(
        self, request: pb.TrialBalanceRequest, here: set[int], call: Call
    ) -> list[pb.TrialBalanceResponse]:
        """The rows of other processes' shards; none where another process adds them up."""
        missing = set(range(self._edge.ledger.directory.shards)) - here
        if not missing or call.forwarded:
            return []
        return await gather_parts(
            self._forwarder,
            TRIAL_BALANCE_METHOD,
            request,
            pb.TrialBalanceResponse,
            call.hop,
            missing,
            lambda part: set(decode_position(part.position)),
        )


def _totals(state: State, tenant: int) -> dict[int, pb.TrialBalanceRow]:
    """The two sides of each of the tenant's assets, which the books sum apart (rule B7)."""
    return {
        number: pb.TrialBalanceRow(
            shard=state.shard,
            debits_posted=str(total.debits_posted),
            credits_posted=str(total.credits_posted),
            debits_pending=str(total.debits_pending),
            credits_pending=str(total.credits_pending),
        )
        for number, total in state.books.totals.items()
        if state.catalog.assets[number].tenant == tenant
    }


def _nothing(_: object) -> None:
    """Only the position is asked for."""
