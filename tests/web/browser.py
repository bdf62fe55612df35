"""A real browser: Debian's Chromium, driven by playwright, on the loop of the test."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 15_000  # ms

CHROMIUM = shutil.which("chromium")


def need(there: object, what: str) -> None:
    """Skip the test where something is missing; where everything has to be tested, fail."""
    if there:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"there is no {what} here")
    pytest.skip(f"there is no {what} here")


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Any]:
    """Start the browser; end it with the block."""
    need(CHROMIUM, "chromium")
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        need(False, "playwright")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield chromium
        finally:
            await chromium.close()


@contextlib.asynccontextmanager
async def visit(chromium: Any, url: str, **options: Any) -> AsyncIterator[Any]:
    """Open a page, and wait until it is live; complaints of the page fail the test."""
    context = await chromium.new_context(**options)
    page = await context.new_page()
    page.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    page.complaints = complaints
    try:
        await page.goto(url)
        await page.wait_for_selector("#link[data-state=live]")
        yield page
        assert not [c for c in complaints if "WebSocket" not in c and "ERR_" not in c]
    finally:
        await context.close()
