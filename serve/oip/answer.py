"""The body of an `infer` answer: a JSON object, followed by the tensors that are binary."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve.oip.compression import compress
from serve.oip.description import DATATYPES

HEADER_LENGTH = "Inference-Header-Content-Length"
ELEMENTS_AT_ONCE = 1 << 13
"""Elements turned into JSON in one call, which no other thread can interrupt: under a millisecond."""


@dataclass(frozen=True)
class OutputTensor:
    name: str
    array: NDArray[Any]
    """Of a type in DATATYPES."""
    is_binary: bool


@dataclass(frozen=True)
class Encoded:
    """An answer's body and the headers that explain it."""

    content: bytes
    headers: dict[str, str]
    media_type: str


def encode_answer(
    name: str, version: str, request_id: str | None, outputs: Sequence[OutputTensor], encoding: str | None
) -> Encoded:
    """encoding: a key of `compression.WINDOW_BITS`, or None. Lengths are those before compression."""
    head: dict[str, Any] = {"model_name": name, "model_version": version}
    if request_id is not None:
        head["id"] = request_id
    tensors = ",".join(_tensor(output) for output in outputs)
    text = f'{_json(head)[:-1]},"outputs":[{tensors}]}}'.encode()
    buffers = [output.array.tobytes() for output in outputs if output.is_binary]
    headers = {HEADER_LENGTH: str(len(text))} if buffers else {}
    content = b"".join((text, *buffers))
    if encoding is not None:
        content = compress(content, encoding)
        headers["Content-Encoding"] = encoding
    return Encoded(content, headers, "application/octet-stream" if buffers else "application/json")


def _tensor(output: OutputTensor) -> str:
    array = output.array
    entry: dict[str, Any] = {
        "name": output.name,
        "datatype": DATATYPES[str(array.dtype)],
        "shape": list(array.shape),
    }
    if output.is_binary:
        return _json({**entry, "parameters": {"binary_data_size": array.nbytes}})
    return f'{_json(entry)[:-1]},"data":[{",".join(_numbers(array))}]}}'


def _numbers(array: NDArray[Any]) -> Iterator[str]:
    flat = np.ravel(array)
    for start in range(0, flat.size, ELEMENTS_AT_ONCE):
        yield _json(flat[start : start + ELEMENTS_AT_ONCE].tolist())[1:-1]


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
