"""From a request to the bytes of one image, within stated limits. Nothing is written to disk."""

import asyncio
from typing import TYPE_CHECKING

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from serve.errors import (
    BodyTooLargeError,
    ClientGoneError,
    EmptyBodyError,
    MalformedBodyError,
    MediaTypeError,
    SlowClientError,
)

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")
UNNAMED_TYPES = ("", "application/octet-stream", "application/x-www-form-urlencoded")
"""Types that say nothing about a raw body; the last is what `curl --data-binary` sends unasked."""
MULTIPART = "multipart/form-data"
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
            async for chunk in request.stream():
                received_bytes += len(chunk)
                if received_bytes > max_bytes:
                    raise BodyTooLargeError(max_bytes)
                chunks.append(chunk)
    except TimeoutError:
        raise SlowClientError(
            f"{received_bytes} bytes came in {timeout_s:g} s and the body is not complete; send it faster."
        ) from None
    except ClientDisconnect:
        raise ClientGoneError("the client hung up while it sent the body.") from None
    if not received_bytes:
        raise EmptyBodyError(
            f"the body is empty; send an image as the body or as the multipart field {FIELD!r}."
        )
    return b"".join(chunks)


def image_in(body: bytes, content_type: str) -> bytes:
    """The encoded image: the body itself, or the field `image` of a multipart body.

    Raises MalformedBodyError for broken multipart and EmptyBodyError where the field is missing or empty.
    """
    media_type, options = parse_options_header(content_type)
    if media_type.decode("latin-1").lower() != MULTIPART:
        return body
    boundary = options.get(b"boundary")
    if not boundary:
        raise MalformedBodyError(f"{MULTIPART} without a boundary in Content-Type.")
    reader = _FieldReader()
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except MultipartParseError as error:
        raise MalformedBodyError(f"the multipart body is malformed: {error}.") from None
    if not reader.is_complete:
        raise MalformedBodyError("the multipart body ends before its closing boundary.")
    if not any(reader.pieces):
        raise EmptyBodyError(
            f"the multipart body has no content in a field {FIELD!r}; "
            f"fields sent: {', '.join(reader.names) or 'none'}."
        )
    return b"".join(reader.pieces)


class _FieldReader:
    """Collects the first field called `image`; looks at the other fields' names only."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.names: list[str] = []
        self.is_complete = False
        self._header_name = b""
        self._header_value = b""
        self._is_wanted = False

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_content,
            "on_header_end": self._header_end,
            "on_part_data": self._part_data,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._is_wanted = False

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_content(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            name = parse_options_header(self._header_value)[1].get(b"name", b"").decode("utf-8", "replace")
            self._is_wanted = name == FIELD and FIELD not in self.names
            self.names.append(name)
        self._header_name = self._header_value = b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_wanted:
            self.pieces.append(data[start:end])

    def _end(self) -> None:
        self.is_complete = True
