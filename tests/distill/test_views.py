"""Two views of an image: seeded, placed where they say, and paired by index or by place."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from distill.datasets.dataset import Sample
from distill.pretrain.pairing import at_same_place, on_one_grid
from distill.pretrain.student_head import PixelAttention, student_head
from distill.pretrain.views import Views, ViewsConfig, stack_views
from distill.sampling import Draw
from modelpack.errors import SettingsError

HEIGHT, WIDTH = 120, 200
PLAIN = {"jitter": 0.0, "grey": 0.0, "blur": (0.0, 0.0), "solarise": (0.0, 0.0)}


class Ramp:
    """One image whose red and green say how far right and how far down a pixel is."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        xs, ys = (np.arange(WIDTH) + 0.5) / WIDTH, (np.arange(HEIGHT) + 0.5) / HEIGHT
        image = np.zeros((HEIGHT, WIDTH, 3))
        image[..., 0], image[..., 1] = 255 * xs[None], 255 * ys[:, None]
        return Sample("ramp", image.round().astype(np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8))


def views(seed, **over):
    return Views(Ramp(), ViewsConfig(size=(40, 60), **{**PLAIN, **over}))(Draw(0, seed))


def centres(place, height, width):
    """Where in the image the pixels of a view lie: (height, width) of x and of y."""
    left, top, right, bottom = place
    xs = left + (right - left) * (np.arange(width) + 0.5) / width
    ys = top + (bottom - top) * (np.arange(height) + 0.5) / height
    return np.meshgrid(xs, ys)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_a_view_shows_the_place_that_it_names(flip):
    for seed in range(5):
        for view in views(seed, flip=flip):
            assert (view.place[0] > view.place[2]) == bool(flip)
            xs, ys = centres(view.place, 40, 60)
            shown = view.image_hwc / 255
            assert np.abs(shown[..., 0] - xs).max() < 0.02
            assert np.abs(shown[..., 1] - ys).max() < 0.02


def test_views_depend_on_the_sample_seed_alone_and_differ_from_each_other():
    first, again, other = views(1), views(1), views(2)
    np.testing.assert_array_equal(first[0].image_hwc, again[0].image_hwc)
    assert first[0].place == again[0].place
    assert len({first[0].place, first[1].place, other[0].place, other[1].place}) == 4


def test_published_blur_is_always_on_view_1_and_solarisation_only_on_view_2():
    config = ViewsConfig()
    assert (config.blur, config.solarise) == ((1.0, 0.1), (0.0, 0.2))


def test_a_batch_holds_both_views_and_their_places():
    batch = stack_views([views(1), views(2)])
    assert [tuple(images.shape) for images in batch.images] == [(2, 40, 60, 3)] * 2
    assert [tuple(places.shape) for places in batch.places] == [(2, 4)] * 2


def test_partners_by_place_show_the_same_place_through_crops_and_flips():
    student = torch.tensor([[0.2, 0.1, 0.6, 0.5], [0.6, 0.1, 0.2, 0.5]], dtype=torch.float64)
    teacher = torch.tensor([[0.9, 0.2, 0.3, 0.8], [0.1, 0.2, 0.9, 0.8]], dtype=torch.float64)
    maps = torch.stack([torch.tensor(np.stack(centres(place, 30, 32))) for place in teacher.tolist()])
    partners, is_shown = at_same_place(maps, teacher, student, (5, 7))
    for image, place in enumerate(student.tolist()):
        wanted = torch.tensor(np.stack(centres(place, 5, 7)))
        low, high = sorted((teacher[image, 0], teacher[image, 2]))
        inside = (wanted[0] >= low) & (wanted[0] <= high) & (wanted[1] >= 0.2) & (wanted[1] <= 0.8)
        assert torch.equal(is_shown[image], inside)
        assert 0 < int(inside.sum()) < 35
        border = 0.6 / 30  # beyond the outermost cells' centres the border is repeated
        torch.testing.assert_close(partners[image][:, inside], wanted[:, inside], rtol=0, atol=border)


def test_views_apart_from_each_other_have_no_partners():
    left, right = torch.tensor([[0.0, 0.0, 0.4, 1.0]]), torch.tensor([[0.5, 0.0, 1.0, 1.0]])
    assert not at_same_place(torch.ones(1, 2, 4, 4), right, left, (4, 4))[1].any()


def test_the_finer_of_two_grids_is_averaged_onto_the_coarser():
    fine = torch.arange(16.0).reshape(1, 1, 4, 4)
    student, teacher = on_one_grid(fine, torch.ones(1, 1, 2, 2))
    assert student.tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
    assert torch.equal(on_one_grid(teacher, fine)[1], student)


def test_attention_mixes_pixels_and_keeps_the_shape():
    torch.manual_seed(0)
    block, maps = PixelAttention(8, heads=2), torch.randn(1, 8, 3, 3, requires_grad=True)
    out = block(maps)
    assert out.shape == maps.shape
    out[0, :, 0, 0].sum().backward()
    assert maps.grad[0, :, 2, 2].abs().sum() > 0


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(SettingsError, match=r"heads \(3\) does not divide the student's 8 channels"):
        student_head(8, 16, 4, heads=3)


def test_an_area_that_falls_is_refused():
    with pytest.raises(ValidationError, match="must rise"):
        ViewsConfig(area=(0.9, 0.1))
