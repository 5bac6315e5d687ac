import random

import pytest

from modelpack.errors import CorruptImageError, ImageError, UnsupportedImageError
from modelpack.image_header import ImageHeader, read_header
from tests.modelpack.images import encode, huge_jpeg, huge_png, jpeg_with_orientation, picture, png_16_bit


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (encode(picture(), "JPEG"), "jpeg"),
        (encode(picture(), "JPEG", progressive=True), "jpeg"),
        (encode(picture(), "JPEG", "L"), "jpeg"),
        (encode(picture(), "JPEG", "CMYK"), "jpeg"),
        (encode(picture(), "JPEG", icc_profile=b"x" * 70_000, comment=b"hello"), "jpeg"),
        (encode(picture(), "PNG"), "png"),
        (png_16_bit(picture()), "png"),
        (encode(picture(), "WEBP"), "webp"),
        (encode(picture(), "WEBP", lossless=True), "webp"),
        (encode(picture(), "WEBP", "RGBA", exif=b"Exif\x00\x00"), "webp"),
    ],
    ids=[
        "jpeg", "progressive", "grey", "cmyk", "long segments", "png", "16 bit", "webp lossy",
        "webp lossless", "webp extended",
    ],
)  # fmt: skip
def test_format_and_size_are_read(data, kind):
    assert read_header(data) == ImageHeader(kind, width=80, height=60)


def test_tables_before_the_frame_of_a_jpeg_are_stepped_over():
    data = encode(picture(), "JPEG")
    frame, tables = data.index(b"\xff\xc0"), data.index(b"\xff\xc4")
    scan = data.index(b"\xff\xda")
    reordered = data[:frame] + data[tables:scan] + data[frame:tables] + data[scan:]
    assert read_header(reordered) == ImageHeader("jpeg", width=80, height=60)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_jpeg_is_read(orientation):
    assert read_header(jpeg_with_orientation(picture(), orientation)).orientation == orientation


@pytest.mark.parametrize("data", [huge_png(20_000, 20_000), huge_jpeg(20_000, 20_000)], ids=["png", "jpeg"])
def test_only_the_header_counts(data):
    assert read_header(data).num_pixels == 400_000_000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hello, world", "not a JPEG, PNG or WebP image: it starts with b'hello, w'."),
        (encode(picture(), "GIF"), "not a JPEG, PNG or WebP image: it starts with b'GIF87aP\\x00'."),
        (
            encode(picture(), "TIFF"),
            "not a JPEG, PNG or WebP image: it starts with b'II*\\x00\\x08\\x00\\x00\\x00'.",
        ),
        (
            encode(picture(), "WEBP", save_all=True, append_images=[]).replace(
                b"VP8 ", b"VP8X\x0a\0\0\0\x02"
            ),
            "an animated WebP; send a single picture.",
        ),
        (
            encode(picture(), "JPEG").replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c"),
            "a JPEG with 12 bits per channel; 8 are supported.",
        ),
    ],
    ids=["text", "gif", "tiff", "animation", "12 bit"],
)
def test_other_formats_are_unsupported_by_name(data, message):
    with pytest.raises(UnsupportedImageError) as caught:
        read_header(data)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the image is empty (0 bytes)."),
        (huge_png(1, 1)[:20], "the image breaks off inside its header (20 bytes)."),
        (huge_png(0, 10), "the PNG says it has 0x10 pixels."),
        (huge_jpeg(80, 0), "the JPEG says it has 80x0 pixels."),
        (b"\xff\xd8\xff", "the image breaks off inside its header (3 bytes)."),
        (
            b"\xff\xd8\xff\xe0\x00\x04ab\x00\x00",
            "the JPEG is damaged at byte 8: no marker where one must be.",
        ),
        (b"\xff\xd8\xff\xd9", "the JPEG ends or starts its pixels without saying its size."),
        (b"RIFF\x10\0\0\0WEBPVP9 ", "the WebP holds b'VP9 ' where its picture must start."),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "the image breaks off inside its header (16 bytes)."),
    ],
)
def test_a_damaged_header_says_what_is_wrong(data, message):
    with pytest.raises(CorruptImageError) as caught:
        read_header(data)
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_no_change_of_the_first_bytes_does_worse_than_an_image_error(kind):
    whole = encode(picture(), kind)
    chance = random.Random(0)
    for _ in range(500):
        data = bytearray(whole[: chance.randrange(4, 400)])
        for _ in range(3):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            read_header(bytes(data))
        except ImageError:
            continue
