"""Long lists of numbers in JSON, read piece by piece.

`json.loads` lets no other thread run until it is done: for an image of 640x480 that is a tenth of a second in
which the service answers nobody. So the text of long `data` lists is taken out first and read later.
"""

import json
import re
from dataclasses import dataclass
from uuid import uuid4

LONG_BYTES = 16 * 1024
"""Shorter lists stay where they are."""
PIECE_BYTES = 16 * 1024
"""Text read in one go: less than a millisecond."""

_KEY = b'"data"'
_VALUE = re.compile(rb'"data"\s{0,8}:\s{0,8}(?=\[)')
_FLAT = bytes.maketrans(b"[]", b"  ")


@dataclass(frozen=True)
class LongList:
    """A list that was taken out: numbers only, maybe nested, maybe broken."""

    text: bytes

    def to_bytes(self) -> bytes:
        """The numbers one after the other, whatever the nesting.

        Raises ValueError or TypeError unless all are whole numbers from 0 to 255.
        """
        pieces = []
        position, end = 1, len(self.text) - 1
        while position <= end:
            comma = self.text.find(b",", position + PIECE_BYTES)
            stop = end if comma < 0 else comma
            numbers = json.loads(b"[%b]" % self.text[position:stop].translate(_FLAT))
            if not numbers:
                raise ValueError("a comma without a number")
            pieces.append(bytes(numbers))
            position = stop + 1
        return b"".join(pieces)


def take_out(text: bytes) -> tuple[bytes, dict[str, LongList]]:
    """The JSON with a name in place of each long list, and the lists by these names.

    A list of numbers that is the value of a key ends at the last bracket before the next quote or brace.
    """
    kept = []
    lists: dict[str, LongList] = {}
    done = 0
    key = text.find(_KEY)
    while key >= 0:
        value = _VALUE.match(text, key)
        after = key + len(_KEY)
        if value is not None:
            end = _end_of_list(text, value.end())
            if end - value.end() > LONG_BYTES:
                name = uuid4().hex
                lists[name] = LongList(text[value.end() : end])
                kept += [text[done : value.end()], b'"%b"' % name.encode()]
                done = after = end
        key = text.find(_KEY, after)
    return b"".join([*kept, text[done:]]), lists


def _end_of_list(text: bytes, start: int) -> int:
    """Just behind the closing bracket; `start` where there is none, or where brackets do not match."""
    quote, brace = text.find(b'"', start), text.find(b"}", start)
    stop = min((position for position in (quote, brace) if position >= 0), default=len(text))
    end = text.rfind(b"]", start, stop) + 1
    return end if end > start and text.count(b"[", start, end) == text.count(b"]", start, end) else start
