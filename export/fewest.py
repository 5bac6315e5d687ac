"""The fewest layers to keep in float32 until a rule holds: a search over sets, each tried at most once."""

from collections.abc import Callable, Sequence

Trial = Callable[[frozenset[str]], bool]
"""Whether the graph passes with these layers kept. Expensive."""


def fewest_kept(order: Sequence[str], passes: Trial, limit: int) -> frozenset[str] | None:
    """The smallest set found among the first `limit` of `order`; None where all of these are not enough.

    `order` is most sensitive first. The first 1, 2, 4, ... are tried until the rule holds, then the shortest
    beginning for which it does is found by halving, then each layer of it is given up again where the rest
    still passes, the least sensitive first. That keeping none is not enough is taken for known.
    """
    if limit < 1:
        return None
    tried: dict[frozenset[str], bool] = {frozenset(): False}

    def holds(kept: frozenset[str]) -> bool:
        if kept not in tried:
            tried[kept] = passes(kept)
        return tried[kept]

    fails, enough = 0, 1
    while not holds(frozenset(order[:enough])):
        if enough == limit:
            return None
        fails, enough = enough, min(2 * enough, limit)
    while enough - fails > 1:
        middle = (fails + enough) // 2
        if holds(frozenset(order[:middle])):
            enough = middle
        else:
            fails = middle
    kept = frozenset(order[:enough])
    for layer in reversed(order[:enough]):
        if holds(kept - {layer}):
            kept -= {layer}
    return kept
