"""Whether an address is this machine's alone: the one judgement behind every listener.

A name is trusted only if it is `localhost`, and only while that is what it should be: a hosts file
or a resolver may map it elsewhere. Must not know any setting or listener.
"""

from __future__ import annotations

import ipaddress
import socket


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that host: an address of IPv4 or IPv6, or localhost."""
    if host == "localhost":
        return _stays_here(host)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _stays_here(name: str) -> bool:
    """Whether every address of the name is a loopback one; one that has none is nowhere."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(is_loopback(str(address[0])) for _, _, _, _, address in found)
