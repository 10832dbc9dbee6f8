"""Reflection for whoever is proven: the list of services and their messages.

The library's servicer behind our gate. Without a gate anybody may ask.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from grpc_reflection.v1alpha import reflection

from ledger.api.calls import abort
from ledger.api.errors import failure_of
from ledger.api.gate import Gate
from ledger.auth.refusals import AuthRefused

METHOD: Final = f"{reflection.SERVICE_NAME}/ServerReflectionInfo"


class GuardedReflection(reflection.aio.ReflectionServicer):  # type: ignore[misc]
    """See grpc.reflection.v1alpha."""

    def __init__(self, names: Iterable[str], gate: Gate | None) -> None:
        super().__init__(names)
        self._gate = gate

    async def ServerReflectionInfo(  # noqa: N802  the name of the method
        self, request_iterator: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[Any]:
        """Answers what services there are, once we know who asks."""
        if self._gate is not None:
            try:
                await self._gate.caller(METHOD, context)
            except AuthRefused as error:
                failure = failure_of(error)
                assert failure is not None
                await abort(context, failure)
        async for reply in super().ServerReflectionInfo(request_iterator, context):
            yield reply
