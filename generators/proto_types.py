"""The types of protobuf fields in the IR's terms. Python's terms for them belong to the walker."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from generators import ir

_SCALARS: Mapping[int, ir.Type] = {
    FieldDescriptorProto.TYPE_DOUBLE: ir.Float(64),
    FieldDescriptorProto.TYPE_FLOAT: ir.Float(32),
    FieldDescriptorProto.TYPE_INT64: ir.Int(64),
    FieldDescriptorProto.TYPE_UINT64: ir.Int(64, signed=False),
    FieldDescriptorProto.TYPE_INT32: ir.Int(32),
    FieldDescriptorProto.TYPE_FIXED64: ir.Int(64, signed=False),
    FieldDescriptorProto.TYPE_FIXED32: ir.Int(32, signed=False),
    FieldDescriptorProto.TYPE_BOOL: ir.Bool(),
    FieldDescriptorProto.TYPE_STRING: ir.Text(),
    FieldDescriptorProto.TYPE_BYTES: ir.Bytes(),
    FieldDescriptorProto.TYPE_UINT32: ir.Int(32, signed=False),
    FieldDescriptorProto.TYPE_SFIXED32: ir.Int(32),
    FieldDescriptorProto.TYPE_SFIXED64: ir.Int(64),
    FieldDescriptorProto.TYPE_SINT32: ir.Int(32),
    FieldDescriptorProto.TYPE_SINT64: ir.Int(64),
}


def plain_type(field: FieldDescriptorProto) -> ir.Type:
    """The type of one value of a field."""
    return _SCALARS.get(field.type) or ir.Reference(field.type_name.removeprefix("."))
