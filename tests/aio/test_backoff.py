import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.aio import ExponentialRandomBackoff


def test_without_chance_it_grows_to_the_maximum() -> None:
    backoff = ExponentialRandomBackoff(randomicity=0)
    delays = []
    for _ in range(7):
        delays.append(backoff.delay)
        backoff.failed()
    assert delays == [1, 3, 9, 27, 81, 90, 90]


def test_success_brings_it_back_to_its_beginning() -> None:
    backoff = ExponentialRandomBackoff(0.5, 10, 2, 0)
    backoff.failed()
    backoff.failed()
    assert backoff.delay == 2
    backoff.success()
    assert backoff.delay == 0.5


def test_the_parameters_are_attributes() -> None:
    backoff = ExponentialRandomBackoff(2, 20, 4, 0.5)
    assert (backoff.delay_initial, backoff.delay_max) == (2, 20)
    assert (backoff.exp_fac, backoff.randomicity) == (4, 0.5)


@given(st.integers(0, 30), st.floats(0, 1))
def test_the_random_part_stays_within_its_bounds(failures: int, randomicity: float) -> None:
    backoff = ExponentialRandomBackoff(1, 90, 3, randomicity)
    for _ in range(failures):
        backoff.failed()
    base = min(3.0**failures, 90)
    assert (1 - randomicity) * base * 0.999 <= backoff.delay <= base * 1.001


def test_the_delay_is_drawn_once() -> None:
    backoff = ExponentialRandomBackoff()
    assert len({backoff.delay for _ in range(20)}) == 1


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"delay_initial": -1}, "delay_initial"),
        ({"delay_initial": 91}, "delay_initial"),
        ({"randomicity": 1.5}, "randomicity"),
        ({"randomicity": -0.1}, "randomicity"),
        ({"exp_fac": 1}, "exp_fac"),
    ],
)
def test_parameters_out_of_their_range(kwargs: dict[str, float], text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        ExponentialRandomBackoff(**kwargs)


def test_parameters_spoilt_later_are_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    backoff = ExponentialRandomBackoff()
    backoff.exp_fac = 0.5
    with caplog.at_level(logging.ERROR):
        backoff.failed()
    assert "exp_fac" in caplog.text
