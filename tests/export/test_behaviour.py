"""What single images in a row do not show: answers that change, batches that mix, sizes that were frozen."""

import numpy as np
import pytest

from export.behaviour import observe
from modelpack.errors import SegError

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
SMALLER = IMAGE[:30, :40]


def darkest(images: np.ndarray) -> np.ndarray:
    """The right answer: which channel is darkest."""
    return images.argmin(-1).astype(np.uint8)


class Fake:
    """A runtime whose answers a function gives."""

    name = provider = "fake"
    device = "cpu"

    def __init__(self, answer=darkest) -> None:
        self.answer = answer
        self.calls = 0

    def run(self, images):
        self.calls += 1
        return {"mask": self.answer(images)}


def broken(answer) -> tuple[str, ...]:
    return observe(Fake(answer), IMAGE, [(SMALLER, darkest(SMALLER))], agreement=1.0).broken


def test_a_steady_answer_passes():
    behaviour = observe(Fake(), IMAGE, [(SMALLER, darkest(SMALLER))], agreement=1.0)
    assert behaviour.broken == ()
    assert (behaviour.repeat_agreement, behaviour.batch_agreement, behaviour.other_size_agreement) == (
        1,
        1,
        1,
    )


def test_an_answer_that_changes_by_one_pixel_is_found():
    random = np.random.default_rng(0)

    def restless(images):
        mask = darkest(images)
        mask[0, random.integers(40), random.integers(50)] ^= 1
        return mask

    assert any(sentence.startswith("two answers to the same pixels differ") for sentence in broken(restless))


@pytest.mark.parametrize(
    "answer",
    [
        lambda images: np.repeat(darkest(images[:1]), len(images), axis=0),
        lambda images: darkest(images)[::-1],
        lambda images: darkest(images if len(images) < 3 else images[[0, 1, 1]]),
    ],
    ids=["the first for all", "in reverse order", "wrong from three on"],
)
def test_a_batch_whose_answers_are_mixed_up_is_found(answer):
    assert any("in a batch is answered otherwise than alone" in sentence for sentence in broken(answer))


def test_a_batch_that_is_not_answered_whole_is_found():
    assert any(
        "gives masks of shape (1, 40, 56)" in text for text in broken(lambda images: darkest(images[:1]))
    )


def test_a_batch_that_fails_is_found():
    def alone_only(images):
        if len(images) > 1:
            raise SegError("the reshape of node 7 fails.")
        return darkest(images)

    assert any("batch of 2: the reshape of node 7 fails" in sentence for sentence in broken(alone_only))


def test_a_window_that_was_frozen_shows_at_another_size():
    def frozen(images):
        return darkest(images) if images.shape[1] == 40 else darkest(images)[:, ::-1]

    (sentence,) = broken(frozen)
    assert "for an image of 30x40" in sentence


def test_a_size_that_is_not_answered_is_found():
    def fixed(images):
        if images.shape[1] != 40:
            raise SegError("Gather index out of range.")
        return darkest(images)

    assert broken(fixed) == ("it does not answer an image of 30x40: Gather index out of range",)


def test_noise_at_the_own_size_is_allowed_at_another():
    random = np.random.default_rng(0)
    spoilt = np.where(random.random(SMALLER.shape[:2]) < 0.1, 3, darkest(SMALLER)).astype(np.uint8)
    assert observe(Fake(), IMAGE, [(SMALLER, spoilt)], agreement=0.92).broken == ()
