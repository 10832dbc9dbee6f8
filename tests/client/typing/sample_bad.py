"""What mypy must refuse: each line marked with the error that it is to find. Never run."""

from ledger.client import DrawdownClient, Spool, UsageEvent, sync


async def asynchronous(client: DrawdownClient) -> None:
    await client.record("e-1")  # E: arg-type
    await client.debit("acme", "chat")  # E: call-arg
    outcome = await client.record(UsageEvent("e", "acme", {}))
    print(outcome.charges)  # E: attr-defined
    client.metered("acme", "chat")  # E: call-arg


def synchronous(client: sync.DrawdownClient) -> None:
    client.record("e-1")  # E: arg-type
    client.debit("acme", "chat")  # E: call-arg
    client.debit("acme", "chat", {}, operatoin="x")  # E: call-arg
    print(client.record(UsageEvent("e", "acme", {})).charges)  # E: attr-defined
    for account in client.list_accounts(parent=1):  # E: arg-type
        print(account.accounts)  # E: attr-defined
    sync.DrawdownClient("h:1", sauce="api")  # E: call-arg
    sync.Spool(client, "spool", patience=1)  # E: call-arg


def guarding(client: sync.DrawdownClient, spool: Spool) -> None:
    client.guard(spool)  # E: arg-type
    with sync.Spool(client, "spool") as ours:
        print(client.guard(ours).metered("acme", "chat", estimate={}).keep)  # E: attr-defined
