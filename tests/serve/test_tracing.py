"""OpenTelemetry: what a collector on this machine receives."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from serve import ServeSettings, telemetry
from tests.serve.conftest import app_client
from tests.serve.pictures import gradient, png

GOOD = png(gradient())
CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLERS_SPAN = "00f067aa0ba902b7"


@pytest.fixture
def collected(monkeypatch) -> Iterator[list]:
    """Spans, as they arrive at the endpoint that the environment names."""
    spans: list = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                name = {item.key: item.value.string_value for item in resource.resource.attributes}
                for scope in resource.scope_spans:
                    spans.extend((name["service.name"], span) for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    yield spans
    server.shutdown()
    server.server_close()


def spans_of(package, collected, *requests):
    """What the requests, each (content, headers), leave behind once the service has ended, without probes."""
    with app_client(ServeSettings(package=package, threads=1)) as client:
        for content, headers in requests:
            client.post("/v1/segment", content=content, headers=headers)
    spans = [span for _, span in collected]
    segments = {span.span_id for span in spans if span.name == "POST /v1/segment"}
    return [span for span in spans if span.span_id in segments or span.parent_span_id in segments]


def attributes(span):
    return {item.key: item.value.string_value or item.value.int_value for item in span.attributes}


def test_a_request_is_a_span_and_its_stages_lie_within_it(package, collected):
    spans = spans_of(package, collected, (GOOD, {}))
    (request,) = [span for span in spans if span.name == "POST /v1/segment"]
    stages = [span for span in spans if span.parent_span_id == request.span_id]
    assert list(dict.fromkeys(span.name for span in stages)) == ["queue", "decode", "infer", "encode"]
    for stage in stages:
        assert request.start_time_unix_nano <= stage.start_time_unix_nano + 1_000_000
        assert stage.end_time_unix_nano <= request.end_time_unix_nano + 1_000_000


def test_a_request_belongs_to_the_callers_trace(package, collected):
    headers = {"traceparent": f"00-{CALLER}-{CALLERS_SPAN}-01", "X-Request-Id": "mine"}
    spans = spans_of(package, collected, (GOOD, headers))
    request = next(span for span in spans if span.name == "POST /v1/segment")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (CALLER, CALLERS_SPAN)
    assert attributes(request)["afdcd.request_id"] == "mine"


def test_a_refused_image_says_so_in_its_span(package, collected):
    (request,) = spans_of(package, collected, (b"no image", {}))
    assert attributes(request)["http.response.status_code"] == 415


def test_the_service_has_a_name(package, collected):
    spans_of(package, collected, (GOOD, {}))
    assert {name for name, _ in collected} == {"afdcd"}


def test_without_its_packages_the_service_answers_and_says_what_is_missing(
    package, collected, monkeypatch, caplog
):
    monkeypatch.setattr(telemetry, "find_spec", lambda name: None)
    assert spans_of(package, collected, (GOOD, {})) == []
    assert "pip install 'afdcd[otel]'" in caplog.text
