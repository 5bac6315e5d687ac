"""What can go wrong with a request, besides the image itself (`modelpack.errors.ImageError`)."""

from collections.abc import Collection

from modelpack.errors import SegError


class RequestError(SegError):
    """The request is refused; the message is fit for the one who sent it."""


class EmptyBodyError(RequestError):
    """There is no image in the request."""


class MalformedBodyError(RequestError):
    """A multipart body that breaks its own rules."""


class MediaTypeError(RequestError):
    """A body of a type that the endpoint does not read."""


class BodyTooLargeError(RequestError):
    def __init__(self, limit_bytes: int, declared_bytes: int | None = None) -> None:
        size = "is longer" if declared_bytes is None else f"of {declared_bytes} bytes is larger"
        super().__init__(
            f"the body {size} than the limit of {limit_bytes} bytes; "
            "send a smaller or more strongly compressed image."
        )


class BatchTooLargeError(RequestError):
    def __init__(self, counted: str, limit: int) -> None:
        super().__init__(f"a batch has at most {limit} {counted}; send several batches.")


class SlowClientError(RequestError):
    """The body did not arrive in time."""


class NotAcceptableError(RequestError):
    def __init__(self, accept: str, offered: Collection[str]) -> None:
        super().__init__(
            f"nothing in Accept: {accept} can be given. Offered: {', '.join(offered)}; or use ?format=NAME."
        )


class UnauthorizedError(RequestError):
    """No API key came with the request, or (`was_sent`) one that is not in the key file."""

    def __init__(self, message: str, *, was_sent: bool = False) -> None:
        super().__init__(message)
        self.challenge = 'Bearer error="invalid_token"' if was_sent else "Bearer"


class ForbiddenError(RequestError):
    """Whoever asks may not do that; `needed` is the scope that may."""

    def __init__(self, message: str, needed: str) -> None:
        super().__init__(message)
        self.challenge = f'Bearer error="insufficient_scope", scope="{needed}"'


class ClientGoneError(RequestError):
    """The client hung up before its answer; nobody reads this."""


class BusyError(SegError):
    """The request cannot be taken now; it may be repeated after `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OverloadedError(BusyError):
    """The queue is full."""


class NotReadyError(BusyError):
    """The model is being loaded, failed to load, or the service is shutting down."""


class DeadlineError(SegError):
    """The answer was not ready in time."""


class ServerStartError(SegError):
    """The service cannot listen where it was asked to."""


class InferRequestError(RequestError):
    """A request under `/v2` that breaks the protocol's rules, or asks for what the model does not have."""


class MissingOutputError(RequestError):
    def __init__(self, output: str, model: str) -> None:
        super().__init__(
            f"model {model!r} has no output {output!r}. Ask for another format, or export a package with it."
        )


class UnknownModelError(RequestError):
    """No model of that name or version is loaded."""


class UnknownSampleError(RequestError):
    """The package has no such sample, or has it no longer."""


class ControlError(SegError):
    """The processes of the service could not do something together."""
