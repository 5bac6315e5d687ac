"""Images as the world sends them: unusual ones get the right mask, bad ones a reason and do no harm."""

import io
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.modelpack.images import endless_scans, png_with, zeros_deflated
from tests.serve.pictures import gradient, jpeg_header, pillow, png, png_header, rotated_jpeg
from tests.tiny_package import tiny_answer

IMAGE = gradient()
GREY = IMAGE[..., 0]
LOSSY_AGREEMENT = 0.95
"""Share of pixels that keep their class through JPEG and lossy WebP: those near a class border may change."""

GOOD = png(IMAGE)
JPEG = pillow(IMAGE, "JPEG", quality=95)
WEBP = pillow(IMAGE, "WEBP")

BAD = {
    "garbage": (bytes(range(256)) * 8, 415),
    "text": (b"this is not an image, it is a sentence", 415),
    "gif": (pillow(IMAGE, "GIF"), 415),
    "truncated jpeg": (JPEG[: len(JPEG) // 2], 422),
    "truncated png": (GOOD[: len(GOOD) // 2], 422),
    "truncated webp": (WEBP[: len(WEBP) // 2], 422),
    "jpeg of its header alone": (JPEG[:200], 422),
    "jpeg signature alone": (b"\xff\xd8\xff", 422),
    "png signature alone": (GOOD[:8], 422),
    "png header alone": (png_header(64, 48), 422),
    "png of no width": (png_header(0, 48), 422),
    "png bomb": (png_header(20_000, 20_000), 413),
    "jpeg bomb": (jpeg_header(13_000, 13_000), 413),
}


def mask_of(response):
    assert response.status_code == 200, response.text
    return np.array(Image.open(io.BytesIO(response.content)))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_is_refused_with_a_reason(client, name):
    content, status = BAD[name]
    response = client.post("/v1/segment", content=content)
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem["status"]) == (status, status)
    assert len(problem["detail"]) > 20
    assert problem["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_in_a_form_is_refused_like_a_bare_one(client, name):
    content, status = BAD[name]
    assert client.post("/v1/segment", files={"image": ("photo.jpg", content)}).status_code == status


def test_a_bomb_is_refused_with_its_size_and_the_limit(client):
    detail = client.post("/v1/segment", content=png_header(20_000, 20_000)).json()["detail"]
    assert "20000x20000 = 400000000 pixels" in detail
    assert "40000000" in detail


@pytest.mark.parametrize(
    ("content", "image"),
    [
        pytest.param(png(GREY), np.repeat(GREY[..., None], 3, 2), id="grey png"),
        pytest.param(png(IMAGE.astype(np.uint16) * 257), IMAGE, id="16-bit png"),
        pytest.param(png(np.dstack([IMAGE, np.full_like(GREY, 128)])), IMAGE, id="png with alpha"),
        pytest.param(pillow(IMAGE // 64 * 64, "PNG", "P"), None, id="palette png"),
        pytest.param(pillow(IMAGE, "WEBP", lossless=True), IMAGE, id="lossless webp"),
    ],
)
def test_lossless_kinds_give_the_exact_mask(client, content, image):
    if image is None:
        image = np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(mask_of(client.post("/v1/segment", content=content)), tiny_answer(image))


@pytest.mark.parametrize(
    ("content", "image"),
    [
        pytest.param(JPEG, IMAGE, id="jpeg"),
        pytest.param(pillow(IMAGE, "JPEG", "L", quality=95), IMAGE, id="grey jpeg"),
        pytest.param(pillow(IMAGE, "JPEG", "CMYK", quality=95), IMAGE, id="cmyk jpeg"),
        pytest.param(pillow(IMAGE, "JPEG", progressive=True, quality=95), IMAGE, id="progressive jpeg"),
        pytest.param(pillow(IMAGE, "WEBP", quality=95), IMAGE, id="lossy webp"),
        pytest.param(rotated_jpeg(gradient(64, 48)), gradient(64, 48), id="jpeg turned by its exif entry"),
    ],
)
def test_lossy_kinds_give_nearly_the_same_mask(client, content, image):
    mask = mask_of(client.post("/v1/segment", content=content))
    expected = mask_of(client.post("/v1/segment", content=png(image)))
    assert mask.shape == expected.shape
    assert (mask == expected).mean() > LOSSY_AGREEMENT


def mutated(content, random):
    """The file cut short, with some bytes changed, or with some missing."""
    damaged = bytearray(content)
    kind, place = random.integers(3), random.integers(len(content))
    if kind == 0:
        del damaged[max(place, 1) :]
    elif kind == 1:
        damaged[place] ^= int(random.integers(1, 256))
    else:
        del damaged[place : place + random.integers(1, 40)]
    return bytes(damaged)


@pytest.mark.parametrize(
    "content", [GOOD, JPEG, WEBP, rotated_jpeg(IMAGE)], ids=["png", "jpeg", "webp", "exif"]
)
def test_a_damaged_file_is_never_a_fault_of_the_service(client, content):
    random = np.random.default_rng(0)
    for _ in range(50):
        response = client.post("/v1/segment", content=mutated(content, random))
        assert response.status_code in (200, 413, 415, 422), response.text


def test_bad_images_do_not_harm_the_good_ones_beside_them(server):
    bad = [content for content, _ in BAD.values()][:8]
    with httpx.Client(base_url=server.url, timeout=30) as client, ThreadPoolExecutor(16) as pool:
        for _ in range(5):
            sent = [body for pair in zip([GOOD] * 8, bad, strict=True) for body in pair]
            statuses = [
                r.status_code for r in pool.map(lambda body: client.post("/v1/segment", content=body), sent)
            ]
            assert statuses[0::2] == [200] * 8
            assert all(400 <= status < 500 for status in statuses[1::2])


def segment(server, content):
    return httpx.post(f"{server.url}/v1/segment", content=content, timeout=30).status_code


def test_bombs_of_an_allowed_size_are_refused_too(server):
    deflate_bomb = png_with(zeros_deflated(1 << 30))
    assert [segment(server, bomb) for bomb in (deflate_bomb, endless_scans())] == [422, 415]
    assert segment(server, GOOD) == 200


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (500, 1), (2, 3)])
@pytest.mark.parametrize("answer_format", ["png", "overlay", "rle", "polygons", "stats", "npy", "hf"])
def test_the_smallest_and_thinnest_images_are_answered(server, height, width, answer_format):
    content = png(np.zeros((height, width, 3), np.uint8))
    answer = httpx.post(f"{server.url}/v1/segment?format={answer_format}", content=content, timeout=30)
    assert answer.status_code == 200
    if answer_format == "png":
        assert np.array_equal(mask_of(answer), np.zeros((height, width)))
