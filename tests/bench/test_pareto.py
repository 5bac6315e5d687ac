"""Which sessions are beaten by no other."""

from bench.pareto import Point, front


def point(name, median_ms, miou):
    return Point(name, median_ms, median_ms, miou)


def test_the_front_holds_what_no_other_beats_fastest_first():
    teacher, student = point("teacher", 40, 0.71), point("student", 10, 0.66)
    quick, bad = point("student int8", 4, 0.655), point("worse and slower", 12, 0.60)
    assert front([teacher, bad, student, quick]) == [quick, student, teacher]


def test_of_two_that_are_as_accurate_the_faster_one_stays():
    assert front([point("slow", 20, 0.6), point("fast", 10, 0.6)]) == [point("fast", 10, 0.6)]


def test_of_two_that_are_as_fast_the_more_accurate_one_stays():
    assert front([point("bad", 10, 0.5), point("good", 10, 0.6)]) == [point("good", 10, 0.6)]
