"""The part of Triton's `ModelConfig` message that our repositories use, to parse `config.pbtxt` with.

Names and types are those of Triton's `model_config.proto`, so protobuf refuses what is not in there. NVIDIA's
own message is in `tritonclient`, which asks for an older protobuf than ours: the test against the real server
reads the files with it, in an environment of its own.
"""

from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_ENUMS = {
    "DataType": ("TYPE_INVALID", "TYPE_BOOL", "TYPE_UINT8", "TYPE_FP16", "TYPE_FP32"),
    "Kind": ("KIND_AUTO", "KIND_GPU", "KIND_CPU"),
}
_TENSOR = {"name": "string", "data_type": "DataType", "dims": ["int64"]}
_MESSAGES = {
    "ModelInput": _TENSOR,
    "ModelOutput": _TENSOR,
    "ModelInstanceGroup": {"kind": "Kind", "count": "int32"},
    "ModelDynamicBatching": {"max_queue_delay_microseconds": "uint64"},
    "ModelParameter": {"string_value": "string"},
    "ParametersEntry": {"key": "string", "value": "ModelParameter"},
    "ModelConfig": {
        "name": "string",
        "backend": "string",
        "default_model_filename": "string",
        "max_batch_size": "int32",
        "input": ["ModelInput"],
        "output": ["ModelOutput"],
        "instance_group": ["ModelInstanceGroup"],
        "dynamic_batching": "ModelDynamicBatching",
        "parameters": ["ParametersEntry"],
    },
}
"""Message -> field -> type; a list is repeated."""


def parse_config(text):
    """A message with the fields of `ModelConfig`; raises text_format.ParseError for anything else."""
    pool = DescriptorPool()
    pool.Add(_file())
    return text_format.Parse(text, GetMessageClass(pool.FindMessageTypeByName("triton.ModelConfig"))())


def _file():
    file = FileDescriptorProto(name="model_config.proto", package="triton", syntax="proto3")
    for name, values in _ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            _add_field(message, number, field, kind)
    return file


def _add_field(message, number, name, kind):
    is_repeated = isinstance(kind, list)
    scalar = kind[0] if is_repeated else kind
    field = message.field.add(name=name, number=number)
    field.label = FieldDescriptorProto.LABEL_REPEATED if is_repeated else FieldDescriptorProto.LABEL_OPTIONAL
    if scalar in _ENUMS:
        field.type, field.type_name = FieldDescriptorProto.TYPE_ENUM, f".triton.{scalar}"
    elif scalar in _MESSAGES:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".triton.{scalar}"
    else:
        field.type = getattr(FieldDescriptorProto, f"TYPE_{scalar.upper()}")
