"""`Content-Encoding` of requests and `Accept-Encoding` of answers: gzip and deflate (in zlib's wrapping)."""

import zlib
from typing import Final

from serve.errors import BodyTooLargeError, InferRequestError, MediaTypeError

WINDOW_BITS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""Name of the encoding to zlib's number for its wrapping."""
LEVEL = 1
"""Label maps have long runs: higher levels cost more time than they save bytes."""


def decompress(body: bytes, encoding: str, *, max_bytes: int) -> bytes:
    """The body as it was before `encoding` (empty or `identity`: as it is).

    Never holds more than `max_bytes`, whatever the body claims to become. Raises MediaTypeError for an
    unknown encoding, BodyTooLargeError, and InferRequestError for a damaged stream.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in WINDOW_BITS:
        raise MediaTypeError(
            f"Content-Encoding {encoding!r} is not read. Use {', '.join(WINDOW_BITS)} or none."
        )
    stream = zlib.decompressobj(WINDOW_BITS[encoding])
    try:
        content = stream.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise InferRequestError(f"the body is not {encoding}, as Content-Encoding says: {error}.") from None
    if len(content) > max_bytes:
        raise BodyTooLargeError(max_bytes)
    if not stream.eof:
        raise InferRequestError(f"the {encoding} body breaks off after {len(body)} bytes.")
    if stream.unused_data:
        raise InferRequestError(f"{len(stream.unused_data)} bytes follow the end of the {encoding} body.")
    return content


def choose_encoding(accept_encoding: str) -> str | None:
    """The first of gzip and deflate that the client accepts most; None: uncompressed."""
    weights = dict(_weight(entry) for entry in accept_encoding.lower().split(","))
    best = max(WINDOW_BITS, key=lambda name: weights.get(name, 0.0))
    return best if weights.get(best, 0.0) > 0 else None


def compress(content: bytes, encoding: str) -> bytes:
    stream = zlib.compressobj(LEVEL, wbits=WINDOW_BITS[encoding])
    return stream.compress(content) + stream.flush()


def _weight(entry: str) -> tuple[str, float]:
    """`gzip;q=0.5` to ("gzip", 0.5). What is no number counts as a refusal."""
    name, _, parameter = entry.partition(";")
    key, _, value = parameter.strip().partition("=")
    if key.strip() != "q":
        return name.strip(), 1.0
    try:
        return name.strip(), float(value)
    except ValueError:
        return name.strip(), 0.0
