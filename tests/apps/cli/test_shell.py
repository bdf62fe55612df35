"""The prompt, with keys from a pipe; see also tests/system."""

import io
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from katcp.apps.cli._hub import Hub
from katcp.apps.cli._live import LiveScreen
from katcp.apps.cli._settings import Settings, Target
from katcp.apps.cli._shell import Prompt, history_path
from tests.helpers.scripted import Device


async def type_keys(device: Device, keys: str) -> list[str]:
    """Type keys at a prompt on a device; return what was printed."""
    terminal = io.StringIO()
    with create_pipe_input() as keyboard, create_app_session(keyboard, DummyOutput()):
        screen = LiveScreen(terminal)
        hub = Hub(screen, Settings())
        await hub.open(Target("127.0.0.1", device.port), "device")
        prompt = Prompt(screen, hub)
        assert "".join(text for _, text, *_ in prompt._message()) == "device> "
        keyboard.send_text(keys)
        await prompt.run()
        await hub.close()
    return terminal.getvalue().splitlines()


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


async def test_lines_are_done_until_the_user_leaves() -> None:
    async with Device(sensors={"a": "A V float"}) as device:
        shown = await type_keys(device, "watchdog\nnothing\nquit\nwatchdog\n")
        assert shown[1:] == ["!watchdog ok", "-- nothing invalid: Unknown request."]


async def test_ctrl_c_drops_the_line_and_ctrl_d_leaves() -> None:
    async with Device() as device:
        shown = await type_keys(device, "wat\x03watchdog\n\x04")
        assert shown[1:] == ["!watchdog ok"]


def test_history_is_part_of_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert history_path() == tmp_path / "katcp" / "cli-history"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")  # which the rules say to ignore
    assert history_path() == Path.home() / ".local/state/katcp/cli-history"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert history_path() == Path.home() / ".local/state/katcp/cli-history"
