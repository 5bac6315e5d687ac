"""The client that waits for each answer."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import httpx
import numpy as np
from numpy.typing import NDArray

from afdcd.client.answer import BatchLine, ClientAnswer, answer_of, batch_line
from afdcd.client.errors import error_of
from afdcd.client.question import Image, Question, authorisation, batch_files, encoded
from afdcd.client.zip_answers import Container, zip_lines

DEFAULT = Question()


class Client:
    """One service. Connections are kept: use one client for many requests, from any thread."""

    def __init__(
        self, url: str, *, key: str | None = None, timeout_s: float = 30.0, retries: int = 2
    ) -> None:
        """key: an API key, where the service wants one.

        retries: how often a request that the service has no room for (429, 503) is repeated, after the time
        that it names.
        """
        self._retries = retries
        self._http = httpx.Client(base_url=url, timeout=timeout_s, headers=authorisation(key))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def mask(self, image: Image, question: Question = DEFAULT) -> NDArray[np.uint8]:
        """(H, W) class indices. Raises ServiceError, and httpx.TransportError where nobody answers."""
        return self.segment(image, replace(question, format="npy")).mask()

    def stats(self, image: Image, question: Question = DEFAULT) -> dict[str, Any]:
        """Pixels, share and confidence of each class. Raises as `mask` does."""
        said: dict[str, Any] = self.segment(image, replace(question, format="stats")).json()
        return said

    def segment(self, image: Image, question: Question = DEFAULT) -> ClientAnswer:
        """The answer in any format. Raises as `mask` does."""
        content = encoded(image)
        for tries_left in reversed(range(self._retries + 1)):
            response = self._http.post(
                "/v1/segment", params=question.params, headers=question.headers, content=content
            )
            if response.is_success:
                return answer_of(response)
            error = error_of(response)
            if error.retry_after_s is None or not tries_left:
                raise error
            time.sleep(error.retry_after_s)
        raise AssertionError("the last try returns or raises")

    def segment_batch(
        self, images: Sequence[Image], question: Question = DEFAULT, container: Container = "ndjson"
    ) -> Iterator[BatchLine]:
        """One line for each image in their order, as they arrive; out of a zip, which is smaller, at the end.

        Raises ServiceError for the batch as a whole; what is wrong with one image is in its line.
        """
        files = batch_files(images)
        with self._http.stream(
            "POST",
            "/v1/segment/batch",
            params={**question.params, "container": container},
            headers=question.headers,
            files=files,
        ) as response:
            if not response.is_success:
                response.read()
                raise error_of(response)
            origin = response.headers.get("x-model", "")
            if container == "zip":
                yield from zip_lines(response.read(), [name for _, (name, _) in files], origin)
                return
            for line in response.iter_lines():
                yield batch_line(line, origin)

    def is_ready(self) -> bool:
        """Whether the service has loaded and proved its model. False also where nobody answers."""
        try:
            response = self._http.get("/readyz")
        except httpx.TransportError:
            return False
        return response.is_success

    def model(self) -> dict[str, Any]:
        """What the service says of its default model: classes, input size, artifact, runtime, claims."""
        response = self._http.get("/v1/model")
        if not response.is_success:
            raise error_of(response)
        said: dict[str, Any] = response.json()
        return said
