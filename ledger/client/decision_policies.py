"""Calls of DecisionPolicyService: what happens where a limit says no."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.client.calls import Caller
from ledger.v1 import decision_policy_pb2 as pb
from ledger.v1.decision_policy_pb2_grpc import DecisionPolicyServiceStub


class DecisionPolicyCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def set_decision_policy(
        self,
        account: str,
        rules: Sequence[pb.PolicyRule],
        *,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.DecisionPolicyServiceSetResponse:
        """Give an account these rules, whole and in order; none = it goes by those above it again.
        Version 0 = whatever it is."""
        request = pb.DecisionPolicyServiceSetRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            rules=rules,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: DecisionPolicyServiceStub(channel).Set, request, account
        )

    async def get_decision_policy(
        self, account: str, *, min_position: str | None = None
    ) -> pb.DecisionPolicyServiceGetResponse:
        """The account's own rules, and those that count for it."""
        request = pb.DecisionPolicyServiceGetRequest(
            tenant=self._caller.tenant,
            account=account,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: DecisionPolicyServiceStub(channel).Get, request, account
        )
