"""Parts of a multipart body come out as they went in, whatever is in them; what is malformed is refused."""

import pytest

from serve.errors import MalformedBodyError
from serve.multipart import MOST_BOUNDARY_BYTES, PartReader

CONTENTS = [
    b"",
    b"plain",
    b"ends with a line\r\n",
    b"\r\n",
    b"x--edge",
    b"\n--edge--",
    b"\r\n--edgeless\r\n\r\n",
    b"\r\n--edge--less",
    b"\r\n--edge x\r\n",
    b"\r\n--edg",
    bytes(range(256)) * 300,
]


class Everything(PartReader):
    """Keeps all parts but those named `unwanted`."""

    def __init__(self):
        super().__init__()
        self.names = []

    def wants(self, disposition):
        self.names.append(disposition.get(b"name"))
        return disposition.get(b"name") != b"unwanted"


def part(content, header=b'Content-Disposition: form-data; name="image"'):
    return b"--edge\r\n" + header + b"\r\n\r\n" + content + b"\r\n"


def read(body, boundary=b"edge"):
    reader = Everything()
    reader.read(body, boundary)
    return reader


def test_every_content_comes_back_as_it_was():
    body = b"".join(map(part, CONTENTS)) + b"--edge--\r\n"
    assert read(body).contents == CONTENTS


def test_only_what_is_wanted_is_kept():
    unwanted = part(b"no", b"content-disposition:form-data;name=unwanted")
    reader = read(unwanted + part(b"yes") + b"--edge--")
    assert (reader.names, reader.contents) == ([b"unwanted", b"image"], [b"yes"])


@pytest.mark.parametrize(
    "body",
    [
        b"a preamble\r\n" + part(b"x") + b"--edge--\r\nand an epilogue\r\n--edge\r\n",
        part(b"x").replace(b"--edge\r\n", b"--edge \t\r\n") + b"--edge-- ",
        part(b"x", b'Content-Type: image/png\r\nCONTENT-DISPOSITION: form-data; name="image"') + b"--edge--",
    ],
    ids=["around", "padding", "headers"],
)
def test_what_the_standard_allows_is_read(body):
    reader = read(body)
    assert (reader.names, reader.contents) == ([b"image"], [b"x"])


def test_a_part_without_headers_has_no_name():
    assert read(b"--edge\r\n\r\nx\r\n--edge--").names == [None]


def test_a_body_without_parts_is_read():
    assert read(b"--edge--\r\n").contents == []


@pytest.mark.parametrize(
    ("body", "boundary", "reason"),
    [
        (part(b"x"), None, "without a boundary"),
        (part(b"x"), b"", "without a boundary"),
        (part(b"x") + b"--edge--", b"e" * (MOST_BOUNDARY_BYTES + 1), "longer than"),
        (b"", b"edge", "before its closing boundary"),
        (b"garbage", b"edge", "before its closing boundary"),
        (part(b"x"), b"edge", "header does not end|before its closing boundary"),
        (b"--edge\r\nContent-Disposition: form-data", b"edge", "header does not end"),
        (b"--edge\r\nname: " + b"x" * 100_000 + b"\r\n\r\n\r\n--edge--", b"edge", "header does not end"),
        (b"--edge\r\nno header\r\n\r\nx\r\n--edge--", b"edge", "without a colon"),
        (b"--edge\r\nContent-Disposition: form-data; name=x\r\n--edge--\r\n\r\n", b"edge", "without a colon"),
    ],
)
def test_what_is_malformed_is_refused_with_the_reason(body, boundary, reason):
    with pytest.raises(MalformedBodyError, match=reason):
        read(body, boundary)
