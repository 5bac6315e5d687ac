"""HdrHistogram logs: `.hlog` files that the tools of that family read, one histogram per interval.

Source: HdrHistogram's V2 encoding (payload of ZigZag LEB128 counts, runs of zeros as one negative number,
deflated, base64) and its log format 1.3. Written for values in microseconds.
"""

import base64
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelpack.atomic import write_text

SIGNIFICANT_DIGITS = 3
HIGHEST_US = 3_600_000_000
"""An hour; what is longer is recorded as an hour."""
INTERVAL_SECONDS = 1.0
US_PER_MS = 1000.0

_COOKIE = 0x1C849303 | 0x10
_COMPRESSED_COOKIE = 0x1C849304 | 0x10
_HEADER = struct.Struct(">iiiiqqd")
_ENVELOPE = struct.Struct(">ii")
_SUB_BUCKET_BITS = 11
"""2048 sub-buckets: the fewest that tell values of `SIGNIFICANT_DIGITS` digits apart by one unit."""
_HALF_BITS = _SUB_BUCKET_BITS - 1
_LEB_BITS = 7
_LEB_MAX_BYTES = 9


def counts_index(values_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position of each value (n,) among the counts: linear below 2048, then halves of doubling buckets."""
    exponents = np.frexp(np.maximum(values_us, 1).astype(np.float64))[1]
    bucket = np.maximum(exponents - _SUB_BUCKET_BITS, 0).astype(np.int64)
    index: NDArray[np.int64] = (bucket << _HALF_BITS) + (values_us >> bucket)
    return index


def encode(values_us: NDArray[np.int64]) -> str:
    """The V2 compressed histogram of values (n,) in microseconds, base64."""
    counts = np.bincount(counts_index(np.clip(values_us, 0, HIGHEST_US)))
    payload = b"".join(_words(counts))
    header = _HEADER.pack(_COOKIE, len(payload), 0, SIGNIFICANT_DIGITS, 1, HIGHEST_US, 1.0)
    deflated = zlib.compress(header + payload)
    return base64.b64encode(_ENVELOPE.pack(_COMPRESSED_COOKIE, len(deflated)) + deflated).decode("ascii")


def write_log(
    path: Path, tag: str, start: datetime, ends_s: NDArray[np.float64], ms: NDArray[np.float64]
) -> None:
    """One line per `INTERVAL_SECONDS` of completion times.

    Args:
        tag: name of the histograms in the log.
        start: wall clock at time 0.
        ends_s: (n,) when each request was done, from `start`.
        ms: (n,) the latencies.
    """
    epoch_s = start.timestamp()
    lines = [
        "#[Logged by afdcd bench load, values in microseconds]",
        "#[Histogram log format version 1.3]",
        f"#[StartTime: {epoch_s:.3f} (seconds since epoch), {start.astimezone(UTC).isoformat()}]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    values_us = np.rint(ms * US_PER_MS).astype(np.int64)
    intervals = np.maximum(ends_s, 0) // INTERVAL_SECONDS
    for interval in np.unique(intervals):
        inside = values_us[intervals == interval]
        lines.append(
            f"Tag={tag},{interval * INTERVAL_SECONDS:.3f},{INTERVAL_SECONDS:.3f},"
            f"{inside.max() / US_PER_MS:.3f},{encode(inside)}"
        )
    write_text(path, "\n".join(lines) + "\n")


def _words(counts: NDArray[np.int64]) -> Iterator[bytes]:
    """Counts as signed numbers: n > 0 is a count of n, -n are n counts of zero."""
    last = -1
    for position in np.flatnonzero(counts).tolist():
        if zeros := position - last - 1:
            yield _leb128(-zeros if zeros > 1 else 0)
        yield _leb128(int(counts[position]))
        last = position


def _leb128(number: int) -> bytes:
    """ZigZag (sign in the lowest bit), then seven bits per byte; a ninth byte would carry eight."""
    left = number << 1 if number >= 0 else (-number << 1) - 1
    out = bytearray()
    while left >> _LEB_BITS and len(out) < _LEB_MAX_BYTES - 1:
        out.append(left & 0x7F | 0x80)
        left >>= _LEB_BITS
    out.append(left)
    return bytes(out)
