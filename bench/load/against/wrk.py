"""wrk: one thread, as many connections as clients, a small Lua script for the request and the figures."""

import json
import tempfile
from pathlib import Path

from bench.load.against.visit import Visit, find_tool, output_of
from bench.load.target import HttpTarget

SCRIPT = """
wrk.method = {method}
wrk.body = {body}
{headers}
done = function(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format(
    '\\nFIGURES {{"requests": %d, "us": %d, "p50": %f, "p99": %f, "errors": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
"""
MARK = "FIGURES "
US_PER_S, US_PER_MS = 1e6, 1e3


def run_wrk(target: HttpTarget, clients: int, seconds: float) -> Visit:
    """One closed loop; wrk takes whole seconds. Raises RuntimeUnavailableError, ToolError."""
    tool = find_tool("wrk")
    body = target.bodies[0]
    headers = {**({"Content-Type": body.content_type} if body.content_type else {}), **target.headers}
    with tempfile.TemporaryDirectory(prefix="afdcd-wrk-") as folder:
        content, script = Path(folder, "body"), Path(folder, "request.lua")
        content.write_bytes(body.content)
        read = f'io.open({json.dumps(str(content))}, "rb"):read("*a")' if body.content else "nil"
        lines = (f"wrk.headers[{json.dumps(name)}] = {json.dumps(text)}" for name, text in headers.items())
        script.write_text(
            SCRIPT.format(method=json.dumps(target.method), body=read, headers="\n".join(lines)),
            encoding="utf-8",
        )
        command = [tool, "-t1", f"-c{clients}", f"-d{round(seconds)}s", "-s", str(script), target.url]
        output = output_of(command, seconds)
    figures = json.loads(output.partition(MARK)[2])
    return Visit(
        per_second=(figures["requests"] - figures["errors"]) / figures["us"] * US_PER_S,
        median_ms=figures["p50"] / US_PER_MS,
        p99_ms=figures["p99"] / US_PER_MS,
        errors=figures["errors"],
    )
