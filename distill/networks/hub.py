"""Downloads from the model hub: tried only where it answers, and never a traceback."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import huggingface_hub.constants as hub
from huggingface_hub.errors import HfHubHTTPError

from modelpack.errors import CheckpointError

_ANSWER_WITHIN_S = 5.0


@contextmanager
def download(what: str) -> Iterator[None]:
    """Let the body download. Where the hub does not answer, it finds what was downloaded before, at once.

    Raises CheckpointError, naming `what` and the way out, where the body does not get its files.
    """
    was_offline = hub.HF_HUB_OFFLINE
    hub.HF_HUB_OFFLINE = was_offline or not _answers(hub.ENDPOINT)
    try:
        yield
    except (OSError, HfHubHTTPError) as error:
        reason = (
            "it is switched off here (HF_HUB_OFFLINE)"
            if was_offline
            else f"{hub.ENDPOINT} does not give them"
        )
        raise CheckpointError(
            f"{what} are not on this machine and cannot be downloaded: {reason}. Get them elsewhere and "
            "give the file, student.weights=/path/to/file, or start from noise, student.weights=null."
        ) from error
    finally:
        hub.HF_HUB_OFFLINE = was_offline


def _answers(url: str) -> bool:
    """Whether any HTTP answer comes, through the proxy where the environment names one."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_ANSWER_WITHIN_S):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
