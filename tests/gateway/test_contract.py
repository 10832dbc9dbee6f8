"""Our copy of Envoy's messages is Envoy's: each package, message, field, number and type.

`xds-protos` has the originals. They are read in a process of their own: no process can know two
files with one and the same message.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import zipfile
from pathlib import Path

from google.protobuf.descriptor import Descriptor

from bench.programs import BUILD, download, pinned
from ledger.gateway.envoy import (
    authorization_pb2,
    base_pb2,
    descriptor_pb2,
    http_status_pb2,
    rate_limit_pb2,
)

OURS = {
    "envoy.service.auth.v3.external_auth_pb2": authorization_pb2,
    "envoy.service.auth.v3.attribute_context_pb2": authorization_pb2,
    "envoy.config.core.v3.base_pb2": base_pb2,
    "envoy.config.core.v3.address_pb2": base_pb2,
    "envoy.extensions.common.ratelimit.v3.ratelimit_pb2": descriptor_pb2,
    "envoy.type.v3.http_status_pb2": http_status_pb2,
    "envoy.service.ratelimit.v3.rls_pb2": rate_limit_pb2,
}
READ = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
found = {}
def read(message):
    found[message.full_name] = {
        field.name: [
            field.number, field.type, field.is_repeated,
            field.message_type.full_name if field.message_type else "",
            field.containing_oneof.name if field.containing_oneof else "",
        ]
        for field in message.fields
    }
    for nested in message.nested_types:
        read(nested)
    for enum in message.enum_types:
        found[enum.full_name] = {value.name: value.number for value in enum.values}
for name in sys.argv[2:]:
    file = importlib.import_module(name).DESCRIPTOR
    for message in file.message_types_by_name.values():
        read(message)
    for enum in file.enum_types_by_name.values():
        found[enum.full_name] = {value.name: value.number for value in enum.values}
    for service in file.services_by_name.values():
        found[service.full_name] = {
            method.name: [method.input_type.full_name, method.output_type.full_name]
            for method in service.methods
        }
print(json.dumps(found))
"""
CACHE = BUILD / "envoy"
OUR_OWN = {"envoy.service.auth.v3.Status": "google.rpc.Status"}


def originals() -> Path:
    """The folder of the unpacked package, fetched once for all test processes."""
    version = pinned("xds-protos")
    folder = CACHE / f"xds-protos-{version}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            wheel = download("xds-protos", version, CACHE)
            fresh = folder.with_suffix(".new")
            with zipfile.ZipFile(wheel) as packed:
                packed.extractall(fresh)
            fresh.rename(folder)
            wheel.unlink()
    return folder


def read(folder: Path, modules: list[str]) -> dict[str, dict[str, object]]:
    command = [sys.executable, "-W", "ignore", "-c", READ, str(folder), *modules]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found: dict[str, dict[str, object]] = json.loads(said.stdout)
    return found


def test_every_message_of_ours_is_envoys() -> None:
    ours = read(Path(), sorted({module.__name__ for module in OURS.values()}))
    theirs = read(originals(), sorted(OURS))
    assert len(ours) > 20
    for name, fields in ours.items():
        if name in OUR_OWN:
            continue
        for field, shape in fields.items():
            original = theirs[name][field]
            if isinstance(shape, list) and shape[3:] and shape[3] in OUR_OWN:
                shape[3] = OUR_OWN[shape[3]]
            assert original == shape, f"{name}.{field}"


def test_our_status_is_the_beginning_of_googles() -> None:
    from google.rpc import status_pb2

    [field] = authorization_pb2.Status.DESCRIPTOR.fields
    original: Descriptor = status_pb2.Status.DESCRIPTOR
    assert original.fields_by_name[field.name].number == field.number
    assert original.fields_by_name[field.name].type == field.type
