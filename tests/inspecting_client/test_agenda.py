import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.inspecting_client._agenda import EVERYTHING, SINGLY, Agenda, Plan, RateLimit


@pytest.mark.parametrize(
    ("arguments", "plan"),
    [
        ([], EVERYTHING),
        ([b""], EVERYTHING),
        ([b"sensor-list"], Plan(all_sensors=True)),
        ([b"request-list"], Plan(all_requests=True)),
        ([b"sensor", b"a.b", b"added"], Plan(sensors=("a.b",))),
        ([b"sensor", b"a.b", b"removed"], Plan(sensors=("a.b",))),
        ([b"sensor", b"a.b", b"modified"], Plan(sensors=("a.b",))),
        ([b"sensor", b"a.b"], Plan(sensors=("a.b",))),
        ([b"request", b"go", b"added"], Plan(requests=("go",))),
        ([b"sensor"], EVERYTHING),
        ([b"request"], EVERYTHING),
        ([b"sensor", b"\xff", b"added"], EVERYTHING),
        ([b"interface"], EVERYTHING),
        ([b"\xff"], EVERYTHING),
    ],
)
def test_every_form_of_interface_changed(arguments: list[bytes], plan: Plan) -> None:
    agenda = Agenda()
    assert not agenda
    agenda.note(arguments)
    assert agenda
    assert agenda.take() == plan
    assert not agenda


def test_a_burst_is_one_plan() -> None:
    agenda = Agenda()
    for name in (b"b", b"a", b"b"):
        agenda.note([b"sensor", name, b"modified"])
    agenda.note([b"request", b"go", b"removed"])
    assert agenda.take() == Plan(sensors=("b", "a"), requests=("go",))


def test_a_list_makes_single_names_unnecessary() -> None:
    agenda = Agenda()
    agenda.note([b"sensor", b"a", b"added"])
    agenda.note([b"sensor-list"])
    agenda.note([b"request", b"go", b"added"])
    assert agenda.take() == Plan(all_sensors=True, requests=("go",))


def test_many_single_names_are_a_list() -> None:
    agenda = Agenda()
    for number in range(SINGLY):
        agenda.note([b"sensor", b"%d" % number, b"added"])
        agenda.note([b"request", b"%d" % number, b"added"])
    plan = agenda.take()
    assert (len(plan.sensors), len(plan.requests)) == (SINGLY, SINGLY)
    agenda.add(plan)
    agenda.note([b"sensor", b"one-more", b"added"])
    assert agenda.take() == Plan(all_sensors=True, requests=plan.requests)


@pytest.mark.parametrize(
    ("plan", "again"),
    [
        (EVERYTHING, EVERYTHING),
        (Plan(sensors=("a",)), Plan(all_sensors=True)),
        (Plan(requests=("a",)), Plan(all_requests=True)),
        (Plan(all_requests=True, sensors=("a",)), EVERYTHING),
    ],
)
def test_what_has_failed_is_tried_again_by_lists(plan: Plan, again: Plan) -> None:
    agenda = Agenda()
    agenda.put_back(plan)
    assert agenda.take() == again


def test_clearing() -> None:
    agenda = Agenda()
    agenda.note([])
    agenda.note([b"sensor", b"a"])
    agenda.clear()
    assert not agenda


def test_a_few_in_a_row_are_free_and_then_it_is_so_many_a_second() -> None:
    rate = RateLimit(rate=10, burst=3)
    now = 100.0
    waits = []
    for _ in range(6):
        wait = rate.wait(now)
        waits.append(round(wait, 6))
        now += wait
        rate.spend(now, 0.001)
    assert waits == [0, 0, 0, 0.1, 0.1, 0.1]
    assert rate.wait(now + 10) == 0


def test_long_ones_take_a_share_of_the_time_only() -> None:
    rate = RateLimit(rate=10, burst=1, share=0.2)
    begun = now = 0.0
    spent = 0.0
    for _ in range(50):
        now += rate.wait(now)
        now += 0.5
        spent += 0.5
        rate.spend(now, 0.5)
    assert 0.15 < spent / (now - begun) <= 0.2


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.01)), max_size=100))
def test_the_rate_is_never_exceeded_in_the_long_run(story: list[tuple[float, float]]) -> None:
    rate = RateLimit(rate=10, burst=5)
    now = 0.0
    for count, (pause, duration) in enumerate(story, 1):
        now += pause
        now += rate.wait(now)
        assert count <= 5 + 10 * now + 1e-6
        now += duration
        rate.spend(now, duration)


def test_single_names_are_cheap() -> None:
    rate = RateLimit()
    lists, single = Plan(all_sensors=True), Plan(sensors=("a",))
    assert (EVERYTHING.cost, lists.cost, single.cost) == (1, 1, 0.1)
    now = 50.0
    waits = []
    for _ in range(60):
        wait = rate.wait(now, single.cost)
        waits.append(round(wait, 6))
        now += wait
        rate.spend(now, 0.0, single.cost)
    assert waits[:50] == [0] * 50
    assert waits[50:] == [0.1] * 10
    # Who has spent all on them waits for the lists.
    assert round(rate.wait(now, lists.cost), 6) == 1


def test_one_a_second_of_lists() -> None:
    rate = RateLimit()
    waits = []
    now = 0.0
    for _ in range(8):
        wait = rate.wait(now)
        waits.append(round(wait, 6))
        now += wait
        rate.spend(now, 0.0)
    assert waits == [0] * 5 + [1] * 3
