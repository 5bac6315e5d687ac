"""The search for the fewest layers: right for what adds up, and never more trials than it promises."""

import math

from hypothesis import given
from hypothesis import strategies as st

from export.fewest import fewest_kept

LAYERS = tuple("abcdefghijklmnop")


class Trials:
    """Passes where all `needed` are kept; remembers what was asked."""

    def __init__(self, needed):
        self.needed = frozenset(needed)
        self.asked = []

    def __call__(self, kept):
        self.asked.append(kept)
        return self.needed <= kept


@given(st.sets(st.sampled_from(LAYERS), min_size=1))
def test_exactly_the_layers_that_are_needed_are_kept(needed):
    assert fewest_kept(LAYERS, Trials(needed), len(LAYERS)) == needed


@given(st.sets(st.sampled_from(LAYERS), min_size=1), st.integers(1, len(LAYERS)))
def test_no_more_layers_are_kept_than_allowed(needed, limit):
    kept = fewest_kept(LAYERS, Trials(needed), limit)
    is_within = needed <= set(LAYERS[:limit])
    assert kept == (needed if is_within else None)


@given(st.sets(st.sampled_from(LAYERS), min_size=1))
def test_nothing_is_tried_twice_and_the_trials_are_bounded(needed):
    trials = Trials(needed)
    fewest_kept(LAYERS, trials, len(LAYERS))
    assert len(trials.asked) == len(set(trials.asked))
    assert frozenset() not in trials.asked
    assert len(trials.asked) <= 2 * math.log2(len(LAYERS)) + 1 + len(LAYERS)


def test_a_limit_of_none_asks_nothing():
    trials = Trials("a")
    assert fewest_kept(LAYERS, trials, 0) is None
    assert trials.asked == []
