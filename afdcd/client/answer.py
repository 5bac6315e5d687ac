"""What came back, and what it says in numpy and Python."""

import io
import json
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from afdcd.client.errors import ServiceError


@dataclass(frozen=True)
class ClientAnswer:
    """The answer for one image."""

    content: bytes
    media_type: str
    origin: str
    """Which model, version, artifact and manifest it came from."""

    def json(self) -> Any:
        return json.loads(self.content)

    def mask(self) -> NDArray[np.uint8]:
        """(H, W) class indices, of an answer in the format `npy`."""
        mask_hw: NDArray[np.uint8] = np.load(io.BytesIO(self.content), allow_pickle=False)
        return mask_hw


@dataclass(frozen=True)
class BatchLine:
    """What became of one image of a batch."""

    index: int
    name: str
    answer: ClientAnswer | None
    """None where the image was refused."""
    error: ServiceError | None

    def unwrap(self) -> ClientAnswer:
        """The answer; raises the ServiceError where there is none."""
        if self.error is not None:
            raise self.error
        assert self.answer is not None
        return self.answer


def answer_of(response: httpx.Response) -> ClientAnswer:
    return ClientAnswer(
        response.content, response.headers.get("content-type", ""), response.headers.get("x-model", "")
    )


def batch_line(line: str, origin: str) -> BatchLine:
    """One line of `/v1/segment/batch`."""
    said = json.loads(line)
    if "problem" in said:
        return BatchLine(said["index"], said["name"], None, ServiceError(said["status"], said["problem"]))
    if "content_base64" in said:
        content = b64decode(said["content_base64"])
    else:
        content = json.dumps(said["answer"]).encode()
    return BatchLine(said["index"], said["name"], ClientAnswer(content, said["media_type"], origin), None)
