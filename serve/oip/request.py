"""The body of an `infer` request, taken apart: a JSON object, followed by the tensors that are binary."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve.errors import InferRequestError
from serve.oip.description import ENCODED_IMAGE
from serve.oip.long_lists import LongList, take_out

Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(max_length=200)]
Shape = Annotated[list[Count], Field(max_length=16)]
MOST_JSON_BYTES = 1 << 20
"""Of JSON that is read in one go, during which no other request is worked on."""
LARGEST_TIMEOUT_US = 10**12
"""Eleven days. Longer ones overflow clocks, not patience."""


class _Part(BaseModel):
    """Keys that are not known are left alone: clients add their own."""

    model_config = ConfigDict(strict=True, frozen=True)


class _TensorParameters(_Part):
    shared_memory_region: Any = None
    """Memory that the client shares with a server on the same machine: not read here."""


class _InputParameters(_TensorParameters):
    binary_data_size: Count | None = None


class _OutputParameters(_TensorParameters):
    binary_data: bool | None = None
    classification: Any = None


class _Input(_Part):
    name: Name
    datatype: Name
    shape: Shape
    parameters: _InputParameters = _InputParameters()
    data: Any = None


class _Output(_Part):
    name: Name
    parameters: _OutputParameters = _OutputParameters()


class _Parameters(_Part):
    binary_data_output: bool = False
    timeout: Annotated[int, Field(ge=0, le=LARGEST_TIMEOUT_US)] | None = None
    size: Literal["model", "original"] = "model"


class _Header(_Part):
    id: str | None = None
    inputs: list[_Input] = Field(min_length=1)
    outputs: list[_Output] = []
    parameters: _Parameters = _Parameters()


@dataclass(frozen=True)
class InputTensor:
    """One input as it was sent; whether it fits the model is not known yet."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    content: memoryview | list[Any] | LongList
    """Binary, or the JSON list of its elements."""


@dataclass(frozen=True)
class RequestedOutput:
    name: str
    is_binary: bool


@dataclass(frozen=True)
class InferRequest:
    """What the client asks for, in the protocol's terms."""

    id: str | None
    inputs: tuple[InputTensor, ...]
    outputs: tuple[RequestedOutput, ...]
    """Empty: all that the model has."""
    is_binary: bool
    """How outputs are sent that are not named."""
    size: Literal["model", "original"]
    """Of the outputs, where the inputs are encoded images."""
    timeout_s: float | None
    """None: the service's own deadline."""


def parse_request(body: bytes, header_length: str | None) -> InferRequest:
    """Take a whole, uncompressed body apart.

    header_length: the value of `Inference-Header-Content-Length`. None: all of it is JSON. 0: the body is one
    encoded image and nothing else. Raises InferRequestError for what breaks the protocol's rules.
    """
    json_bytes = len(body) if header_length is None else _length(header_length, len(body))
    if json_bytes == 0:
        image = memoryview(struct.pack("<I", len(body)) + body)
        tensor = InputTensor(ENCODED_IMAGE, "BYTES", (1, 1), image)
        return InferRequest(None, (tensor,), (), is_binary=False, size="model", timeout_s=None)
    text, lists = take_out(body[:json_bytes])
    header = _read_header(text)
    parameters = header.parameters
    return InferRequest(
        id=header.id,
        inputs=_attach(header.inputs, lists, memoryview(body)[json_bytes:]),
        outputs=tuple(_requested(output, parameters.binary_data_output) for output in header.outputs),
        is_binary=parameters.binary_data_output,
        size=parameters.size,
        timeout_s=parameters.timeout / 1e6 if parameters.timeout else None,
    )


def _length(text: str, body_bytes: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InferRequestError(f"Inference-Header-Content-Length is a number of bytes, not {text!r}.")
    if len(text) > len(str(body_bytes)) or int(text) > body_bytes:
        raise InferRequestError(
            f"Inference-Header-Content-Length is {text[:20]}, and the body has {body_bytes} bytes in all."
        )
    return int(text)


def _read_header(text: bytes) -> _Header:
    if len(text) > MOST_JSON_BYTES:
        raise InferRequestError(
            f"the request's JSON has {len(text)} bytes, lists of numbers aside; at most "
            f"{MOST_JSON_BYTES} are read. Send image files as binary data."
        )
    try:
        return _Header.model_validate(json.loads(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise InferRequestError(f"the request's JSON is wrong at {where}: {first['msg']}.") from None
    except (ValueError, RecursionError) as error:
        raise InferRequestError(f"the request is not JSON: {str(error)[:200]}.") from None


def _attach(
    inputs: list[_Input], lists: Mapping[str, LongList], buffers: memoryview
) -> tuple[InputTensor, ...]:
    """Each input with its elements: from the JSON, or the next `binary_data_size` bytes after it."""
    tensors = []
    position = 0
    for tensor in inputs:
        if tensor.parameters.shared_memory_region is not None:
            raise InferRequestError(f"input {tensor.name!r} is in shared memory; send its data instead.")
        size = tensor.parameters.binary_data_size
        content: memoryview | list[Any] | LongList
        if size is None:
            data = lists.get(tensor.data) if isinstance(tensor.data, str) else tensor.data
            if not isinstance(data, (list, LongList)):
                raise InferRequestError(
                    f"input {tensor.name!r} has neither a list `data` nor binary_data_size."
                )
            content = data
        else:
            if tensor.data is not None:
                raise InferRequestError(f"input {tensor.name!r} has both `data` and binary_data_size.")
            if size > len(buffers) - position:
                raise InferRequestError(
                    f"input {tensor.name!r} says binary_data_size {size}, and "
                    f"{len(buffers) - position} bytes are left in the body."
                )
            content = buffers[position : position + size]
            position += size
        tensors.append(InputTensor(tensor.name, tensor.datatype, tuple(tensor.shape), content))
    if position < len(buffers):
        raise InferRequestError(f"{len(buffers) - position} bytes follow the last binary input.")
    return tuple(tensors)


def _requested(output: _Output, is_binary: bool) -> RequestedOutput:
    parameters = output.parameters
    if parameters.shared_memory_region is not None:
        raise InferRequestError(f"output {output.name!r} cannot be put into shared memory.")
    if parameters.classification is not None:
        raise InferRequestError(
            f"output {output.name!r} is no list of scores: classification is not offered."
        )
    return RequestedOutput(
        output.name, is_binary if parameters.binary_data is None else parameters.binary_data
    )
