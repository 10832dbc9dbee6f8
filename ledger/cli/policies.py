"""`drawdown policy`: what happens where a limit says no."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.output import amount, console, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options
from ledger.core.limits import SECOND_US

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from ledger.v1 import decision_policy_pb2


@click.group(short_help="Set and show decision policies.")
def policy() -> None:
    """Rules of an account for what a limit does not allow: they count for all below it too."""


@policy.command("set", short_help="Give an account rules, whole and in order.")
@click.argument("account")
@click.argument("file", type=click.File())
@click.option("--expected-version", default=0, help="Version that is replaced; 0 = whatever.")
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
@json_option
def set_(
    account: str,
    file: Any,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Give ACCOUNT the rules of FILE, a JSON list (- = standard input); [] removes its own.

    \b
    echo '[{"action": "downgrade", "alternatives": [{"product": "chat-mini"}]},
           {"action": "overdraw", "asset": "credit", "bound": 500000, "lasting_us": 3600000000},
           {"action": "deny", "limits": ["budget"]}]' | drawdown policy set acme -
    """
    from ledger.v1 import decision_policy_pb2
    from ledger.v1.decision_policy_pb2_grpc import DecisionPolicyServiceStub

    request = decision_policy_pb2.DecisionPolicyServiceSetRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        rules=_rules(file.read()),
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = DecisionPolicyServiceStub(channel).Set(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(_document(reply))
    else:
        click.echo(f"policy of {account}: version {reply.policy.version}")


@policy.command(short_help="Show the rules that count for an account.")
@click.argument("account")
@server_options
@json_option
def show(account: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """Show the rules that count for ACCOUNT, and whose they are.

    \b
    drawdown policy show acme-search
    """
    from ledger.v1 import decision_policy_pb2
    from ledger.v1.decision_policy_pb2_grpc import DecisionPolicyServiceStub

    request = decision_policy_pb2.DecisionPolicyServiceGetRequest(tenant=tenant, account=account)
    with connect(remote) as channel:
        reply = DecisionPolicyServiceStub(channel).Get(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(_document(reply))
    elif not reply.HasField("standing"):
        click.echo("no policy")
    else:
        _print(reply.standing)


def _rules(text: str) -> list[decision_policy_pb2.PolicyRule]:
    from google.protobuf import json_format

    from ledger.v1 import decision_policy_pb2

    try:
        listed = json.loads(text)
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise click.BadParameter("the file holds a list of rules, each an object")
        return [
            json_format.ParseDict(_named(each), decision_policy_pb2.PolicyRule()) for each in listed
        ]
    except (json.JSONDecodeError, json_format.ParseError) as error:
        raise click.BadParameter(f"these are no rules: {error}") from None


def _named(rule: dict[str, Any]) -> dict[str, Any]:
    """Its action and limits by the names that the API has for them."""
    found = dict(rule)
    if isinstance(found.get("action"), str):
        found["action"] = _prefixed("POLICY_ACTION_", found["action"])
    if isinstance(found.get("limits"), list):
        found["limits"] = [_prefixed("LIMIT_KIND_", str(each)) for each in found["limits"]]
    return found


def _prefixed(prefix: str, name: str) -> str:
    upper = name.upper()
    return upper if upper.startswith(prefix) else prefix + upper


def _document(reply: Message) -> dict[str, Any]:
    from google.protobuf import json_format

    found: dict[str, Any] = json_format.MessageToDict(reply, preserving_proto_field_name=True)
    return found


def _print(standing: decision_policy_pb2.DecisionPolicy) -> None:
    from ledger.v1 import decision_pb2

    whose = f"package {standing.package}" if standing.package else standing.account
    click.echo(f"policy of {whose}, version {standing.version}")
    shown = table("", "rule", "action", "where", "what")
    for place, rule in enumerate(standing.rules, 1):
        name = decision_pb2.PolicyAction.Name(rule.action).removeprefix("POLICY_ACTION_")
        shown.add_row(str(place), name.lower(), _conditions(rule), _does(rule))
    console().print(shown)


def _conditions(rule: decision_policy_pb2.PolicyRule) -> str:
    from ledger.v1 import decision_pb2

    said = [*rule.products]
    said += [f"{name}={value}" for name, value in sorted(rule.attributes.items())]
    said += [
        decision_pb2.LimitKind.Name(kind).removeprefix("LIMIT_KIND_").lower()
        for kind in rule.limits
    ]
    if rule.lifetime_value_asset:
        least = amount(rule.lifetime_value_least, rule.lifetime_value_scale)
        said.append(f"paid {least} {rule.lifetime_value_asset}")
    if rule.HasField("available_below"):
        said.append(f"available < {rule.available_below}")
    if rule.HasField("margin_floor_permille"):
        said.append(f"margin < {rule.margin_floor_permille}/1000")
    return ", ".join(said)


def _does(rule: decision_policy_pb2.PolicyRule) -> str:
    if rule.bound:
        bound = f"to {amount(rule.bound, rule.scale)} {rule.asset} below zero"
        return f"{bound} for {rule.lasting_us // SECOND_US} s" if rule.lasting_us else bound
    works = []
    for each in rule.alternatives:
        attributes = [f"{name}={value}" for name, value in sorted(each.attributes.items())]
        works.append(" ".join([part for part in (each.product, *attributes) if part]))
    return " or ".join(works)
