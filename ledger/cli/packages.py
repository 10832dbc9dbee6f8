"""`drawdown package`: what is sold as a plan, and the accounts that have it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.cards import digest
from ledger.cli.instants import Instant
from ledger.cli.output import Failed, document_of, instant, json_option, print_json, say
from ledger.cli.overrides import price_of
from ledger.cli.remote import Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.v1 import package_pb2

CALL_S = 30
FOLLOWS = ("follow", "pin", "follow-after")
OLD_GRANTS = ("keep", "forfeit-unused", "prorate")


@click.group(short_help="Publish plans; subscribe accounts to them.")
def package() -> None:
    """Publish packages, and subscribe accounts to them: what they are granted every period, under
    which policy, with which features."""


@package.command("publish")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--effective-from",
    type=Instant(),
    default=0,
    help="For periods from this instant on.  [default: one second after its publication; the first "
    "version from ever]",
)
@click.option("--dry-run", is_flag=True, help="Have the server check the package; no more.")
@server_options
@json_option
def publish(
    file: Path, effective_from: int, dry_run: bool, tenant: str, remote: Remote, as_json: bool
) -> None:
    """Publish the package in FILE (JSON, or TOML where its name ends so) as a new version.

    The file has the package's `name` beside its terms. Followers get it with their next period. The
    same file again changes nothing; every fault is listed with its place.
    """
    from ledger.api.rendering.render_package import render_package
    from ledger.core.packages.packaged import PackageVersion, canonical_bytes
    from ledger.v1 import package_pb2
    from ledger.v1.package_pb2_grpc import PackageServiceStub

    name, found = _package_of(file)
    message = render_package(name, PackageVersion(0, 0, effective_from, found), {})
    with connect(remote) as channel:
        stub: Any = PackageServiceStub(channel)
        request = package_pb2.PackageServiceListRequest(tenant=tenant, name=name, page_size=1)
        listed = stub.List(request, timeout=CALL_S)
        newest = listed.packages[0].version if listed.packages else 0
        reply = stub.Publish(
            package_pb2.PackageServicePublishRequest(
                tenant=tenant,
                request_id=f"package-{digest(canonical_bytes(found))}-{newest}-{effective_from}",
                package=message,
                expected_version=newest,
                validate_only=dry_run,
            ),
            timeout=CALL_S,
        )
    for fault in reply.faults:
        say(f"{fault.path}: {fault.reason} {fault.value!r}: {fault.message}")
    if reply.faults:
        raise Failed(f"the package is not well formed: {len(reply.faults)} faults")
    if as_json:
        print_json(document_of(reply))
    elif dry_run:
        click.echo(f"{file}: package {name}: checked, not published")
    else:
        unchanged = "unchanged: this is the newest version already"
        click.echo(_line(reply.package) + ": " + (unchanged if reply.replayed else "published"))


@package.command("list")
@click.argument("name", default="")
@server_options
@json_option
def list_packages(name: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """List every version of all packages, or of the one called NAME, newest first."""
    from ledger.v1 import package_pb2
    from ledger.v1.package_pb2_grpc import PackageServiceStub

    request = package_pb2.PackageServiceListRequest(tenant=tenant, name=name)
    found: list[package_pb2.PackageVersion] = []
    with connect(remote) as channel:
        stub: Any = PackageServiceStub(channel)
        while True:
            reply = stub.List(request, timeout=CALL_S)
            found += reply.packages
            if not reply.next_page_token:
                break
            request.page_token = reply.next_page_token
    if as_json:
        print_json(document_of(package_pb2.PackageServiceListResponse(packages=found)))
        return
    for each in found:
        click.echo(_line(each))
        for grant in each.grants:
            click.echo(f"  {grant.name}: {grant.amount:,} {grant.asset} (minor units) a period")
        for charge in each.charges:
            often = "once" if charge.terms.once else "a period"
            costs = f"{charge.quantity:,} x {charge.terms.unit_amount:,} {charge.terms.asset}"
            click.echo(f"  charge {charge.name}: {costs} (minor units) {often}")
        if each.HasField("operations"):
            each_of = each.operations.budget
            click.echo(f"  each operation: {each_of.limit:,} {each_of.asset}".rstrip())
        for phase in each.phases:
            lasts = f"{phase.days} days" if phase.days else f"{phase.periods} periods"
            click.echo(f"  first {phase.name} for {lasts}")
        for changed in each.overrides:
            click.echo(f"  {changed.product} {changed.quantity}: {price_of(changed)}")
        for entitlement in each.entitlements:
            value = entitlement.value or (f"of {entitlement.grant}" if entitlement.grant else "")
            sells = f" sells {', '.join(entitlement.products)}" if entitlement.products else ""
            click.echo(f"  {entitlement.feature} {value}".rstrip() + sells)
    if not found:
        click.echo("no packages")


@package.command("show")
@click.argument("account")
@server_options
@json_option
def show(account: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """Show what ACCOUNT has: its package, its period, and all of its features."""
    from ledger.v1 import package_pb2
    from ledger.v1.package_pb2_grpc import PackageServiceStub

    with connect(remote) as channel:
        stub: Any = PackageServiceStub(channel)
        found = stub.GetSubscription(
            package_pb2.PackageServiceGetSubscriptionRequest(tenant=tenant, account=account),
            timeout=CALL_S,
        ).subscription
        features = stub.ResolveEntitlements(
            package_pb2.PackageServiceResolveEntitlementsRequest(tenant=tenant, account=account),
            timeout=CALL_S,
        )
    if as_json:
        document = document_of(features)
        document["subscription"] = document_of(found)
        print_json(document)
        return
    phase = f" ({found.phase})" if found.phase else ""
    until = f"over since {instant(found.ends_at_us)}" if found.over else _goes_on(found)
    click.echo(f"{account} has {found.package}{phase} version {found.package_version}, {until}")
    for each in features.entitlements:
        left = f"{each.available:,} of {each.granted:,} {each.asset} left" if each.asset else ""
        click.echo(f"  {each.feature} {each.value or left}".rstrip())


@package.command("subscribe")
@click.argument("account")
@click.argument("name")
@click.option("--follow", type=click.Choice(FOLLOWS), default="follow", show_default=True)
@click.option("--version", type=int, default=0, help="Version to pin, or to keep until then.")
@click.option("--locked-until", type=Instant(), default=0, help="Of follow-after.")
@click.option("--request-id", default="", help="Identity of the call, for a retry.")
@server_options
@json_option
def subscribe(
    account: str,
    name: str,
    follow: str,
    version: int,
    locked_until: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Have ACCOUNT have the package NAME from now on."""
    from ledger.v1 import package_pb2
    from ledger.v1.package_pb2_grpc import PackageServiceStub

    request = package_pb2.PackageServiceSubscribeRequest(
        tenant=tenant,
        request_id=request_id or _new_id(),
        account=account,
        package=name,
        follow=_follow(follow),
        package_version=version,
        locked_until_us=locked_until,
    )
    with connect(remote) as channel:
        stub: Any = PackageServiceStub(channel)
        reply = stub.Subscribe(request, timeout=CALL_S)
    if as_json:
        print_json(document_of(reply))
        return
    click.echo(f"{account} has {_term(reply.term)}")


@package.command("change")
@click.argument("account")
@click.argument("name")
@click.option("--now", is_flag=True, help="Now, not with the next period.")
@click.option("--old-grants", type=click.Choice(OLD_GRANTS), default="keep", show_default=True)
@click.option("--follow", type=click.Choice(FOLLOWS), default="follow", show_default=True)
@click.option("--version", type=int, default=0, help="Version to pin, or to keep until then.")
@click.option("--locked-until", type=Instant(), default=0, help="Of follow-after.")
@click.option("--request-id", default="", help="Identity of the call, for a retry.")
@server_options
@json_option
def change(
    account: str,
    name: str,
    now: bool,
    old_grants: str,
    follow: str,
    version: int,
    locked_until: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Give ACCOUNT the package NAME with its next period, or now."""
    from ledger.v1 import package_pb2
    from ledger.v1.package_pb2_grpc import PackageServiceStub

    request = package_pb2.PackageServiceChangeRequest(
        tenant=tenant,
        request_id=request_id or _new_id(),
        account=account,
        package=name,
        timing=_timing(now),
        old_grants=_old_grants(old_grants),
        follow=_follow(follow),
        package_version=version,
        locked_until_us=locked_until,
    )
    with connect(remote) as channel:
        stub: Any = PackageServiceStub(channel)
        reply = stub.Change(request, timeout=CALL_S)
    if as_json:
        print_json(document_of(reply))
    elif reply.HasField("term"):
        _say_taken(reply.taken_back)
        click.echo(f"{account} has {_term(reply.term)}")
    else:
        click.echo(f"{account} will have {name} with its next period")


@package.command("cancel")
@click.argument("account")
@click.option("--now", is_flag=True, help="Now, not with the period.")
@click.option("--old-grants", type=click.Choice(OLD_GRANTS), default="keep", show_default=True)
@click.option("--request-id", default="", help="Identity of the call, for a retry.")
@server_options
@json_option
def cancel(
    account: str,
    now: bool,
    old_grants: str,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """End the subscription of ACCOUNT with its period, or now."""
    from ledger.v1 import package_pb2
    from ledger.v1.package_pb2_grpc import PackageServiceStub

    request = package_pb2.PackageServiceCancelRequest(
        tenant=tenant,
        request_id=request_id or _new_id(),
        account=account,
        timing=_timing(now),
        old_grants=_old_grants(old_grants),
    )
    with connect(remote) as channel:
        stub: Any = PackageServiceStub(channel)
        reply = stub.Cancel(request, timeout=CALL_S)
    if as_json:
        print_json(document_of(reply))
        return
    _say_taken(reply.taken_back)
    click.echo(f"the subscription of {account} ends at {instant(reply.ends_at_us)}")


@package.command("preview")
@click.argument("account")
@click.argument("name")
@click.option("--version", type=int, default=0, help="A version; else the newest in force.")
@click.option("--old-grants", type=click.Choice(OLD_GRANTS), default="keep", show_default=True)
@server_options
@json_option
def preview(
    account: str,
    name: str,
    version: int,
    old_grants: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Say what the package NAME would do for ACCOUNT now; record nothing."""
    from ledger.v1 import package_pb2
    from ledger.v1.package_pb2_grpc import PackageServiceStub

    request = package_pb2.PackageServicePreviewRequest(
        tenant=tenant,
        account=account,
        package=name,
        package_version=version,
        old_grants=_old_grants(old_grants),
    )
    with connect(remote) as channel:
        stub: Any = PackageServiceStub(channel)
        reply = stub.Preview(request, timeout=CALL_S)
    if as_json:
        print_json(document_of(reply))
        return
    _say_taken(reply.taken_back)
    click.echo(f"{account} would have {_term(reply.term)}")
    _say_rest(reply)


@package.command("preview-all")
@click.argument("name")
@click.argument("to", default="")
@click.option("--version", type=int, default=0, help="A version; else the newest in force.")
@click.option("--old-grants", type=click.Choice(OLD_GRANTS), default="keep", show_default=True)
@server_options
@json_option
def preview_all(
    name: str,
    to: str,
    version: int,
    old_grants: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Say what a change now, to the package TO or another version of NAME, would do for each
    account that has NAME; record nothing."""
    from ledger.v1 import package_pb2
    from ledger.v1.package_pb2_grpc import PackageServiceStub

    request = package_pb2.PackageServicePreviewSubscribersRequest(
        tenant=tenant,
        package=name,
        to_package=to,
        package_version=version,
        old_grants=_old_grants(old_grants),
        page_size=1_000,
    )
    found: list[package_pb2.SubscriberPreview] = []
    with connect(remote) as channel:
        stub: Any = PackageServiceStub(channel)
        while True:
            reply = stub.PreviewSubscribers(request, timeout=CALL_S)
            found += reply.previews
            if not reply.next_page_token:
                break
            request.page_token = reply.next_page_token
    if as_json:
        every = package_pb2.PackageServicePreviewSubscribersResponse(previews=found)
        print_json(document_of(every))
        return
    for each in found:
        keeps = [f"{each.overrides} price overrides"] if each.overrides else []
        keeps += [f"its {field}" for field in each.held]
        kept = f"; keeps {', '.join(keeps)}" if keeps else ""
        if each.HasField("refused"):
            click.echo(f"{each.account} would be refused: {each.refused.message}{kept}")
            continue
        click.echo(f"{each.account} would have {_term(each.term)}{kept}")
        _say_taken(each.taken_back)
        _say_rest(each)
    if not found:
        click.echo(f"no account has the package {name}")


def _package_of(file: Path) -> tuple[str, Any]:
    """Name and terms of a file, free of faults. Raises Failed, after every fault was said."""
    from ledger.core.packages.packaged import Package, validate
    from rating.card_file import Form, converted, document_of
    from rating.faults import CardError
    from rating.models import CostPlus
    from rating.overrides import Overwrite

    form = Form.TOML if file.suffix == ".toml" else Form.JSON
    try:
        document = document_of(file.read_bytes(), form, "a package: an object with a name")
        name = document.pop("name", None)
        if not isinstance(name, str):
            raise Failed(f"{file}: a package has a name, a text")
        _unname(document.get("operations"))
        found = converted(document, Package)
        faults = validate(found)
    except CardError as error:
        faults = error.faults
    for fault in faults:
        say(f"{fault.path}: {fault.reason} {fault.value!r}: {fault.message}")
    if faults:
        many = f"{len(faults):,} faults" if len(faults) > 1 else "1 fault"
        raise Failed(f"the package is not well formed: {many}")
    for place, each in enumerate(found.overrides):
        if isinstance(each.change, Overwrite) and isinstance(each.change.model, CostPlus):
            raise Failed(f"overrides[{place}]: the ledger does not price by cost plus")
    return name, found


def _unname(operations: Any) -> None:
    """The budget of each operation goes by the key of that: a file need not say that it has no
    name."""
    budget = operations.get("budget") if isinstance(operations, dict) else None
    if isinstance(budget, dict):
        budget.setdefault("name", "")


def _new_id() -> str:
    from uuid import uuid4

    return f"package-{uuid4().hex}"


def _timing(now: bool) -> Any:
    return 2 if now else 1


def _follow(given: str) -> Any:
    return FOLLOWS.index(given) + 1


def _old_grants(given: str) -> Any:
    return OLD_GRANTS.index(given) + 1


def _goes_on(found: package_pb2.Subscription) -> str:
    until = f"until {instant(found.period_end_us)}"
    if found.ends_at_us:
        return f"{until}, then no more"
    return f"{until}, then {found.next_package}" if found.next_package else f"{until}, and on"


def _term(term: package_pb2.PackageTerm) -> str:
    issues = ", ".join([f"{each.name} {each.amount:,}" for each in term.issues]) or "nothing"
    return (
        f"{term.package} version {term.package_version} until {instant(term.end_us)}; "
        f"granted: {issues} (minor units)"
    )


def _say_taken(taken: Any) -> None:
    for each in taken:
        click.echo(f"taken back: {each.amount:,} of grant {each.grant_id}")


def _say_rest(
    tried: package_pb2.PackageServicePreviewResponse | package_pb2.SubscriberPreview,
) -> None:
    for name in tried.budgets_removed:
        click.echo(f"budget removed: {name}")
    for each in tried.budgets_set:
        click.echo(f"budget set: {each.name}, limit {each.limit:,}")
    if tried.HasField("operations"):
        given = tried.operations
        gives = f"limit {given.budget.limit:,}" if given.HasField("budget") else "no budget by it"
        click.echo(f"each operation: {gives}")
    for fee in tried.charges:
        goes = f"{fee.quantity:,} x {fee.terms.unit_amount:,}" if fee.HasField("terms") else "ends"
        click.echo(f"charge {fee.name}: {goes}; now {fee.charged:,} {fee.asset} (minor units)")


def _line(each: package_pb2.PackageVersion) -> str:
    since = instant(each.effective_from_us) if each.effective_from_us > 1 else "ever"
    return f"package {each.name} version {each.version}, from {since} on"
