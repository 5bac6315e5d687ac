import io

import numpy as np
import pytest
from PIL import Image

from modelpack.errors import CorruptImageError, ShapeError, UnsupportedImageError
from modelpack.png import decode_png_labels, encode_png_labels, encode_png_rgb, read_png_text
from tests.modelpack.images import encode, picture

PALETTE = ((10, 20, 30), (40, 50, 60))
MASKS = {
    "blocks": np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4), np.ones((7, 9), np.uint8)),
    "noise": np.random.default_rng(0).integers(0, 256, (33, 17), dtype=np.uint8),
    "one pixel": np.array([[255]], np.uint8),
    "one row": np.arange(256, dtype=np.uint8)[None],
    "a view": np.arange(200, dtype=np.uint8).reshape(10, 20)[::2, ::3],
}


@pytest.mark.parametrize("mask_hw", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("palette", [None, PALETTE], ids=["grey", "palette"])
def test_indices_survive_in_our_reader_and_in_pillow(mask_hw, palette):
    data = encode_png_labels(mask_hw, palette)
    assert np.array_equal(decode_png_labels(data), mask_hw)
    pillow = Image.open(io.BytesIO(data))
    assert pillow.mode == ("L" if palette is None else "P")
    assert np.array_equal(np.asarray(pillow), mask_hw)


def test_viewers_see_the_palette_and_black_beyond_it():
    data = encode_png_labels(np.array([[0, 1, 5]], np.uint8), PALETTE)
    assert np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).tolist() == [
        [[10, 20, 30], [40, 50, 60], [0, 0, 0]]
    ]


def test_the_palette_has_an_entry_for_every_index_in_use():
    data = encode_png_labels(np.array([[0, 255]], np.uint8), PALETTE)
    start = data.index(b"PLTE")
    assert int.from_bytes(data[start - 4 : start], "big") == 3 * 256


def test_label_maps_of_other_programs_are_read():
    pillow = Image.fromarray(picture()).quantize(200)
    buffer = io.BytesIO()
    pillow.save(buffer, "PNG", optimize=True)
    assert np.array_equal(decode_png_labels(buffer.getvalue()), np.asarray(pillow))


def test_a_picture_keeps_its_colours():
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png_rgb(picture())))), picture())


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"text", UnsupportedImageError, "a label map is a PNG, and these bytes are none."),
        (
            encode(picture(), "PNG"),
            UnsupportedImageError,
            "a label map is an 8-bit greyscale or palette PNG, got 8 bits of colour type 2.",
        ),
        (
            encode(picture(), "PNG", "1"),
            UnsupportedImageError,
            "a label map is an 8-bit greyscale or palette PNG, got 1 bits of colour type 0.",
        ),
        (
            encode_png_labels(MASKS["noise"])[:-30],
            CorruptImageError,
            "the PNG label map does not decode; it is damaged.",
        ),
    ],
    ids=["text", "rgb", "1 bit", "truncated"],
)
def test_what_is_no_label_map_is_refused(data, error, message):
    with pytest.raises(error) as caught:
        decode_png_labels(data)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 2), np.int64), np.zeros((1, 2, 2), np.uint8), np.zeros((0, 2), np.uint8)]
)
def test_only_masks_of_bytes_are_encoded(wrong):
    with pytest.raises(ShapeError, match=r"a mask is uint8 \(H, W\) with at least one pixel, got "):
        encode_png_labels(wrong)


def test_only_rgb_bytes_are_encoded_as_a_picture():
    with pytest.raises(ShapeError, match=r"a picture is uint8 \(H, W, 3\), got uint8 \(2, 2\)\."):
        encode_png_rgb(np.zeros((2, 2), np.uint8))


def test_remarks_travel_in_the_file_and_change_no_pixel():
    mask_hw = np.arange(12, dtype=np.uint8).reshape(3, 4)
    with_text = encode_png_labels(mask_hw, text={"Model": "m;sha256=00", "Note": "\u00fc"})
    assert read_png_text(with_text) == {"Model": "m;sha256=00", "Note": "\u00fc"}
    assert np.array_equal(decode_png_labels(with_text), mask_hw)
    image_hwc = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    encoded = encode_png_rgb(image_hwc, text={"Model": "m"})
    assert read_png_text(encoded) == {"Model": "m"}
    assert np.array_equal(np.array(Image.open(io.BytesIO(encoded))), image_hwc)


@pytest.mark.parametrize("missing_bytes", [1, 6, 12 + 3])
def test_a_png_that_breaks_off_says_so_when_its_remarks_are_read(missing_bytes):
    content = encode_png_labels(np.zeros((3, 4), np.uint8), text={"Model": "m"})
    with pytest.raises(CorruptImageError, match="breaks off"):
        read_png_text(content[:-missing_bytes])
