"""How a command reaches a server, and what a failed call means to a person.

Plain synchronous gRPC: a command makes a handful of calls. Must not retry what is not idempotent.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from ledger.cli.output import Failed, advice_of

if TYPE_CHECKING:
    import grpc

TIMEOUT_S: Final = 60
MESSAGE_BYTES_MAX: Final = 16 << 20
ADDRESS_DEFAULT: Final = "127.0.0.1:8433"


class Remote(NamedTuple):
    """Where a server is, and how to speak to it."""

    address: str
    tls_ca: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    token: str = ""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What proves with each call who we are; () = nothing does."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--address with the TLS options and --token, handed over as `remote`; and --tenant."""

    @functools.wraps(command)
    def gathered(
        *arguments: Any,
        address: str,
        tls_ca: Path | None,
        tls_cert: Path | None,
        tls_key: Path | None,
        token: str,
        **options: Any,
    ) -> Any:
        if (tls_cert is None) != (tls_key is None) or (tls_cert is not None and tls_ca is None):
            raise click.UsageError("a client certificate needs --tls-ca, --tls-cert and --tls-key")
        remote = Remote(address, tls_ca, tls_cert, tls_key, token.strip())
        return command(*arguments, remote=remote, **options)

    decorated: Callable[..., Any] = gathered
    for option in (
        click.option(
            "--token",
            default="",
            envvar="DRAWDOWN_TOKEN",
            help="Prove who we are by this token or API key. What stands on a command line is seen "
            "by others of this machine: rather set the variable.  [env: DRAWDOWN_TOKEN]",
        ),
        _tls_option("key", "Private key (PEM) of --tls-cert."),
        _tls_option("cert", "Prove who we are by this client certificate (PEM)."),
        _tls_option("ca", "Speak TLS and trust this certificate authority (PEM)."),
        click.option(
            "--address",
            default=ADDRESS_DEFAULT,
            show_default=True,
            envvar="DRAWDOWN_ADDRESS",
            help="The server.  [env: DRAWDOWN_ADDRESS]",
        ),
        click.option(
            "--tenant",
            default="default",
            show_default=True,
            envvar="DRAWDOWN_TENANT",
            help="The tenant (legal entity or sandbox).  [env: DRAWDOWN_TENANT]",
        ),
    ):
        decorated = option(decorated)
    return decorated


def _tls_option(name: str, text: str) -> Callable[..., Any]:
    variable = f"DRAWDOWN_CLIENT_TLS_{name.upper()}"
    return click.option(
        f"--tls-{name}",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        envvar=variable,
        help=f"{text}  [env: {variable}]",
    )


@contextlib.contextmanager
def connect(remote: Remote) -> Iterator[grpc.Channel]:
    """A channel to the server. Calls that fail inside become Failed."""
    import grpc

    options = [("grpc.max_receive_message_length", MESSAGE_BYTES_MAX)]
    if remote.tls_ca is not None:
        channel = grpc.secure_channel(remote.address, credentials_of(remote), options)
    else:
        channel = grpc.insecure_channel(remote.address, options)
    proven = grpc.intercept_channel(channel, _bearing(remote)) if remote.token else channel
    try:
        yield proven
    except grpc.RpcError as error:
        raise failure_of(error, remote.address, tls=remote.tls_ca is not None) from error
    finally:
        channel.close()


def _bearing(remote: Remote) -> Any:
    """Adds the token to every call."""
    import grpc

    class Bearing(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
        def intercept_unary_unary(self, go_on: Any, details: Any, request: Any) -> Any:
            return go_on(self._proven(details), request)

        def intercept_unary_stream(self, go_on: Any, details: Any, request: Any) -> Any:
            return go_on(self._proven(details), request)

        def _proven(self, details: Any) -> Any:
            metadata = (*(details.metadata or ()), *remote.metadata)
            return details._replace(metadata=metadata)

    return Bearing()


def check_answers(remote: Remote, tenant: str) -> None:
    """Fail at once where nobody answers; the client that comes next would try for a minute."""
    from ledger.v1 import journal_pb2, journal_pb2_grpc

    with connect(remote) as channel:
        journal_pb2_grpc.JournalServiceStub(channel).GetRouting(
            journal_pb2.GetRoutingRequest(tenant=tenant), timeout=TIMEOUT_S
        )


def credentials_of(remote: Remote) -> grpc.ChannelCredentials:
    """TLS as the options say."""
    import grpc

    return grpc.ssl_channel_credentials(
        *(
            path.read_bytes() if path is not None else None
            for path in (remote.tls_ca, remote.tls_key, remote.tls_cert)
        )
    )


def failure_of(error: Any, address: str, *, tls: bool = False) -> Failed:
    """A failed call in a person's words: the reason code, the message, the values, what to do."""
    import grpc

    from ledger.client.advice import unreached

    code = error.code()
    reason, metadata = _error_info(error)
    if code is grpc.StatusCode.UNAVAILABLE and not reason:
        return Failed(
            f"no server answers at {address} ({error.details()})",
            f"{unreached(address, error.details() or '', tls=tls)}; --address names another, "
            "--tls-ca speaks TLS",
            exit_code=3,
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Failed(f"{address} did not answer within {TIMEOUT_S} s", exit_code=3)
    values = ", ".join(f"{name}={value}" for name, value in sorted(metadata.items()))
    shown = f" ({values})" if values else ""
    return Failed(f"{reason or code.name}: {error.details()}{shown}", advice_of(reason))


def reason_of(error: Any) -> str:
    """The stable reason code of a failed call, "" where it has none."""
    return _error_info(error)[0]


def _error_info(error: Any) -> tuple[str, dict[str, str]]:
    from google.rpc import error_details_pb2
    from grpc_status import rpc_status

    try:
        status = rpc_status.from_call(error)
    except ValueError:  # the status and its details disagree
        return "", {}
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status is not None else ():
        if detail.Unpack(info):
            return info.reason, dict(info.metadata)
    return "", {}
