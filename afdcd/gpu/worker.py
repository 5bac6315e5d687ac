"""The process of one step, `python -m afdcd.gpu.worker NAME TARGET CONTEXT`: writes its JSON as it goes."""

import logging
import signal
import sys
import time
from types import FrameType
from typing import Any

from afdcd.gpu.record import Status, StepRecord, record_path
from afdcd.gpu.step import Context, Note, StepSkippedError
from distill.interrupt import TrainingInterruptedError
from modelpack.errors import SegError
from modelpack.tables import resolve

log = logging.getLogger(__name__)


class StoppedError(BaseException):
    """SIGTERM, as an exception: what the step has started is stopped on the way out."""


def run_step(name: str, target: str, context: Context) -> StepRecord:
    """Call the step and write how it ended; whatever it raises becomes a record."""
    path = record_path(context.out, name)
    begun = time.monotonic()
    record = StepRecord.begin(name, "running", limit_s=context.seconds)
    record.write(path)

    def note(key: str, value: Any) -> None:
        nonlocal record
        record = record.model_copy(
            update={"result": {**record.result, key: value}, "seconds": time.monotonic() - begun}
        )
        record.write(path)

    status, reason = _outcome(target, context, note)
    record = record.with_end(status, reason, time.monotonic() - begun)
    record.write(path)
    return record


def _outcome(target: str, context: Context, note: Note) -> tuple[Status, str]:
    try:
        resolve(target)(context, note)
    except StepSkippedError as error:
        return "skipped", str(error)
    except (StoppedError, TrainingInterruptedError) as error:
        return "interrupted", str(error)
    except SegError as error:
        return "failed", str(error)
    except Exception as error:  # the edge of the process: the other steps must still run
        log.exception("the step broke")
        return "failed", f"{type(error).__name__}: {error}"
    return "finished", ""


def _stop(number: int, frame: FrameType | None) -> None:
    raise StoppedError(f"stopped by {signal.Signals(number).name}")


def main() -> None:
    style = "%(asctime)s %(levelname).1s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, format=style, datefmt="%H:%M:%S")
    signal.signal(signal.SIGTERM, _stop)
    name, target, context = sys.argv[1:]
    record = run_step(name, target, Context.model_validate_json(context))
    sys.exit(record.status == "failed")


if __name__ == "__main__":
    main()
