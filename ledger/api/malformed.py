"""Requests that are no message: what was wrong, so that the caller gets INVALID_ARGUMENT and why.

A deserialiser that raises would answer INTERNAL. Ours hands on a `Malformed`, and the call refuses
it. Text that is not UTF-8 is found by reading the same bytes with every text declared as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final, TypeVar

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, FileDescriptor
from google.protobuf.message import DecodeError, Message

from ledger.api.errors import CallFailed, Fault, invalid

M = TypeVar("M", bound=Message)
FAULTS_MAX: Final = 20


class Malformed:
    """Stands for a request that could not be decoded."""

    __slots__ = ("faults",)

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults

    def failure(self) -> CallFailed:
        """INVALID_ARGUMENT, reason MALFORMED_REQUEST, with the fields at fault."""
        return invalid(self.faults)


def deserialiser(message: type[M]) -> Callable[[bytes], M | Malformed]:
    """Decode a request, or say what is wrong with it."""
    decode = message.FromString

    def deserialise(data: bytes) -> M | Malformed:
        try:
            return decode(data)
        except DecodeError as error:
            return Malformed(_faults(message, data, str(error)))

    return deserialise


def _faults(message: type[Message], data: bytes, error: str) -> list[Fault]:
    try:
        loose = _loose_class(message.DESCRIPTOR.full_name, message.DESCRIPTOR.file).FromString(data)
    except DecodeError:
        return [Fault("MALFORMED_REQUEST", "", "", f"the request is no protobuf message: {error}")]
    faults = []
    for path, value in _texts(loose, ""):
        try:
            value.decode()
        except UnicodeDecodeError as bad:
            shown = value.decode(errors="backslashreplace")
            message_text = f"the text is not valid UTF-8: {bad.reason} at byte {bad.start}"
            faults.append(Fault("MALFORMED_REQUEST", path, shown, message_text))
        if len(faults) == FAULTS_MAX:
            break
    return faults or [Fault("MALFORMED_REQUEST", "", "", error)]


def _texts(message: Any, path: str) -> Iterator[tuple[str, bytes]]:
    """Every text of a loosely decoded message, with its place."""
    for field, value in message.ListFields():
        place = f"{path}.{field.name}" if path else field.name
        values = enumerate(value) if field.is_repeated else [(-1, value)]
        for index, item in values:
            here = place if index < 0 else f"{place}[{index}]"
            if field.type == FieldDescriptor.TYPE_BYTES:
                yield here, item
            elif field.type == FieldDescriptor.TYPE_MESSAGE:
                yield from _texts(item, here)


@cache
def _loose_class(name: str, file: FileDescriptor) -> type[Message]:
    """The message with every text declared as bytes and every map as its entries."""
    pool = descriptor_pool.DescriptorPool()
    for needed in _with_imports(file):
        loose = descriptor_pb2.FileDescriptorProto()
        needed.CopyToProto(loose)
        for message in loose.message_type:
            _loosen(message)
        pool.Add(loose)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def _loosen(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        if field.type == descriptor_pb2.FieldDescriptorProto.TYPE_STRING:
            field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
    for nested in message.nested_type:
        nested.options.ClearField("map_entry")
        _loosen(nested)


def _with_imports(file: FileDescriptor) -> list[FileDescriptor]:
    found: dict[str, FileDescriptor] = {}

    def visit(each: FileDescriptor) -> None:
        for needed in each.dependencies:
            visit(needed)
        found.setdefault(each.name, each)

    visit(file)
    return list(found.values())
