"""``katcp-server --http``."""

from __future__ import annotations

import json
import urllib.request

import pytest

from tests.system.programs import serve, server


@pytest.mark.slow
def test_the_program_serves_the_page() -> None:
    with serve("demo", "--http", "0") as served:
        line = served.line()
        assert line.startswith("page at http://127.0.0.1:")
        url = line.removeprefix("page at ")
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert b"<title>KATCP device</title>" in answer.read()
        with urllib.request.urlopen(f"{url}api/sensors/mode", timeout=10) as answer:
            assert json.load(answer)["reading"]["value"] == "off"
        assert served.end() == 0
        assert served.errors() == ""


@pytest.mark.slow
def test_who_else_can_reach_it_is_warned_of() -> None:
    with serve("demo", "--http", "*:0") as served:
        assert served.line().startswith("page at http://127.0.0.1:")
        assert served.end() == 0
        assert "can be reached from other computers" in served.errors()


@pytest.mark.parametrize("address", ["x", "1:", ":80", "::1:80", "host:99999", "-1"])
def test_an_address_that_is_none(address: str) -> None:
    done = server("demo", f"--http={address}")
    assert done.returncode == 2
    assert "--http" in done.stderr
