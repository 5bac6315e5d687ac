import io
import random
import time

import numpy as np
import pytest
from PIL import Image, ImageOps

from modelpack.errors import CorruptImageError, ImageError, ImageTooLargeError, UnsupportedImageError
from modelpack.pixels import decode_image
from tests.modelpack.images import encode, huge_jpeg, huge_png, jpeg_with_orientation, picture, png_16_bit

MAX_PIXELS = 10_000
JPEG_ERROR = 4.0  # mean absolute difference of a smooth picture at quality 95, in grey levels
REFUSAL_S = 0.01


def pillow_rgb(image, mode):
    return np.asarray(Image.fromarray(image).convert(mode).convert("RGB"))


def mean_error(got, wanted):
    assert got.shape == wanted.shape
    return np.abs(got.astype(int) - wanted).mean()


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (encode(picture(), "PNG"), picture()),
        (encode(picture(), "PNG", "L"), pillow_rgb(picture(), "L")),
        (encode(picture(), "PNG", "P"), pillow_rgb(picture(), "P")),
        (encode(picture(), "PNG", "1"), pillow_rgb(picture(), "1")),
        (png_16_bit(picture()), picture()),
        (encode(picture(), "WEBP", lossless=True), picture()),
    ],
    ids=["rgb", "grey", "palette", "1 bit", "16 bit", "webp"],
)
def test_lossless_pictures_come_back_exactly(data, wanted):
    assert np.array_equal(decode_image(data, max_pixels=MAX_PIXELS), wanted)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_alpha_is_dropped_and_the_colours_under_it_stay(kind):
    opacity = np.arange(80, dtype=np.uint8)[None, :, None].repeat(60, axis=0)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    data = encode(np.concatenate([picture(), opacity], axis=2), kind, **options)
    assert np.array_equal(decode_image(data, max_pixels=MAX_PIXELS), picture())


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (encode(picture(), "JPEG", quality=95), picture()),
        (encode(picture(), "JPEG", quality=95, progressive=True), picture()),
        (encode(picture(), "JPEG", "L", quality=95), pillow_rgb(picture(), "L")),
        (encode(picture(), "JPEG", "CMYK", quality=95), pillow_rgb(picture(), "CMYK")),
        (encode(picture(), "WEBP", quality=95), picture()),
    ],
    ids=["rgb", "progressive", "grey", "cmyk", "webp"],
)
def test_lossy_pictures_come_back_nearly(data, wanted):
    assert mean_error(decode_image(data, max_pixels=MAX_PIXELS), wanted) < JPEG_ERROR


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_turned_upright(orientation):
    data = jpeg_with_orientation(picture(), orientation)
    upright = decode_image(data, max_pixels=MAX_PIXELS)
    assert mean_error(upright, np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))) < JPEG_ERROR
    assert upright.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_other_formats_are_turned_upright_too(kind, options, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(picture(), kind, exif=exif, **options)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.array_equal(decode_image(data, max_pixels=MAX_PIXELS), upright)


def test_of_an_animated_png_the_first_frame_counts():
    second = Image.fromarray(255 - picture())
    data = encode(picture(), "PNG", save_all=True, append_images=[second])
    assert np.array_equal(decode_image(data, max_pixels=MAX_PIXELS), picture())


def test_an_animated_webp_is_refused():
    second = Image.fromarray(255 - picture())
    data = encode(picture(), "WEBP", save_all=True, append_images=[second])
    with pytest.raises(UnsupportedImageError, match="animated"):
        decode_image(data, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("data", [huge_png(20_000, 20_000), huge_jpeg(13_000, 13_000)], ids=["png", "jpeg"])
def test_a_bomb_is_refused_from_its_header(data):
    start = time.perf_counter()
    with pytest.raises(ImageTooLargeError, match=r"pixels, the limit is 10000\. Send a smaller one\."):
        decode_image(data, max_pixels=MAX_PIXELS)
    assert time.perf_counter() - start < REFUSAL_S


def test_the_limit_itself_is_allowed():
    data = encode(picture(), "PNG")
    assert decode_image(data, max_pixels=4800).shape == (60, 80, 3)
    with pytest.raises(ImageTooLargeError, match="the image has 80x60 = 4800 pixels, the limit is 4799"):
        decode_image(data, max_pixels=4799)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("JPEG", r"the JPEG does not decode: "),
        ("PNG", r"the PNG breaks off after \d+ bytes\."),
        ("WEBP", r"the WebP breaks off: it has \d+ of \d+ bytes\."),
    ],
)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_picture_that_breaks_off_is_corrupt(kind, message, share):
    data = encode(picture(), kind)
    with pytest.raises(CorruptImageError, match=message):
        decode_image(data[: int(len(data) * share)], max_pixels=MAX_PIXELS)


@pytest.mark.parametrize(("kind", "end_bytes"), [("JPEG", 2), ("PNG", 12), ("WEBP", 1)])
def test_even_a_missing_end_mark_is_corrupt(kind, end_bytes):
    with pytest.raises(CorruptImageError):
        decode_image(encode(picture(), kind)[:-end_bytes], max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_bytes_after_the_picture_do_no_harm(kind):
    data = encode(picture(), kind)
    assert decode_image(data + b"trailer", max_pixels=MAX_PIXELS).shape == (60, 80, 3)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", CorruptImageError),
        (b"a text", UnsupportedImageError),
        (bytes(1000), UnsupportedImageError),
        (huge_png(8, 8), CorruptImageError),
        (huge_png(0, 8), CorruptImageError),
        (encode(picture(), "BMP"), UnsupportedImageError),
    ],
    ids=["empty", "text", "zeros", "header only", "no pixels", "bmp"],
)
def test_what_is_no_picture_is_refused(data, error):
    with pytest.raises(error):
        decode_image(data, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_no_damage_does_worse_than_an_image_error(kind):
    whole = encode(picture(24, 32), kind)
    chance = random.Random(0)
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(4):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            image = decode_image(bytes(data), max_pixels=MAX_PIXELS)
        except ImageError:
            continue
        assert image.dtype == np.uint8
        assert image.shape[2] == 3
