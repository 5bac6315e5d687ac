"""The elements of one input: binary or JSON, to pixels or to files."""

import base64
import binascii
import struct
from itertools import chain
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve.errors import InferRequestError
from serve.oip.long_lists import LongList
from serve.oip.request import InputTensor

LENGTH = struct.Struct("<I")
"""What stands before every BYTES element."""


def pixels_of(tensor: InputTensor) -> NDArray[np.uint8]:
    """A UINT8 tensor in its shape; binary ones are not copied. Raises InferRequestError."""
    content = tensor.content
    if not isinstance(content, memoryview):
        content = memoryview(_bytes_from_json(tensor.name, content))
    if len(content) != prod(tensor.shape):
        raise InferRequestError(
            f"input {tensor.name!r} has {len(content)} elements, and its shape {list(tensor.shape)} "
            f"asks for {prod(tensor.shape)}."
        )
    return np.frombuffer(content, np.uint8).reshape(tensor.shape)


def files_of(tensor: InputTensor) -> list[bytes]:
    """A BYTES tensor's elements: each after its length, or base64 in JSON. Raises InferRequestError."""
    content = tensor.content
    if isinstance(content, memoryview):
        files = _split(tensor.name, content, prod(tensor.shape))
    else:
        files = _strings(tensor.name, content)
    if len(files) != prod(tensor.shape):
        raise InferRequestError(
            f"input {tensor.name!r} has not as many elements as its shape {list(tensor.shape)} asks for."
        )
    return files


def _bytes_from_json(name: str, data: list[Any] | LongList) -> bytes:
    """Flat or nested, row by row."""
    try:
        if isinstance(data, LongList):
            return data.to_bytes()
        while data and isinstance(data[0], list):
            data = list(chain.from_iterable(data))
        return bytes(data)
    except (TypeError, ValueError):
        raise InferRequestError(
            f"input {name!r} is UINT8: its data are whole numbers from 0 to 255."
        ) from None


def _split(name: str, content: memoryview, count: int) -> list[bytes]:
    """At most one more than `count`: nobody has to walk through millions of empty elements."""
    files: list[bytes] = []
    position = 0
    while position < len(content) and len(files) <= count:
        start = position + LENGTH.size
        if start > len(content):
            raise InferRequestError(f"input {name!r} breaks off within the length of element {len(files)}.")
        (length,) = LENGTH.unpack_from(content, position)
        position = start + length
        if position > len(content):
            raise InferRequestError(
                f"element {len(files)} of input {name!r} says it has {length} bytes, and "
                f"{len(content) - start} are left."
            )
        files.append(bytes(content[start:position]))
    return files


def _strings(name: str, data: list[Any] | LongList) -> list[bytes]:
    try:
        if isinstance(data, LongList):
            raise TypeError("numbers")
        flat = chain.from_iterable(item if isinstance(item, list) else [item] for item in data)
        return [base64.b64decode(text, validate=True) for text in flat]
    except (TypeError, ValueError, binascii.Error):
        raise InferRequestError(
            f"input {name!r} is BYTES: in JSON its elements are base64 strings. Or send them binary."
        ) from None
