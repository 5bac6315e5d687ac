"""A query that was worked out once answers as if it were worked out each time."""

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from starlette.responses import Response
from starlette.testclient import TestClient

from serve import ServeSettings, known_requests
from serve.known_requests import KnownRequests, remember
from tests.serve.conftest import app_client
from tests.serve.pictures import gradient, png


@pytest.fixture
def worked_out():
    """(client, words that were worked out so far) of an endpoint that answers with its parameters."""
    asked: list[str] = []

    async def word_of(request: Request, word: str = "none") -> str:
        asked.append(word)
        return f"{word} {request.headers.get('accept')}"

    async def endpoint(request: Request, said: str = Depends(word_of), count: int = 1) -> Response:
        remember(request, said=said, count=count)
        if said.startswith("wrong"):
            raise HTTPException(400)
        return Response(" ".join([said] * count))

    router = APIRouter()
    router.get("/")(endpoint)
    app = FastAPI()
    app.include_router(router)
    app.add_middleware(KnownRequests)
    return TestClient(app), asked


def test_the_same_query_is_worked_out_once_and_answered_alike(worked_out):
    client, asked = worked_out
    answers = {client.get("/?word=a&count=2").text for _ in range(3)}
    assert (answers, asked) == ({"a */* a */*"}, ["a"])


def test_another_query_or_header_is_another_answer(worked_out):
    client, asked = worked_out
    texts = [client.get(query, headers={"accept": "b"}).text for query in ("/?word=a", "/?word=c")]
    assert [*texts, client.get("/?word=a").text] == ["a b", "c b", "a */*"]
    assert asked == ["a", "c", "a"]


@pytest.mark.parametrize(("query", "status"), [("/?word=wrong", 400), ("/?count=many", 422)])
def test_what_led_to_no_answer_is_not_remembered(query, status, worked_out):
    client, asked = worked_out
    assert [client.get(query).status_code for _ in range(2)] == [status] * 2
    assert len(asked) == 2


def test_no_more_is_remembered_than_a_bound(worked_out, monkeypatch):
    monkeypatch.setattr(known_requests, "MOST_KNOWN", 2)
    client, asked = worked_out
    for word in ("a", "b", "c", "c", "a", "d" * known_requests.LONGEST_QUERY):
        client.get(f"/?word={word}")
    assert asked[:4] == ["a", "b", "c", "a"]
    client.get("/?word=" + "d" * known_requests.LONGEST_QUERY)
    assert len(asked) == 6


def test_a_known_query_is_refused_and_counted_as_an_unknown_one_is(package):
    with app_client(ServeSettings(package=package, threads=1)) as client:

        def refused():
            response = client.post("/v1/segment?format=stats", content=b"no image")
            return response.status_code, {**response.json(), "request_id": None}, set(response.headers)

        before = refused()
        assert client.post("/v1/segment?format=stats", content=png(gradient())).status_code == 200
        assert refused() == before
        counted = 'afdcd_requests_total{route="/v1/segment",status="415"} 2.0'
        assert counted in client.get("/metrics").text
