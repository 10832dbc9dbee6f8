"""What a caller may write; checked by mypy with all strictness, never run."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future

from ledger.client import (
    DecidedBy,
    DrawdownClient,
    EventOutcome,
    LeaseTerms,
    MeteredCall,
    OpenBounds,
    UsageEvent,
    sync,
)
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
        later: Future[list[EventOutcome]] = client.submit([UsageEvent("e", "acme", {"tokens": 1})])
        replies: Iterator[decision_pb2.DecideReply] = client.decide_stream(
            [decision_pb2.DecideItem(number=len(later.result()))]
        )
        with client.hold_lease("acme", "chat", LeaseTerms(wanted=1)) as lease:
            spent: bool = lease.spend(1, UsageEvent("e", "", {"tokens": 1}))
        with client.session() as user:
            print(user.balance("acme").position, spent, [reply.number for reply in replies])
        with client.metered("acme", "chat", estimate={"tokens": 1}) as call:
            call.add(tokens=1)
            for text in call.metering(["a"], lambda each: {"tokens": len(each)}):
                print(text.upper())
        with sync.Spool(client, "spool", aside=lambda entry: print(entry.reason)) as spool:
            judged: EventOutcome | None = spool.record(UsageEvent("e", "acme", {"tokens": 1}))
            guard: sync.Guard = client.guard(spool, bounds=OpenBounds(calls=1))
            with guard.metered("acme", "chat", estimate={"tokens": 1}) as guarded:
                guarded.add(tokens=1)
            decided: DecidedBy = guarded.decided_by
            print(judged, decided, guarded.kept, [entry.id for entry in spool.set_aside()])
