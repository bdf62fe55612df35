from __future__ import annotations

import asyncio
from typing import Any

import pytest

from katcp.aio import done
from katcp.resource import KATCPDummyRequest, KATCPRequest, KATCPResourceError
from katcp.resource import KATCPResourceInactive as Inactive

DESCRIPTION = {"name": "a-b", "description": "Adds two\nnumbers.", "timeout_hint": 7.5}


class Echo(KATCPRequest):
    """Gives back what it was called with."""

    def issue_request(self, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        return done((args, kwargs))


def test_what_it_is() -> None:
    request = Echo(DESCRIPTION)
    assert (request.name, request.description, request.timeout_hint) == (
        "a-b",
        "Adds two\nnumbers.",
        7.5,
    )
    assert request.is_active()


def test_its_docstring_has_the_help_of_the_device_and_that_of_the_class() -> None:
    text = Echo(DESCRIPTION).__doc__
    assert text is not None
    assert "Adds two\nnumbers." in text
    assert "Gives back what it was called with." in text
    assert Echo.__doc__ == "Gives back what it was called with."


@pytest.mark.parametrize("missing", DESCRIPTION)
def test_a_description_has_to_be_whole(missing: str) -> None:
    part = {key: value for key, value in DESCRIPTION.items() if key != missing}
    with pytest.raises(ValueError, match=missing):
        Echo(part)


def test_it_is_abstract() -> None:
    with pytest.raises(TypeError, match="issue_request"):
        KATCPRequest(DESCRIPTION)  # type: ignore[abstract]


async def test_calling_it() -> None:
    request = Echo(DESCRIPTION)
    assert await request(1, "two", timeout=3, mid=4) == ((1, "two"), {"timeout": 3, "mid": 4})
    assert await request() == ((), {})


async def test_an_inactive_one_raises_at_the_call() -> None:
    active = True
    request = Echo(DESCRIPTION, lambda: active)
    await request()
    active = False
    assert not request.is_active()
    with pytest.raises(Inactive) as raised:
        request()
    assert str(raised.value) == "Can't make ?a-b request; resource is inactive"
    assert isinstance(raised.value, KATCPResourceError)


async def test_a_dummy_always_succeeds() -> None:
    request = KATCPDummyRequest(DESCRIPTION)
    reply, informs = await request("anything", timeout=1)
    assert (str(reply), informs) == ("!fake ok", [])
    assert (await request()).succeeded
