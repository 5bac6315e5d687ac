"""What the real `tritonclient[http]` needs to ask this service, and the same requests written by hand."""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import numpy as np
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

from tests.serve.conftest import RunningServer

HEADER_LENGTH = "Inference-Header-Content-Length"
TIMEOUT_S = 30.0


@contextmanager
def triton(server: RunningServer) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(server.url.removeprefix("http://").rstrip("/"), network_timeout=TIMEOUT_S)
    try:
        yield client
    finally:
        client.close()


def pixels(images_nhwc: NDArray[np.uint8], *, binary: bool = True, infer_input: type = InferInput):
    tensor = infer_input("image", list(images_nhwc.shape), "UINT8")
    return tensor.set_data_from_numpy(images_nhwc, binary_data=binary)


def files(*encoded: bytes, infer_input: type = InferInput):
    tensor = infer_input("encoded_image", [len(encoded), 1], "BYTES")
    return tensor.set_data_from_numpy(np.array([[file] for file in encoded], np.object_))


def mask_output(binary: bool) -> InferRequestedOutput:
    return InferRequestedOutput("mask", binary_data=binary)


def binary_request(header: dict, *buffers: bytes) -> tuple[bytes, dict[str, str]]:
    """(body, headers) of a request with binary tensors, however wrong it is."""
    text = json.dumps(header).encode()
    return b"".join((text, *buffers)), {HEADER_LENGTH: str(len(text))}


def described(name: str, datatype: str, shape: list[int], size: int | None = None, **more) -> dict:
    """One input of a request's JSON."""
    parameters = {} if size is None else {"parameters": {"binary_data_size": size}}
    return {"name": name, "datatype": datatype, "shape": shape, **parameters, **more}


def element(content: bytes, claimed: int | None = None) -> bytes:
    """A BYTES element, on request with a lie about its length."""
    return struct.pack("<I", len(content) if claimed is None else claimed) + content


def tensor_of(answer: httpx.Response) -> NDArray[np.uint8]:
    """The first output of an answer, binary or not."""
    length = answer.headers.get(HEADER_LENGTH)
    header = json.loads(answer.content[: int(length)] if length else answer.content)
    output = header["outputs"][0]
    flat = np.frombuffer(answer.content[int(length) :], np.uint8) if length else np.uint8(output["data"])
    return flat.reshape(output["shape"])


def error_of(answer: httpx.Response) -> str:
    """The message of a well-formed error of the protocol."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == {"error"}
    message: str = answer.json()["error"]
    assert message
    return message
