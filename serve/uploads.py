"""From a request to the bytes of one image, within stated limits. Nothing is written to disk."""

import asyncio

from starlette.requests import Request

from serve.errors import (
    BodyTooLargeError,
    ClientGoneError,
    EmptyBodyError,
    MediaTypeError,
    SlowClientError,
)
from serve.multipart import MULTIPART, PartReader, options_of

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")
UNNAMED_TYPES = ("", "application/octet-stream", "application/x-www-form-urlencoded")
"""Types that say nothing about a raw body; the last is what `curl --data-binary` sends unasked."""
FIELD = "image"


def check_media_type(content_type: str) -> None:
    """Raises MediaTypeError for a body that cannot hold an image. Which image it is, its bytes decide."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith("image/") or media_type in (MULTIPART, *UNNAMED_TYPES):
        return
    raise MediaTypeError(
        f"Content-Type {media_type!r} is not read. Send the image as the body ({', '.join(IMAGE_TYPES)}) "
        f"or as the field {FIELD!r} of {MULTIPART}."
    )


async def read_body(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """The whole body. A declared length over the limit is refused before the first byte is read.

    Raises BodyTooLargeError, EmptyBodyError, SlowClientError, and ClientGoneError when the client hangs up.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise BodyTooLargeError(max_bytes, int(declared))
    chunks: list[bytes] = []
    received_bytes = 0
    try:
        async with asyncio.timeout(timeout_s):
            more_comes = True
            while more_comes:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError("the client hung up while it sent the body.")
                chunk = message.get("body", b"")
                received_bytes += len(chunk)
                if received_bytes > max_bytes:
                    raise BodyTooLargeError(max_bytes)
                chunks.append(chunk)
                more_comes = message.get("more_body", False)
    except TimeoutError:
        raise SlowClientError(
            f"{received_bytes} bytes came in {timeout_s:g} s and the body is not complete; send it faster."
        ) from None
    if not received_bytes:
        raise EmptyBodyError(
            f"the body is empty; send an image as the body or as the multipart field {FIELD!r}."
        )
    return b"".join(chunks)


def image_in(body: bytes, content_type: str) -> bytes:
    """The encoded image: the body itself, or the field `image` of a multipart body.

    Raises MalformedBodyError for broken multipart and EmptyBodyError where the field is missing or empty.
    """
    media_type, options = options_of(content_type)
    if media_type != MULTIPART:
        return body
    reader = _FieldReader()
    reader.read(body, options.get(b"boundary"))
    content = reader.contents[0] if reader.contents else b""
    if not content:
        raise EmptyBodyError(
            f"the multipart body has no content in a field {FIELD!r}; "
            f"fields sent: {', '.join(reader.names) or 'none'}."
        )
    return content


class _FieldReader(PartReader):
    """Keeps the first field called `image`; of the others the names."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def wants(self, disposition: dict[bytes, bytes]) -> bool:
        name = disposition.get(b"name", b"").decode("utf-8", "replace")
        is_first = name == FIELD and FIELD not in self.names
        self.names.append(name)
        return is_first
