"""Look up a name in one of the project's plain dicts, with an error that helps."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, TypeVar

from modelpack.errors import UnknownNameError

T = TypeVar("T")


def lookup(table: Mapping[str, T], kind: str, name: str) -> T:
    """The entry called `name`; raises UnknownNameError with the nearest known name otherwise."""
    if name not in table:
        raise UnknownNameError(kind, name, table)
    return table[name]


def resolve(target: str) -> Any:
    """Import what `"package.module:attribute"` names. Keeps heavy packages out until they are asked for."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
