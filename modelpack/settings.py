"""The base of every settings object: frozen, unknown keys are errors, attribute docstrings explain."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from modelpack.errors import SettingsError, UnknownNameError

KeyPath = tuple[str | int, ...]
"""Where a value stands in a recipe: keys, and indices of lists."""

_LONGEST_VALUE = 80
_PLAIN_WORDS = {
    "model_type": "must be a section of settings",
    "dict_type": "must be a section of settings",
    "path_type": "must be a path",
}
"""For what pydantic says in terms of Python."""


class StrictModel(BaseModel):
    """Settings read once at the edge; below that, plain arguments."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True
    )


ModelT = TypeVar("ModelT", bound=BaseModel)


def parse_settings(model: type[ModelT], values: Mapping[str, Any], source: str) -> ModelT:
    """Validate `values`; raises SettingsError with one sentence per mistake, naming `source` and the key."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise SettingsError(f"{source}: {_explain(problems, model, values)}") from error


def _explain(problems: list[ErrorDetails], model: type[BaseModel], values: Mapping[str, Any]) -> str:
    """One sentence per place. Where a union gave several errors, the deepest place is what the user meant."""
    sentences: dict[KeyPath, str] = {}
    for problem in problems:
        path = _place(problem, values)
        if path not in sentences:
            sentences[path] = _sentence(problem, path, model)
        elif (words := _words(problem)) not in sentences[path]:
            sentences[path] = f"{sentences[path].removesuffix('.')}, or {words}."
    deepest = [path for path in sentences if not any(_is_inside(other, path) for other in sentences)]
    return " ".join(sentences[path] for path in deepest)


def _place(problem: ErrorDetails, values: Mapping[str, Any]) -> KeyPath:
    """The error's location without pydantic's labels for the branches of a union, which no input has."""
    path: list[str | int] = []
    node: Any = values
    for part in problem["loc"]:
        in_mapping = isinstance(node, Mapping) and part in node
        in_list = isinstance(node, (list, tuple)) and isinstance(part, int) and part < len(node)
        if in_mapping or in_list:
            path.append(part)
            node = node[part]
    if problem["type"] == "missing":
        path.append(problem["loc"][-1])
    return tuple(path)


def _is_inside(path: KeyPath, other: KeyPath) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


def _sentence(problem: ErrorDetails, path: KeyPath, model: type[BaseModel]) -> str:
    key = _dotted(path)
    if problem["type"] == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        if not known:
            return f"{key} is not a known setting."
        return str(UnknownNameError("setting", key, [_dotted((*path[:-1], name)) for name in known]))
    if problem["type"] == "missing":
        return f"{key} is required."
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, SettingsError):  # of a nested parse_settings: names its key already
        return str(cause)
    if problem["type"] == "value_error":
        return f"{key}: {str(cause).rstrip('.')}." if key else f"{str(cause).rstrip('.')}."
    value = repr(problem["input"])
    shown = value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "..."
    return f"{key} = {shown}: {_words(problem)}."


def _words(problem: ErrorDetails) -> str:
    """Pydantic's message as a part of a sentence."""
    message = problem["msg"]
    return _PLAIN_WORDS.get(problem["type"], message[:1].lower() + message[1:])


def _dotted(path: KeyPath) -> str:
    return ".".join(str(part) for part in path)


def _fields_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Field names of the model nested at `path`, or [] where the path leaves plain models."""
    current: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part) if current else None
        current = _model_in(field.annotation) if field else None
    return list(current.model_fields) if current else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first settings class in an annotation such as `tuple[Artifact, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in found if model), None)
