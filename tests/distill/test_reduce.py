"""What part of a feature map is contrasted, and how a recipe says so."""

import pytest
import torch

from distill.losses.reduce import Reduce
from modelpack.errors import ShapeError


@pytest.mark.parametrize(
    ("text", "size", "patch", "kept"),
    [
        ("pool(4)", (64, 128), (4, 4), (16, 32)),
        ("pool(4)", (45, 45), (4, 4), (8, 8)),
        ("crop", (45, 45), (4, 4), (44, 44)),
        ("none", (45, 47), (2, 5), (44, 45)),
    ],
)
def test_reduce_keeps_whole_patches_from_the_top_left(text, size, patch, kept):
    maps = torch.arange(size[0] * size[1], dtype=torch.float32).view(1, 1, *size)
    reduced = Reduce.model_validate(text)(maps, patch)
    pool = Reduce.model_validate(text).pool
    assert tuple(reduced.shape[2:]) == kept
    assert reduced[0, 0, 0, 0] == maps[0, 0, pool - 1, pool - 1]


def test_reduce_names_a_map_smaller_than_one_patch():
    with pytest.raises(ShapeError, match=r"12x15 feature map, reduced by pool\(4\).*one patch of 4x4"):
        Reduce(pool=4)(torch.zeros(1, 1, 12, 15), (4, 4))


@pytest.mark.parametrize("text", ["pool", "pool(0)", "pool(-1)", "shrink"])
def test_reduce_refuses_other_words(text):
    with pytest.raises(ValueError, match="pool"):
        Reduce.model_validate(text)


@pytest.mark.parametrize("text", ["pool(4)", "crop"])
def test_reduce_is_written_as_it_is_read(text):
    assert Reduce.model_validate(text).model_dump() == text
