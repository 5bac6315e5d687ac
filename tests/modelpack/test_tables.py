import pytest

from modelpack.errors import UnknownNameError
from modelpack.tables import lookup, resolve


def test_lookup_gives_the_entry():
    assert lookup({"a": 1, "b": 2}, "letter", "b") == 2


def test_lookup_names_the_kind_and_what_there_is():
    with pytest.raises(UnknownNameError, match=r"unknown letter 'c'\. Available: a, b\."):
        lookup({"b": 1, "a": 2}, "letter", "c")


def test_resolve_imports_what_the_string_names():
    assert resolve("modelpack.tables:lookup") is lookup
