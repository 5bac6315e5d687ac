import pytest

from modelpack import errors
from modelpack.errors import SegError, SettingsError, UnknownNameError, UsageError


def test_an_unknown_name_is_answered_with_the_nearest_known_one():
    error = UnknownNameError("distillation method", "chanelwise", ["logits", "channelwise"])
    assert str(error) == (
        "unknown distillation method 'chanelwise'. Did you mean 'channelwise'? "
        "Available: channelwise, logits."
    )


def test_a_name_like_no_other_gets_the_list_alone():
    assert str(UnknownNameError("runtime", "xyz", ["onnxruntime"])) == (
        "unknown runtime 'xyz'. Available: onnxruntime."
    )


def test_wrong_use_exits_with_2_and_failed_work_with_1():
    classes = [
        entry for entry in vars(errors).values() if isinstance(entry, type) and issubclass(entry, SegError)
    ]
    assert {cls.exit_code for cls in classes if issubclass(cls, UsageError)} == {2}
    assert {cls.exit_code for cls in classes if not issubclass(cls, UsageError)} == {1}


@pytest.mark.parametrize(("error", "builtin"), [(SettingsError, ValueError), (UnknownNameError, LookupError)])
def test_errors_are_also_the_builtin_ones_that_a_caller_expects(error, builtin):
    assert issubclass(error, builtin)
