"""The reader of answers: every way to end one, however the bytes are cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.load.http_response import MalformedResponseError, ResponseReader

ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello", 200, b"hello", True),
    "empty": (b"HTTP/1.1 500 Oops\r\ncontent-length:0\r\n\r\n", 500, b"", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "closing": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", 200, b"x", False),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n",
        200, b"hello world", True,
    ),
    "trailer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: 1\r\n\r\n", 200, b"x", True,
    ),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", 201, b"x", True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
@settings(max_examples=50, deadline=None)
@given(st.data())
def test_an_answer_is_read_however_it_is_cut(name, data):
    content, status, body, keeps_alive = ANSWERS[name]
    cuts = data.draw(st.lists(st.integers(1, len(content) - 1), unique=True).map(sorted))
    reader = ResponseReader("POST", keeps_content=True)
    pieces = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    *early, last = [reader.feed(piece) for piece in pieces]
    assert early == [None] * len(early)
    assert (last.status, last.content, last.size) == (status, body, len(body))
    assert last.keeps_alive == keeps_alive
    assert not reader.has_begun


def test_a_reader_takes_one_answer_after_the_other():
    reader = ResponseReader("POST", keeps_content=True)
    for content, status, body, _ in ANSWERS.values():
        response = reader.feed(content)
        assert (response.status, response.content) == (status, body)


def test_an_answer_without_a_length_ends_with_the_connection():
    reader = ResponseReader("GET", keeps_content=True)
    assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\nabc") is None
    assert reader.feed(b"def") is None
    response = reader.end()
    assert (response.content, response.keeps_alive) == (b"abcdef", False)


def test_the_answer_to_head_has_no_content():
    assert ResponseReader("HEAD", False).feed(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n").size == 0


def test_content_is_dropped_but_counted_unless_asked_for():
    response = ResponseReader("POST", keeps_content=False).feed(ANSWERS["chunked"][0])
    assert (response.content, response.size) == (b"", 11)


def test_a_cut_answer_is_none():
    for content in (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", b"HTTP/1.1 2", b""):
        reader = ResponseReader("POST", True)
        assert (reader.feed(content), reader.end()) == (None, None)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "is no status line"),
        (b"HTTP/1.1 abc\r\n\r\n", "is no status line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "is no number"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", "is no chunk size"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy", "more bytes came"),
        (b"x" * 70_000, "headers beyond"),
    ],
)
def test_what_is_no_answer_is_malformed(content, sentence):
    with pytest.raises(MalformedResponseError, match=sentence):
        ResponseReader("POST", True).feed(content)
