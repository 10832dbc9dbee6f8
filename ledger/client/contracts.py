"""Calls of ContractService: a package for a time, with prices and commitments of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from ledger.client.calls import Caller
from ledger.v1 import commitment_pb2, package_pb2
from ledger.v1 import contract_pb2 as pb
from ledger.v1.contract_pb2_grpc import ContractServiceStub
from rating.v1 import override_pb2

PAGE_SIZE = 100


class ContractCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def sign_contract(
        self,
        account: str,
        contract: str,
        package: str,
        ends_at_us: int,
        *,
        starts_at_us: int = 0,
        package_version: int = 0,
        overrides: Iterable[override_pb2.PriceOverride] = (),
        auto_renew: bool = False,
        minimum: int = 0,
        commitments: Iterable[pb.ContractCommitment] = (),
        rollover: pb.ContractRollover | None = None,
        request_id: str = "",
    ) -> pb.ContractServiceSignResponse:
        """Sign a contract; one that starts now, or has started, begins at once."""
        request = pb.ContractServiceSignRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            contract=contract,
            package=package,
            package_version=package_version,
            starts_at_us=starts_at_us,
            ends_at_us=ends_at_us,
            overrides=overrides,
            renewal=pb.CONTRACT_RENEWAL_AUTO if auto_renew else pb.CONTRACT_RENEWAL_OFF,
            minimum=minimum,
            commitments=commitments,
            rollover=rollover,
        )
        return await self._caller.call(
            lambda channel: ContractServiceStub(channel).Sign, request, account
        )

    async def amend_contract(
        self,
        account: str,
        contract: str,
        *,
        effective_at_us: int = 0,
        overrides: Iterable[override_pb2.PriceOverride] | None = None,
        package_version: int = 0,
        ends_at_us: int = 0,
        renewal: pb.ContractRenewal.ValueType = pb.CONTRACT_RENEWAL_UNSPECIFIED,
        commitments: Iterable[pb.ContractCommitment] = (),
        expected_version: int = 0,
        minimum: int | None = None,
        rollover: pb.ContractRollover | None = None,
        request_id: str = "",
    ) -> pb.ContractServiceAmendResponse:
        """Change what a contract says; `overrides`, `minimum`, `rollover` None = as before."""
        request = pb.ContractServiceAmendRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            contract=contract,
            effective_at_us=effective_at_us,
            prices=pb.ContractPrices(overrides=overrides) if overrides is not None else None,
            package_version=package_version,
            ends_at_us=ends_at_us,
            renewal=renewal,
            commitments=commitments,
            expected_version=expected_version,
            minimum=minimum,
            rollover=rollover,
        )
        return await self._caller.call(
            lambda channel: ContractServiceStub(channel).Amend, request, account
        )

    async def end_contract(
        self,
        account: str,
        contract: str,
        ending: commitment_pb2.CommitmentEnding.ValueType,
        *,
        target: str = "",
        old_grants: package_pb2.OldGrants.ValueType = package_pb2.OLD_GRANTS_KEEP,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.ContractServiceEndResponse:
        """End a contract now; `target` is the commitment that takes what is transferred."""
        request = pb.ContractServiceEndRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            contract=contract,
            ending=ending,
            target_commitment_id=target,
            old_grants=old_grants,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: ContractServiceStub(channel).End, request, account
        )

    async def get_contract(self, account: str, contract: str) -> pb.Contract:
        """One contract, one that is over too."""
        request = pb.ContractServiceGetRequest(
            tenant=self._caller.tenant, account=account, contract=contract
        )
        reply = await self._caller.call(
            lambda channel: ContractServiceStub(channel).Get, request, account
        )
        return reply.contract

    async def list_contracts(self, account: str) -> AsyncIterator[pb.Contract]:
        """The contracts of an account in the order signed, those that are over too."""
        request = pb.ContractServiceListRequest(
            tenant=self._caller.tenant, account=account, page_size=PAGE_SIZE
        )
        while True:
            reply = await self._caller.call(
                lambda channel: ContractServiceStub(channel).List, request, account
            )
            for each in reply.contracts:
                yield each
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token
