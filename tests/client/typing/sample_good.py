"""What a caller may write; checked by mypy with all strictness, never run."""

from collections.abc import AsyncIterator, Iterator

from ledger.client import DrawdownClient, EventOutcome, MeteredCall, UsageEvent, sync
from ledger.v1 import account_pb2, decision_pb2


async def asynchronous() -> None:
    async with DrawdownClient("h:1", source="api", tenant="t") as client:
        outcome: EventOutcome = await client.record(UsageEvent("e", "acme", {"tokens": 1}))
        charge: int = outcome.charge
        debit: decision_pb2.DebitResponse = await client.debit("acme", "chat", {"tokens": charge})
        async for account in client.list_accounts(parent=debit.reason):
            taken: account_pb2.Account = account
            print(taken.account)
        async with client.metered("acme", "chat", estimate={"tokens": 1}) as call:
            inside: MeteredCall = call
            inside.add(tokens=1)
            async for text in call.metering(texts(), lambda each: {"tokens": len(each)}):
                print(text.upper())


async def texts() -> AsyncIterator[str]:
    yield "a"


def synchronous() -> None:
    with sync.DrawdownClient("h:1", source="api", tenant="t") as client:
        outcome: EventOutcome = client.record(UsageEvent("e", "acme", {"tokens": 1}))
        charge: int = outcome.charge
        debit: decision_pb2.DebitResponse = client.debit("acme", "chat", {"tokens": charge})
        accounts: Iterator[account_pb2.Account] = client.list_accounts(parent=debit.reason)
        print([account.account for account in accounts])
        with client.metered("acme", "chat", estimate={"tokens": 1}) as call:
            call.add(tokens=1)
            for text in call.metering(["a"], lambda each: {"tokens": len(each)}):
                print(text.upper())
