"""Every method of every service asks who calls; none is left out, none answers without a right.

The methods are found by their descriptors, and called over a real socket.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ledger.api.access import ACCESS, ACCOUNT, Place, Reach, Rule, texts_at
from ledger.api.deciding import KINDS as DECISIONS
from ledger.api.ids import UNKNOWN, mint
from ledger.auth.principal import Scope
from ledger.journal.storage import MemoryStorage
from ledger.v1 import package_pb2, recurring_pb2, usage_pb2
from tests.api.proven import Proven, proven
from tests.api.served import SystemClock, event, refused

KINDS = (*UNKNOWN,)
OTHERS = (health_pb2, reflection_pb2)
UNSENT = "Internal error from Core"


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Proven]:
    storage = MemoryStorage(SystemClock().now_us, 4)
    async with proven(storage, tmp_path / "keys.json") as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Proven]:
    """One server for all that is refused: nothing of it is recorded, so that none sees another."""
    storage = MemoryStorage(SystemClock().now_us, 4)
    async with proven(storage, tmp_path_factory.mktemp("refusing") / "keys.json") as found:
        yield found


@pytest.fixture
async def family(asked: Proven) -> Proven:
    """acme above acme/a (above acme/a/x) and acme/b; other is of another family."""
    operator = asked.caller(tenant="*")
    await operator.priced()
    await operator.account("acme")
    await operator.account("acme/a", parent="acme")
    await operator.account("acme/a/x", parent="acme/a")
    await operator.account("acme/b", parent="acme")
    await operator.account("other")
    for name in ("acme/a", "acme/a/x", "acme/b", "other"):
        await operator.grant(name, 1_000_000)
    return asked


def methods() -> list[MethodDescriptor]:
    from ledger.api import server

    source = Path(server.__file__).read_text("utf-8")
    named = re.findall(r'(\w+_pb2)\.DESCRIPTOR\.services_by_name\["(\w+)"\]', source)
    files = [getattr(server, module).DESCRIPTOR for module, _ in named]
    found = {
        service.full_name: service
        for file in (*files, *[module.DESCRIPTOR for module in OTHERS])
        for service in file.services_by_name.values()
    }
    return [method for service in found.values() for method in service.methods]


METHODS = {f"{each.containing_service.full_name}/{each.name}": each for each in methods()}
OURS = {name: method for name, method in METHODS.items() if ACCESS[name].reach not in (Reach.OPEN,)}


def test_every_method_has_an_entry_and_every_entry_a_method() -> None:
    assert sorted(METHODS) == sorted(ACCESS)
    assert len(METHODS) > 150


async def test_what_the_server_answers_is_in_the_table(asked: Proven) -> None:
    """By its own reflection: no service is served that the descriptors of the tests do not have."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(asked.caller().channel)
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    [reply] = [each async for each in stub.ServerReflectionInfo(iter([question]))]
    served = {each.name for each in reply.list_services_response.service}
    assert served == {name.partition("/")[0] for name in ACCESS}


def stands(message: Descriptor, path: str) -> bool:
    """Whether a path leads through fields of a message to a text, or to what may be set."""
    step, _, rest = path.partition(".")
    field = message.fields_by_name.get(step.removesuffix("[]"))
    if field is None or field.is_repeated != step.endswith("[]"):
        return False
    return stands(field.message_type, rest) if rest else field.message_type is None


@pytest.mark.parametrize("name", sorted(OURS))
def test_what_is_looked_at_in_a_request_stands_there(name: str) -> None:
    """A path that leads nowhere failed every call of its method, where callers are asked."""
    rule, message = ACCESS[name], METHODS[name].input_type
    paths = [*rule.tenants, *[place.path for place in rule.places]]
    paths += [path for path in (rule.no_read, rule.noted) if path and path != "*"]
    paths += [rule.family] if rule.family not in ("", "*") else []
    assert [path for path in paths if not stands(message, path)] == []


class Notes:
    """Keeps who asked for what."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, str]] = []

    async def note_change(
        self, actor: str, method: str, tenant: int, account: int, name: str
    ) -> None:
        self.kept.append((method.rpartition("/")[2], name))


async def test_who_publishes_a_package_is_noted_with_its_name(tmp_path: Path) -> None:
    storage, notes = MemoryStorage(SystemClock().now_us, 4), Notes()
    async with proven(storage, tmp_path / "keys.json", notes=notes) as found:
        caller = found.caller(tenant="*")
        await caller.priced()
        package = package_pb2.PackageVersion(name="pro", unit=recurring_pb2.PERIOD_UNIT_MONTH)
        await caller.packages.Publish(
            package_pb2.PackageServicePublishRequest(
                tenant="default", request_id="p", package=package
            )
        )
    assert notes.kept[-1] == ("Publish", "pro")


# -- where accounts stand --------------------------------------------------------------------------

NAMES_OF_ACCOUNTS = {"account", "accounts", "parent", "below", "payer"}
IDS = {f"{kind}_id": kind for kind in KINDS}
NOT_ASKED = {
    # What a reply fills in, where a message of the contract serves both ways.
    "ledger.v1.CommitmentService/Create": {"segments[].grant_id"},
    "ledger.v1.CommitmentService/AddSegment": {"segment.grant_id"},
    "ledger.v1.ContractService/Sign": {"commitments[].segments[].grant_id"},
    "ledger.v1.ContractService/Amend": {"commitments[].segments[].grant_id"},
    # It does not exist yet; whoever may open accounts below its parent may give it any name.
    "ledger.v1.AccountService/Create": {"account"},
    # Each is of the lease's account, or refused.
    "ledger.v1.LeaseService/ReportUsage": {"events[].account", "events[].quote_id"},
    # It needs the whole tenant in any case.
    "rating.v1.PricingService/Rerate": {"account"},
    "ledger.v1.SizingService/PublishRules": {"rules.rules[].account"},
}


def places_in(message: Descriptor, path: str = "", depth: int = 0) -> Iterator[str]:
    """Paths of every text field whose name is one of accounts or minted ids."""
    for field in message.fields:
        step = f"{path}{field.name}" + ("[]" if field.is_repeated else "")
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if depth < 4 and not field.message_type.GetOptions().map_entry:
                yield from places_in(field.message_type, f"{step}.", depth + 1)
        elif field.type == FieldDescriptor.TYPE_STRING and (
            field.name in NAMES_OF_ACCOUNTS
            or any(field.name == name or field.name.endswith(f"_{name}") for name in IDS)
        ):
            yield step


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_field_that_names_an_account_or_what_it_has_is_asked(name: str) -> None:
    rule, method = ACCESS[name], METHODS[name]
    found = set(places_in(method.input_type))
    if name == "ledger.v1.DecisionService/CheckMany":
        assert found == {"accounts[]", "hold_id"}  # a hold of the only account of the call
        return
    if name == "ledger.v1.DecisionService/DecideStream":  # each item is asked as its own call is
        single = {"check": "Check", **{each: each.capitalize() for each in DECISIONS}}
        assert found == {
            f"items[].{field}.{place.path}"
            for field, method_name in single.items()
            for place in ACCESS[f"ledger.v1.DecisionService/{method_name}"].places
        }
        return
    if name.startswith("envoy."):
        assert found == set()  # it is asked inside, as DecisionService
        return
    if rule.reach is Reach.ITEMS:
        accounts = {
            "events[].account",
            "compact.accounts[]",
            "events[].quote_id",
            "compact.quotes[].quote_id",
        }
        prefix = "batch." if name.endswith("Stream") else ""
        assert found == {f"{prefix}{path}" for path in accounts}
        return
    if rule.reach is Reach.ACCOUNTS:
        asked = {place.path for place in rule.places}
        assert found - NOT_ASKED.get(name, set()) == asked
    else:
        assert found - NOT_ASKED.get(name, set()) == set()
    assert all(("." in path) or path in method.input_type.fields_by_name for path in rule.tenants)


# -- each of them, over a real socket --------------------------------------------------------------


def call(proven: Proven, name: str, secret: str, request: Any) -> Any:
    method = METHODS[name]
    kind = (
        ("stream" if method.client_streaming else "unary")
        + "_"
        + ("stream" if method.server_streaming else "unary")
    )
    channel: Any = proven.bearing(secret).channel
    made = getattr(channel, kind)(
        f"/{name}",
        request_serializer=message_factory.GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
    )
    return made(iter([request]) if method.client_streaming else request)


async def refusal(proven: Proven, name: str, secret: str, request: Any) -> Any:
    """The status that a call ends with, or the failure that nothing refused it.

    A client of grpc.aio that sends on a stream just as it is refused says UNSENT: asked again.
    """
    while True:
        made = call(proven, name, secret, request)
        try:
            if METHODS[name].server_streaming:
                async for _ in made:
                    break
            else:
                await made
        except grpc.aio.AioRpcError as error:
            if METHODS[name].client_streaming and error.details() == UNSENT:
                continue
            return refused(error)
        raise AssertionError(f"{name} was answered")


def request_of(
    name: str, tenant: str = "default", place: Place | None = None, text: str = ""
) -> Any:
    """The emptiest request, with a tenant, and an account where it is asked for."""
    rule = ACCESS[name]
    request = message_factory.GetMessageClass(METHODS[name].input_type)()
    for path in rule.tenants:
        put(request, path, tenant)
    if place is not None:
        put(request, place.path, text)
    return request


def put(message: Any, path: str, text: str) -> None:
    *steps, last = path.split(".")
    for step in steps:
        inner = getattr(message, step.removesuffix("[]"))
        message = inner.add() if step.endswith("[]") else inner
    if last.endswith("[]"):
        getattr(message, last.removesuffix("[]")).append(text)
    else:
        setattr(message, last, text)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", sorted(OURS))
async def test_without_a_token_nobody_calls(refusing: Proven, name: str) -> None:
    before = refusing.entries
    found = await refusal(refusing, name, "", request_of(name))
    assert (found.code, found.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REQUIRED")
    found = await refusal(refusing, name, "no.token", request_of(name))
    assert (found.code, found.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MALFORMED")
    found = await refusal(refusing, name, refusing.token(exp=1_000), request_of(name))
    assert (found.code, found.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")
    assert refusing.entries == before


def wrong_scopes(rule: Rule) -> list[Scope]:
    return sorted(set(Scope) - rule.scopes)


SCOPED = {
    name: rule
    for name, rule in ACCESS.items()
    if rule.reach in (Reach.ACCOUNTS, Reach.ITEMS, Reach.TENANT, Reach.CATALOG)
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", sorted(SCOPED))
async def test_without_the_scope_or_the_tenant_nobody_calls(refusing: Proven, name: str) -> None:
    before, rule = refusing.entries, SCOPED[name]
    wrong = " ".join(wrong_scopes(rule))
    if wrong:
        found = await refusal(refusing, name, refusing.token(scope=wrong), request_of(name))
        assert (found.code, found.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    for path in rule.tenants:
        request = request_of(name)
        if path != rule.tenants[0]:
            put(request, path, "sandbox")
        else:
            request = request_of(name, "sandbox")
        found = await refusal(refusing, name, refusing.token(), request)
        assert (found.code, found.reason) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "TENANT_NOT_PERMITTED",
        )
    assert refusing.entries == before


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "name", sorted(name for name, rule in ACCESS.items() if rule.reach is Reach.SERVERS)
)
async def test_what_servers_ask_of_each_other_nobody_else_asks(refusing: Proven, name: str) -> None:
    found = await refusal(refusing, name, refusing.token(tenant="*"), request_of(name))
    assert (found.code, found.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SERVERS_ONLY")


OF_ACCOUNTS = sorted(name for name, rule in ACCESS.items() if rule.reach is Reach.ACCOUNTS)


async def test_an_account_outside_is_refused_by_every_method(family: Proven) -> None:
    """By its own id, by an alias, by the id of what it has; of the same family or another."""
    operator = family.caller(tenant="*")
    from ledger.v1 import account_pb2

    await operator.accounts.AssignAlias(
        account_pb2.AssignAliasRequest(
            tenant="default", request_id="alias", alias="of-b", account="acme/b"
        )
    )
    outside = {}
    for account in ("acme", "acme/b", "other"):
        entry = await family.ledger.resolve(1, account)
        assert entry is not None
        outside[account] = entry
    limited = family.token(accounts=["acme/a"])
    before = family.entries
    for name in OF_ACCOUNTS:
        rule = ACCESS[name]
        found = await refusal(family, name, limited, request_of(name))
        assert (found.code, found.reason) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "WHOLE_TENANT_NEEDED",
        ), name
        for place in rule.places:
            texts = (
                ["acme", "acme/b", "other", "of-b", "nobody"]
                if place.kind == ACCOUNT
                else [mint(place.kind, each.shard, each.number, 1) for each in outside.values()]
            )
            for text in (*texts, "x"):
                request = request_of(name, "default", place, text)
                found = await refusal(family, name, limited, request)
                assert (found.code, found.reason, found.metadata["field"]) == (
                    grpc.StatusCode.PERMISSION_DENIED,
                    "NOT_PERMITTED",
                    place.path,
                ), (name, place, text)
    assert family.entries == before


async def test_calls_about_a_tenant_need_all_of_it(family: Proven) -> None:
    limited = family.token(accounts=["acme"])
    for name, rule in ACCESS.items():
        if rule.reach is Reach.TENANT:
            found = await refusal(family, name, limited, request_of(name))
            assert found.reason == "WHOLE_TENANT_NEEDED", name


async def test_health_is_for_everybody_and_reflection_is_not(asked: Proven) -> None:
    health = health_pb2_grpc.HealthStub(asked.channel)
    reply = await health.Check(health_pb2.HealthCheckRequest())
    assert reply.status == health_pb2.HealthCheckResponse.SERVING
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    name = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    found = await refusal(asked, name, "", question)
    assert found.reason == "TOKEN_REQUIRED"


def test_texts_at_a_path() -> None:
    batch = usage_pb2.IngestRequest(tenant="t", events=[event("1", "a"), event("2", "")])
    assert texts_at(batch, "tenant") == ["t"]
    assert texts_at(batch, "events[].account") == ["a"]
    assert texts_at(batch, "compact.accounts[]") == []
