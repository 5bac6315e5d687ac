"""Closed outlines along the edges of pixels, and what makes several of them a valid geometry.

Valid as OGC and GeoJSON's readers mean it: no ring touches or crosses itself, rings meet in single points at
most, and what a ring with its holes encloses hangs together.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.int32]
"""(K, 2) corners x, y; the first is not repeated."""
Edges = NDArray[np.int64]
"""(E, 2, 2): begin and end of each edge, x and y."""
_PAIRS_AT_ONCE = 1 << 20


def doubled_area(ring: Ring) -> int:
    """Signed, by the shoelace formula."""
    x, y = ring.astype(np.int64).T
    return int((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())


def simple_loops(ring: Ring) -> Iterator[Ring]:
    """A ring that passes a corner twice, taken apart there. Loops keep the ring's direction."""
    if len(set(map(tuple, ring.tolist()))) == len(ring):
        yield ring
        return
    path: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}
    for x, y in ring.tolist():
        if (x, y) in place:
            begin = place[x, y]
            yield np.array(path[begin:], np.int32)
            for passed in path[begin:]:
                del place[passed]
            del path[begin:]
        place[x, y] = len(path)
        path.append((x, y))
    yield np.array(path, np.int32)


def in_conflict(rings: Sequence[Ring], is_exact: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(rings,): which of them touch or cross themselves or others, or lie on a wrong side of others.

    is_exact: rings as they were traced, which may meet in corners and are in no conflict with each other.
    The direction of a ring says on which side it must lie: those of positive area are no part of another.
    """
    owner = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    edges = np.concatenate([np.stack([ring, np.roll(ring, -1, axis=0)], axis=1) for ring in rings]).astype(
        np.int64
    )
    following = np.concatenate([np.roll(np.flatnonzero(owner == index), -1) for index in range(len(rings))])
    found = np.zeros(len(rings), bool)
    for first, second in _near_pairs(edges):
        matters = ~(is_exact[owner[first]] & is_exact[owner[second]])
        matters &= (following[first] != second) & (following[second] != first)
        pairs = np.stack([first[matters], second[matters]])
        met = pairs[:, _meet(edges[pairs[0]], edges[pairs[1]])]
        found[owner[met]] = True
    return found | _misplaced(rings, edges, owner)


def _near_pairs(edges: Edges) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Edges whose ranges of x overlap, each pair once, in parts that fit into memory."""
    low, high = edges[:, :, 0].min(axis=1), edges[:, :, 0].max(axis=1)
    order = np.argsort(low, kind="stable")
    last = np.searchsorted(low[order], high[order], side="right")
    counts = last - np.arange(len(order)) - 1
    begin = 0
    while begin < len(order):
        end = begin + max(1, int(np.searchsorted(np.cumsum(counts[begin:]), _PAIRS_AT_ONCE)))
        part = counts[begin:end]
        first = np.repeat(np.arange(begin, begin + len(part)), part)
        within = np.arange(len(first)) - np.repeat(np.cumsum(part) - part, part)
        yield order[first], order[first + 1 + within]
        begin = end


def _meet(some: Edges, others: Edges) -> NDArray[np.bool_]:
    """(pairs,): whether two edges have a point in common."""
    boxes_meet = (some.min(axis=1) <= others.max(axis=1)) & (others.min(axis=1) <= some.max(axis=1))
    sides = _side(others, some[:, 0]) * _side(others, some[:, 1])
    sides_of_others = _side(some, others[:, 0]) * _side(some, others[:, 1])
    return np.asarray(boxes_meet.all(axis=1) & (sides <= 0) & (sides_of_others <= 0))


def _side(edges: Edges, points: NDArray[np.int64]) -> NDArray[np.int64]:
    """(edges,): -1, 0 or 1, for left of an edge, on its line, and right of it."""
    along, to_point = edges[:, 1] - edges[:, 0], points - edges[:, 0]
    return np.asarray(np.sign(along[:, 0] * to_point[:, 1] - along[:, 1] * to_point[:, 0]), np.int64)


def _misplaced(rings: Sequence[Ring], edges: Edges, owner: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(rings,): all of them, where one has jumped over another: the number of rings around that tells."""
    found = np.zeros(len(rings), bool)
    (x0, y0), (x1, y1) = edges[:, 0].T, edges[:, 1].T
    for index, ring in enumerate(rings):
        x, y = ring[np.lexsort((ring[:, 1], ring[:, 0]))[0]]  # leftmost: nothing of its own is beside it
        crossed = ((y0 <= y) != (y1 <= y)) & (owner != index)
        at = np.flatnonzero(crossed)
        beside = x0[at] + (y - y0[at]) * (x1[at] - x0[at]) / (y1[at] - y0[at])
        around = np.bincount(owner[at[beside < x]], minlength=len(rings)) % 2 == 1
        if around.sum() % 2 != (doubled_area(ring) < 0):
            found[:] = True  # the one that jumped may be anywhere
    return found
