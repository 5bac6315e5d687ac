"""The parts of a multipart body that is all there; a subclass decides by their names which are kept.

Source: RFC 2046, 5.1.1, and RFC 7578. Parsers of streams look at every byte in a state machine; with the body
at hand, a delimiter is one search, and a part one copy.
"""

from abc import abstractmethod
from functools import lru_cache

from python_multipart.multipart import parse_options_header

from serve.errors import MalformedBodyError

MULTIPART = "multipart/form-data"
MOST_BOUNDARY_BYTES = 256
"""RFC 2046 allows 70."""
MOST_HEADER_BYTES = 16 << 10
"""Of all header lines of one part."""
MOST_PADDING_BYTES = 256
"""Blanks that may follow a delimiter in its line."""
_LINE = b"\r\n"
_BLANK_LINE = b"\r\n\r\n"
_BLANKS = b" \t"

Delimiter = tuple[int, int, bool]
"""Where the content before it ends, where what follows it begins, and whether it is the closing one."""


class PartReader:
    """Collects the content of every part that is wanted."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []
        """Of the parts that were wanted, in their order."""

    @abstractmethod
    def wants(self, disposition: dict[bytes, bytes]) -> bool:
        """Whether to keep the part with these options (`name`, `filename`) of Content-Disposition."""

    def read(self, body: bytes, boundary: bytes | None) -> None:
        """The whole body at once. Raises MalformedBodyError, and what `wants` raises."""
        if not boundary:
            raise MalformedBodyError(f"{MULTIPART} without a boundary in Content-Type.")
        if len(boundary) > MOST_BOUNDARY_BYTES:
            raise MalformedBodyError(f"the multipart boundary is longer than {MOST_BOUNDARY_BYTES} bytes.")
        line = _LINE + b"--" + boundary
        starts_with_it = body.startswith(line[len(_LINE) :])
        _, begin, is_last = _delimiter(body, line, -len(_LINE) if starts_with_it else body.find(line))
        while not is_last:
            header_end = body.find(_BLANK_LINE, begin - len(_LINE), begin + MOST_HEADER_BYTES)
            if header_end < 0:
                raise MalformedBodyError("the multipart body has a part whose header does not end.")
            is_wanted = self.wants(_disposition(body[begin:header_end]))
            content = header_end + len(_BLANK_LINE)
            end, begin, is_last = _delimiter(body, line, body.find(line, content - len(_LINE)))
            if is_wanted:
                self.contents.append(body[content:end])


@lru_cache
def options_of(value: str | bytes) -> tuple[str, dict[bytes, bytes]]:
    """(what the header says, in small letters; its options by name), which nobody may change."""
    said, options = parse_options_header(value)
    return said.decode("latin-1"), options


def _delimiter(body: bytes, line: bytes, found: int) -> Delimiter:
    """The first delimiter at or after `found`, where `line` stands; content may begin like one.

    Raises MalformedBodyError where there is none.
    """
    while found != -1:
        after = found + len(line)
        if body.startswith(b"--", after) and body[after + 2 : after + 3] in (b"", b"\r", b" ", b"\t"):
            return found, len(body), True
        line_end = body.find(_LINE, after, after + MOST_PADDING_BYTES)
        if line_end >= 0 and not body[after:line_end].strip(_BLANKS):
            return found, line_end + len(_LINE), False
        found = body.find(line, after)
    raise MalformedBodyError("the multipart body ends before its closing boundary.")


def _disposition(header: bytes) -> dict[bytes, bytes]:
    """The options of the header line Content-Disposition; none where that is missing."""
    found: dict[bytes, bytes] = {}
    for line in header.split(_LINE) if header else ():
        name, colon, value = line.partition(b":")
        if not colon:
            raise MalformedBodyError(f"the multipart body has a header line without a colon: {line[:80]!r}.")
        if name.strip(_BLANKS).lower() == b"content-disposition":
            found = options_of(value.strip(_BLANKS))[1]
    return found
