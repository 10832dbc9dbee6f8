"""What a person can do where no server answers: said by what the transport has said. Pure.

The texts are gRPC's, which has no codes for them; nothing but advice depends on them.
"""

from __future__ import annotations

from typing import Final

ADDRESS_FORM: Final = "an address is host:port, as 127.0.0.1:8433"


def checked_address(address: str) -> str:
    """The address, of which gRPC would make something else than was meant where it is a URL or
    names no port. Raises ValueError."""
    if address.startswith(("http://", "https://")):
        raise ValueError(f"{address!r} is a URL: {ADDRESS_FORM}")
    if ":" not in address:
        raise ValueError(f"{address!r} names no port: {ADDRESS_FORM}")
    return address


def unreached(address: str, said: str, *, tls: bool) -> str:
    """What to do where no server answers at an address; `tls`: the client speaks it."""
    if "WRONG_VERSION_NUMBER" in said:
        return f"what listens at {address} speaks no TLS: connect without"
    if "CERTIFICATE_VERIFY_FAILED" in said or "Peer name" in said:
        return (
            f"the certificate of {address} is of no authority that is trusted here, or names "
            "another host"
        )
    if "resol" in said or "hostname lookup" in said:
        return f"the host of {address} is not known here: {ADDRESS_FORM}"
    if "refused" in said:
        return (
            f"nothing listens at {address}: start a server with `drawdown serve`, or name another"
        )
    if not tls and ("Socket closed" in said or "reset" in said):
        return f"{address} hangs up: where it speaks TLS, connect with it"
    return f"see that a server runs at {address}, and that nothing in between holds it up"
