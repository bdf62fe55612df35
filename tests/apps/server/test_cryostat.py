"""The simulated cryostat: time is an argument, and nothing waits."""

import pytest

from katcp.apps.server import _cryostat as cryostat
from katcp.apps.server._cryostat import Cryostat, Refused


def run(state: Cryostat, seconds: float) -> None:
    for _ in range(int(seconds)):
        state.step(1.0)


def test_cools_to_the_setpoint() -> None:
    state = Cryostat(setpoint=5.0)
    state.start_pump()
    state.set_mode("cooling")
    run(state, 120)
    assert state.stage2 == pytest.approx(5.0, abs=0.2)
    assert state.stage1 == pytest.approx(cryostat.STAGE1_COLD, abs=1.0)
    assert state.pressure == pytest.approx(cryostat.VACUUM, rel=0.01)
    assert state.packets == 120_000


def test_warms_up_slowly_by_itself_and_faster_when_told() -> None:
    left, told = Cryostat(), Cryostat(mode="warm-up")
    run(left, 60)
    run(told, 60)
    assert 82 < left.stage1 < told.stage1 < cryostat.ROOM


def test_same_steps_show_the_same() -> None:
    one, other = Cryostat(), Cryostat()
    run(one, 10)
    run(other, 10)
    assert one == other or (one.stage1, one.stage2) == (other.stage1, other.stage2)


def test_pump_starts_once_and_counts() -> None:
    state = Cryostat()
    state.start_pump()
    with pytest.raises(Refused, match="is running"):
        state.start_pump()
    state.stop_pump()
    with pytest.raises(Refused, match="is not running"):
        state.stop_pump()
    state.start_pump()
    assert state.pump_starts == 2


def test_cooling_and_pump_need_each_other() -> None:
    state = Cryostat()
    with pytest.raises(Refused, match="needs the pump"):
        state.set_mode("cooling")
    assert state.mode == "off"
    state.start_pump()
    state.set_mode("cooling")
    with pytest.raises(Refused, match="needed for cooling"):
        state.stop_pump()
    assert state.pump_on


def test_vents_only_warm_and_with_the_pump_off() -> None:
    state = Cryostat()
    with pytest.raises(Refused, match=r"A stage is at 41\.0 K"):
        state.vent()
    warm = Cryostat(stage1=290.0, stage2=285.0, pump_on=True)
    with pytest.raises(Refused, match="pump is running"):
        warm.vent()
    warm.stop_pump()
    warm.vent()
    assert warm.pressure == cryostat.AIR
