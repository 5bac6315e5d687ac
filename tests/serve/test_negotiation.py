"""Which format answers: `?format=` before `Accept`, weights and wildcards included."""

import pytest

from modelpack.errors import UnknownNameError
from serve.errors import NotAcceptableError
from serve.formats import FORMATS
from serve.negotiation import choose_format
from tests.serve.pictures import gradient, png


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "png"),
        ("*/*", "png"),
        ("image/*", "png"),
        ("image/jpeg", "overlay"),
        ("application/json", "stats"),
        ("Application/JSON; charset=utf-8", "stats"),
        ("image/png;q=0.1, application/json;q=0.9", "stats"),
        ("image/png;q=0, */*", "overlay"),
        ("text/html, application/xhtml+xml, image/webp, */*;q=0.8", "png"),
        ("image/png;q=nonsense, application/json;q=0.1", "stats"),
    ],
)
def test_accept_decides_by_weight_and_the_most_specific_range(accept, expected):
    assert choose_format(FORMATS, None, accept) == expected


def test_a_format_by_name_wins_over_accept():
    assert choose_format(FORMATS, "color", "application/json") == "color"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'overlay'.*color, .*overlay, png, .*stats"):
        choose_format(FORMATS, "overlai", None)


def test_nothing_acceptable_lists_what_is_offered():
    with pytest.raises(NotAcceptableError, match="image/png, image/jpeg, application/json"):
        choose_format(FORMATS, None, "text/html")


@pytest.mark.parametrize(
    ("request_args", "status"),
    [({"params": {"format": "tiff"}}, 400), ({"headers": {"Accept": "text/html"}}, 406)],
)
def test_refusals_reach_the_client_as_problems(client, request_args, status):
    response = client.post("/v1/segment", content=png(gradient()), **request_args)
    assert (response.status_code, response.json()["status"]) == (status, status)
