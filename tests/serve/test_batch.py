"""Many images in one request: each gets its own line, and none harms another."""

import io
import json
import zipfile
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from serve import ServeSettings
from tests.serve.conftest import app_client
from tests.serve.pictures import gradient, png, png_header
from tests.tiny_package import tiny_answer

SHADES = [np.full((48, 64, 3), level, np.uint8) for level in (10, 90, 150, 250)]
GRADIENT = gradient()


def form(*files):
    return {"files": [("image", (f"{index}.png", content)) for index, content in enumerate(files)]}


def packed(entries, compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def send(client, **request):
    return client.post("/v1/segment/batch", **request)


def send_zip(client, content, **params):
    return send(client, content=content, headers={"Content-Type": "application/zip"}, params=params)


def lines(response):
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def mask_of(line):
    return np.array(Image.open(io.BytesIO(b64decode(line["content_base64"]))))


def test_files_of_a_form_are_answered_in_their_order(client):
    answered = lines(send(client, **form(*map(png, [*SHADES, GRADIENT]))))
    assert [(line["index"], line["name"]) for line in answered] == [(i, f"{i}.png") for i in range(5)]
    for line, image in zip(answered, [*SHADES, GRADIENT], strict=True):
        np.testing.assert_array_equal(mask_of(line), tiny_answer(image))


def test_entries_of_a_zip_are_answered_under_their_names(client):
    entries = {
        "a/one.png": png(SHADES[0]),
        "a/.DS_Store": b"x",
        "__MACOSX/one.png": b"x",
        "two.png": png(GRADIENT),
    }
    answered = lines(send_zip(client, packed(entries), format="stats"))
    assert [line["name"] for line in answered] == ["a/one.png", "two.png"]
    assert [line["answer"]["classes"][0]["share"] for line in answered] == [
        1,
        pytest.approx((tiny_answer(GRADIENT) == 0).mean()),
    ]


def test_options_hold_for_every_image(client):
    answered = lines(
        send(client, **form(png(GRADIENT), png(SHADES[0])), params={"format": "rle", "classes": "0"})
    )
    assert [[segment["index"] for segment in line["answer"]["segments"]] for line in answered] == [[0], [0]]


def test_bad_images_have_problems_and_the_others_their_answers(client):
    bad = [b"no image", png_header(20_000, 20_000), png(GRADIENT)[:90], b""]
    files = [png(GRADIENT)] + [content for item in bad for content in (item, png(GRADIENT))]
    answered = lines(send(client, **form(*files)))
    assert [line["status"] for line in answered] == [200, 415, 200, 413, 200, 422, 200, 400, 200]
    assert "20000x20000" in answered[3]["problem"]["detail"]
    for line in answered[::2]:
        np.testing.assert_array_equal(mask_of(line), tiny_answer(GRADIENT))


def test_a_damaged_entry_of_a_zip_harms_no_other(client):
    content = bytearray(packed({"bad.png": png(GRADIENT), "good.png": png(GRADIENT)}, zipfile.ZIP_STORED))
    content[content.index(b"IDAT") + 20] ^= 0xFF
    bad, good = lines(send_zip(client, bytes(content)))
    assert (bad["status"], good["status"]) == (422, 200)
    assert "does not unpack" in bad["problem"]["detail"]


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"", "application/zip", 400),
        (b"PK no zip at all", "application/zip", 400),
        (packed({}), "application/zip", 400),
        (b"--x\r\n", "multipart/form-data; boundary=x", 400),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 400),
        (b"x", "multipart/form-data", 400),
        (png(GRADIENT), "image/png", 415),
    ],
)
def test_a_body_that_is_no_batch_is_refused(client, content, content_type, status):
    response = send(client, content=content, headers={"Content-Type": content_type})
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize("params", [{"format": "tiff"}, {"classes": "sky"}, {"format": "confidence"}])
def test_what_no_image_could_be_answered_with_is_refused_at_once(client, params):
    assert send(client, **form(png(GRADIENT)), params=params).status_code == 400


@pytest.fixture(scope="module")
def strict_client(package):
    settings = ServeSettings(package=package, threads=1, batch_max_images=3, batch_max_bytes=20_000)
    with app_client(settings) as client:
        yield client


def test_more_images_than_the_limit_are_refused(strict_client):
    four = [png(GRADIENT)] * 4
    names = {f"{index}.png": content for index, content in enumerate(four)}
    many = {f"{index}/": b"" for index in range(50)}
    for response in (
        send(strict_client, **form(*four)),
        send_zip(strict_client, packed(names)),
        send_zip(strict_client, packed(many)),
    ):
        assert response.status_code == 413
        assert "at most 3 files" in response.json()["detail"]
    assert len(lines(send(strict_client, **form(*four[:3])))) == 3


def test_a_zip_that_unpacks_to_more_than_the_limit_is_refused(strict_client):
    response = send_zip(strict_client, packed({"bomb.png": bytes(1_000_000)}))
    assert response.status_code == 413
    assert "20000 bytes when unpacked" in response.json()["detail"]


def test_a_body_over_the_limit_is_refused(strict_client):
    assert send(strict_client, **form(bytes(30_000))).status_code == 413


def entries_of(response):
    assert (response.status_code, response.headers["content-type"]) == (200, "application/zip"), response.text
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_client_that_accepts_a_zip_gets_files_under_the_images_names(client):
    files = {"files": [("image", ("../left.jpg", png(GRADIENT))), ("image", ("right.png", png(SHADES[1])))]}
    entries = entries_of(send(client, **files, headers={"Accept": "application/zip"}))
    assert list(entries) == ["0000-left.png", "0001-right.png"]
    np.testing.assert_array_equal(
        np.array(Image.open(io.BytesIO(entries["0000-left.png"]))), tiny_answer(GRADIENT)
    )


def test_a_refused_image_leaves_its_problem_in_the_zip(client):
    entries = entries_of(
        send(client, **form(b"no image", png(GRADIENT)), params={"container": "zip", "format": "stats"})
    )
    assert json.loads(entries["0000-0.problem.json"])["status"] == 415
    assert json.loads(entries["0001-1.json"])["classes"]


def test_the_query_says_the_container_whatever_is_accepted(client):
    request = form(png(GRADIENT)) | {"headers": {"Accept": "application/zip"}}
    assert len(lines(send(client, **request, params={"container": "ndjson"}))) == 1
