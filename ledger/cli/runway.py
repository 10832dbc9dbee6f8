"""`drawdown runway`: an alert, or a top-up, before a balance is empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from ledger.cli.forecast import HORIZON_MAX
from ledger.cli.output import Failed, amount, instant, json_option, print_json
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.client.runway import Kept, Runway

SHORT: Final = 4  # the exit code
INT64_MAX: Final = 2**63 - 1
UNITS: Final = click.IntRange(0, INT64_MAX)


@click.command(short_help="Say, or see to it, that a balance lasts for so many hours.")
@click.argument("account")
@click.argument("asset")
@click.option(
    "--hours", type=click.IntRange(1, HORIZON_MAX), default=72, show_default=True, help="How long."
)
@click.option("--top-up", is_flag=True, help="Have the account's top-up rule buy while it may not.")
@click.option(
    "--otherwise",
    type=UNITS,
    default=0,
    show_default=True,
    help="With --top-up: the rule's threshold while it does, in minor units.",
)
@click.option(
    "--at-most",
    type=UNITS,
    default=INT64_MAX,
    help="With --top-up: no threshold above this, in minor units.",
)
@server_options
@json_option
def runway(
    account: str,
    asset: str,
    hours: int,
    top_up: bool,
    otherwise: int,
    at_most: int,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Say whether ACCOUNT's balance of ASSET is sure to last for so many hours; exit with 4 where
    in one future of ten it does not. For a scheduler, every hour or so.

    \b
    drawdown runway acme credit --hours 72 || page-somebody
    drawdown runway acme credit --hours 72 --top-up --otherwise 1000000

    With --top-up the threshold of the account's rule is what those hours need while the balance may
    not last, else what --otherwise says: one entry a crossing, and the rule's own velocity cap.
    """
    from ledger.client.runway import (
        Kept,
        NoTopUpRule,
        UnknownAsset,
        request_id_of,
        rule_of,
        runway_of,
        threshold_for,
        with_threshold,
    )
    from ledger.v1 import balance_pb2, top_up_pb2
    from ledger.v1.balance_pb2_grpc import BalanceServiceStub
    from ledger.v1.top_up_pb2_grpc import TopUpServiceStub

    asked = balance_pb2.ForecastRequest(tenant=tenant, account=account, horizon_hours=hours)
    kept = None
    with connect(remote) as channel:
        try:
            reply = BalanceServiceStub(channel).Forecast(asked, timeout=TIMEOUT_S)
            found = runway_of(reply, asset, hours)
            if top_up:
                rules = TopUpServiceStub(channel)
                shown = rules.GetRules(
                    top_up_pb2.TopUpServiceGetRulesRequest(tenant=tenant, account=account),
                    timeout=TIMEOUT_S,
                )
                rule = rule_of(shown.rules, found)
                threshold = threshold_for(rule, found, otherwise, at_most)
                kept = Kept(found, rule, False)
                if threshold != rule.threshold:
                    request = top_up_pb2.TopUpServiceSetRuleRequest(
                        tenant=tenant,
                        request_id=request_id_of(found, rule, threshold),
                        account=account,
                        rule=with_threshold(rule, threshold),
                        expected_version=rule.version,
                    )
                    kept = Kept(found, rules.SetRule(request, timeout=TIMEOUT_S).rule, True)
        except (UnknownAsset, NoTopUpRule) as error:
            raise Failed(str(error)) from error
    if as_json:
        print_json(_document(found, kept))
    else:
        _print(found, kept)
    if found.short:
        raise click.exceptions.Exit(SHORT)


def _document(found: Runway, kept: Kept | None) -> dict[str, Any]:
    from ledger.v1 import balance_pb2

    document: dict[str, Any] = {
        **found._asdict(),
        "outlook": balance_pb2.Outlook.Name(found.outlook),  # type: ignore[arg-type]
        "available": str(found.available),
        "needed": str(found.needed),
        "empty_at_us": str(found.empty_at_us),
        "as_of_us": str(found.as_of_us),
    }
    if kept is not None:
        document["threshold"] = str(kept.rule.threshold)
        document["rule_version"] = str(kept.rule.version)
        document["changed"] = kept.changed
    return document


def _print(found: Runway, kept: Kept | None) -> None:
    from ledger.v1 import balance_pb2

    has = f"{amount(found.available, found.scale)} {found.asset} available"
    if found.outlook == balance_pb2.OUTLOOK_INSUFFICIENT_HISTORY:
        said = f"not known yet: less than three days of usage; {has}"
    elif found.outlook == balance_pb2.OUTLOOK_EMPTY:
        said = "empty now"
    elif found.short:
        said = (
            f"may be empty at {instant(found.empty_at_us)}, within {found.hours} h; {has}, "
            f"{amount(found.needed, found.scale)} needed"
        )
    else:
        said = f"lasts for {found.hours} h; {has}"
    click.echo(f"{found.account}: {said}")
    if kept is not None:
        threshold = f"{amount(kept.rule.threshold, found.scale)} {found.asset}"
        since = "from now on" if kept.changed else "as before"
        click.echo(f"top-up rule: buys below {threshold}, {since} (version {kept.rule.version})")
