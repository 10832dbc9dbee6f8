"""`drawdown budget ...-operation(s)`: what user actions may use, one by one and by a policy."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from ledger.cli.output import amount, document_of, json_option, print_json
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options
from ledger.core.limits import SECOND_US

if TYPE_CHECKING:
    from ledger.v1 import budget_pb2


class Terms(NamedTuple):
    """What the options say of a budget."""

    measure: str
    asset: str
    quantity: str
    soft: bool
    thresholds: tuple[int, ...]
    idle_s: int

    @property
    def idle_us(self) -> int:
        """How long it may be idle, microseconds; 0 = as long as the server says."""
        return self.idle_s * SECOND_US

    def of(self, limit: int) -> budget_pb2.Budget:
        """The budget with that limit."""
        from ledger.v1 import budget_pb2

        return budget_pb2.Budget(
            measure=budget_pb2.BudgetMeasure.Value(f"BUDGET_MEASURE_{self.measure.upper()}"),
            limit=limit,
            asset=self.asset,
            quantity=self.quantity,
            soft=self.soft,
            thresholds=sorted(self.thresholds),
        )


def _terms_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a budget of operations, handed over as `terms`."""

    @functools.wraps(command)
    def gathered(
        *arguments: Any,
        measure: str,
        asset: str,
        quantity: str,
        soft: bool,
        thresholds: tuple[int, ...],
        idle_s: int,
        **options: Any,
    ) -> Any:
        terms = Terms(measure, asset, quantity, soft, thresholds, idle_s)
        return command(*arguments, terms=terms, **options)

    decorated: Callable[..., Any] = gathered
    for option in (
        click.option(
            "--idle", "idle_s", default=0, help="Seconds idle until it ends; 0 = 24 hours."
        ),
        click.option(
            "--threshold", "thresholds", multiple=True, type=int, help="Percent to be told."
        ),
        click.option("--soft", is_flag=True, help="Count only: refuse nothing."),
        click.option("--quantity", default="", help="Name of the quantity that it counts."),
        click.option("--asset", default="", help="Asset of a charge or cost."),
        click.option(
            "--measure",
            type=click.Choice(("charge", "net_charge", "cost", "quantity", "requests")),
            default="charge",
            show_default=True,
            help="What it counts.",
        ),
    ):
        decorated = option(decorated)
    return decorated


_expected_version = click.option(
    "--expected-version", default=0, help="Version that is replaced; 0 = whatever."
)
_request_id = click.option(
    "--request-id", default="", help="Identity of the call; default: a new one."
)


@click.command("set-operation", short_help="Give one user action with all its calls a budget.")
@click.argument("account")
@click.argument("operation")
@click.argument("limit", type=click.IntRange(min=0))
@_terms_options
@_expected_version
@_request_id
@server_options
@json_option
def set_operation(
    account: str,
    operation: str,
    limit: int,
    terms: Terms,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Let OPERATION of ACCOUNT, and all that it causes, use up to LIMIT, in minor units.

    \b
    drawdown budget set-operation acme run-17 50000000 --asset credit --threshold 80
    """
    from ledger.v1 import budget_pb2
    from ledger.v1.budget_pb2_grpc import BudgetServiceStub

    request = budget_pb2.SetOperationBudgetRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        operation=operation,
        budget=terms.of(limit),
        idle_us=terms.idle_us,
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = BudgetServiceStub(channel).SetOperationBudget(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        click.echo(f"budget of operation {operation}: version {reply.budget.version}")


@click.command("show-operation", short_help="Show the budget that covers a user action.")
@click.argument("account")
@click.argument("operation")
@server_options
@json_option
def show_operation(
    account: str, operation: str, tenant: str, remote: Remote, as_json: bool
) -> None:
    """Show the nearest budget that covers OPERATION of ACCOUNT, with what is used and left.

    \b
    drawdown budget show-operation acme run-17
    """
    from ledger.v1 import budget_pb2
    from ledger.v1.budget_pb2_grpc import BudgetServiceStub

    request = budget_pb2.GetOperationBudgetRequest(
        tenant=tenant, account=account, operation=operation
    )
    with connect(remote) as channel:
        reply = BudgetServiceStub(channel).GetOperationBudget(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
        return
    standing = reply.budget
    scale = standing.budget.scale
    used, pending, left = [
        amount(int(each), scale) for each in (standing.used, standing.pending, standing.left)
    ]
    limit = amount(standing.budget.limit, scale)
    below = f"{reply.operations_below} operations below it"
    click.echo(f"used {used}, held {pending}, left {left} of {limit}; {below}")


@click.command("set-operations", short_help="Give each user action of an account a budget.")
@click.argument("account")
@click.argument("limit", type=click.IntRange(min=0))
@_terms_options
@_expected_version
@_request_id
@server_options
@json_option
def set_operations(
    account: str,
    limit: int,
    terms: Terms,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Let each operation of ACCOUNT, with all that it causes, use up to LIMIT, in minor units.

    \b
    drawdown budget set-operations acme 5000000 --asset credit --idle 3600
    """
    from ledger.v1 import budget_pb2

    request = budget_pb2.SetOperationPolicyRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        budget=terms.of(limit),
        idle_us=terms.idle_us,
        expected_version=expected_version,
    )
    _set_policy(request, remote, as_json)


@click.command("remove-operations", short_help="Give user actions of an account none any more.")
@click.argument("account")
@_expected_version
@_request_id
@server_options
@json_option
def remove_operations(
    account: str,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Let ACCOUNT have no policy of operations: it goes by that above it.

    \b
    drawdown budget remove-operations acme
    """
    from ledger.v1 import budget_pb2

    request = budget_pb2.SetOperationPolicyRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        expected_version=expected_version,
    )
    _set_policy(request, remote, as_json)


def _set_policy(
    request: budget_pb2.SetOperationPolicyRequest, remote: Remote, as_json: bool
) -> None:
    from ledger.v1.budget_pb2_grpc import BudgetServiceStub

    with connect(remote) as channel:
        reply = BudgetServiceStub(channel).SetOperationPolicy(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        click.echo(f"policy of operations of {request.account}: version {reply.policy.version}")


@click.command("show-operations", short_help="Show what each user action of an account may use.")
@click.argument("account")
@server_options
@json_option
def show_operations(account: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """Show which policy of operations counts for ACCOUNT: its own, its package's, or that above it.

    \b
    drawdown budget show-operations acme
    """
    from ledger.v1 import budget_pb2
    from ledger.v1.budget_pb2_grpc import BudgetServiceStub

    request = budget_pb2.GetOperationPolicyRequest(tenant=tenant, account=account)
    with connect(remote) as channel:
        reply = BudgetServiceStub(channel).GetOperationPolicy(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    elif not reply.HasField("standing"):
        click.echo("no policy of operations counts for the account")
    else:
        standing = reply.standing
        limit = amount(standing.budget.limit, standing.budget.scale)
        soft = "soft, " if standing.budget.soft else ""
        by = f"package {standing.package}, " if standing.package else ""
        whose = f"{by}version {standing.version} of {standing.account}"
        idle = f"ends {standing.idle_us // SECOND_US} seconds idle"
        click.echo(f"each operation up to {limit}, {soft}{idle}; {whose}")


COMMANDS: Final = (
    set_operation,
    show_operation,
    set_operations,
    remove_operations,
    show_operations,
)
