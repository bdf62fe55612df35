"""Sections of a device that takes orders: what is known of them, and what is printed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from katcp.apps.cli._asking import Asker
from katcp.apps.cli._errors import Refused
from katcp.apps.cli._escape import decode, visible
from katcp.apps.cli._format import Line, Piece, age_text, time_text
from katcp.apps.cli._model import parse_time

#: States that a section does not leave again.
FINAL = frozenset(["done", "partial", "failed", "cancelled", "abandoned"])

_STYLES = {
    "queued": "dim",
    "running": "inform",
    "done": "ok",
    "partial": "warn",
    "failed": "fail",
    "cancelled": "dim",
    "abandoned": "unreachable",
    "waiting": "dim",
    "retrying": "warn",
    "ok": "ok",
    "skipped-fresh": "ok",
    "stale": "warn",
}


@dataclass(frozen=True)
class SectionRow:
    """A section, as an inform of ``?section-list`` describes it.

    Attributes
    ----------
    name, state, origin : str
    disposition, orders, ended, good : int
        Numbers of orders: all, those that have ended, and those that were carried out.
    submitted, started, finished : float or None
        When [seconds since 1970, UTC].
    """

    name: str
    state: str = ""
    disposition: int = 0
    orders: int = 0
    submitted: float | None = None
    started: float | None = None
    finished: float | None = None
    origin: str = ""
    ended: int = 0
    good: int = 0

    @classmethod
    def of(cls, arguments: Sequence[bytes], major: int) -> SectionRow:
        """Return what the arguments of a ``#section-list`` say, as far as they go."""
        given = [*arguments, *[b""] * (10 - len(arguments))]
        submitted, started, finished = (parse_time(raw, major) for raw in given[4:7])
        return cls(
            decode(given[0]),
            decode(given[1]),
            _count(given[2]),
            _count(given[3]),
            submitted,
            started,
            finished,
            decode(given[7]),
            _count(given[8]),
            _count(given[9]),
        )

    def record(self) -> dict[str, Any]:
        """Return what ``--json`` prints of it."""
        return {
            "section": self.name,
            "state": self.state,
            "joinable": self.disposition == 0,
            "orders": self.orders,
            "ended": self.ended,
            "good": self.good,
            "submitted": self.submitted,
            "started": self.started,
            "finished": self.finished,
            "origin": self.origin,
        }

    def line(self, now: float) -> list[Piece]:
        """Return it as a row of a table."""
        return [
            Piece(visible(self.name), "name"),
            state_piece(self.state),
            Piece(f"{self.ended}/{self.orders}"),
            Piece("-" if self.ended == self.good else f"{self.ended - self.good} not done", "warn"),
            Piece(_since(self.submitted, now)),
            Piece(self._took(now)),
            Piece("" if self.disposition == 0 else "alone", "dim"),
            Piece(visible(self.origin), "dim"),
        ]

    def _took(self, now: float) -> str:
        if self.started is None:
            return "-"
        return _seconds(max(0.0, (self.finished or now) - self.started))


#: The names of the columns of `SectionRow.line`.
HEAD = [
    Piece(word, "dim")
    for word in ("section", "state", "orders", "trouble", "age", "took", "", "from")
]


@dataclass(frozen=True)
class OrderRow:
    """An order, as an inform of ``?section-progress`` describes it."""

    section: str
    index: int
    type: str
    target: str
    outcome: str
    attempts: int
    timestamp: float | None
    detail: str
    value: str | None = None

    @classmethod
    def of(cls, arguments: Sequence[bytes], major: int) -> OrderRow:
        """Return what the arguments of a ``#section-progress`` say, as far as they go."""
        given = [*arguments, *[b""] * (8 - len(arguments))]
        return cls(
            decode(given[0]),
            _count(given[1]),
            decode(given[2]),
            decode(given[3]),
            decode(given[4]),
            _count(given[5]),
            parse_time(given[6], major),
            decode(given[7]),
            decode(given[10]) if len(given) > 10 else None,
        )

    def record(self) -> dict[str, Any]:
        """Return what ``--json`` prints of it."""
        return {
            "section": self.section,
            "index": self.index,
            "type": self.type,
            "target": self.target,
            "outcome": self.outcome,
            "attempts": self.attempts,
            "timestamp": self.timestamp,
            "detail": self.detail,
            "value": self.value,
        }

    def line(self) -> list[Piece]:
        """Return it as a row of a table."""
        times = f"{self.attempts} attempts" if self.attempts > 1 else ""
        told = self.detail or (f"= {self.value}" if self.value is not None else "")
        ended = self.outcome not in ("waiting", "running", "retrying")
        return [
            Piece(str(self.index), "dim"),
            Piece(visible(self.type)),
            Piece(visible(self.target), "name"),
            state_piece(self.outcome),
            Piece(times),
            Piece(time_text(self.timestamp) if ended else "", "dim"),
            Piece(visible(told)),
        ]


def state_piece(word: str) -> Piece:
    """Return a state, or an outcome, in its colour."""
    style = _STYLES.get(word) or ("inform" if word == "running" else "fail")
    return Piece(visible(word), style)


async def list_rows(asker: Asker, name: str | None = None) -> list[SectionRow]:
    """Return the sections that the device knows, or one of them.

    Raises
    ------
    Refused
        If the device takes no orders, or does not know it.
    """
    reply, informs = await asker.ask("section-list", *([] if name is None else [name]))
    if not reply.reply_ok():
        reason = decode(reply.arguments[1]) if len(reply.arguments) > 1 else ""
        if reply.arguments[:1] == [b"invalid"] and "Unknown request" in reason:
            raise Refused(f"{asker.address} takes no orders: it has no request ?section-list")
        raise Refused(visible(reason).rstrip(".") or "the device refuses")
    return [SectionRow.of(inform.arguments, asker.major) for inform in informs]


async def order_rows(asker: Asker, name: str) -> list[OrderRow]:
    """Return what the orders of a section came to, or are at."""
    informs = await asker.ask_ok("section-progress", name)
    return [OrderRow.of(inform.arguments, asker.major) for inform in informs]


def event_line(moment: float, words: Sequence[str]) -> Line:
    """Return a line that tells of a change, for where nothing can be drawn over."""
    name, *rest = words
    line = [Piece(time_text(moment), "dim"), Piece("  "), Piece(visible(name), "name")]
    if len(rest) == 1:
        return [*line, Piece("  "), state_piece(rest[0])]
    index, outcome, attempts, detail = [*rest, *[""] * (4 - len(rest))][:4]
    line += [Piece(f"  order {visible(index)}  "), state_piece(outcome)]
    if attempts not in ("", "0", "1"):
        line.append(Piece(f"  {visible(attempts)} attempts"))
    if detail:
        line.append(Piece(f"  {visible(detail)}"))
    return line


def event_record(moment: float, words: Sequence[str]) -> dict[str, Any]:
    """Return what ``--json`` prints of a change."""
    name, *rest = words
    if len(rest) == 1:
        return {"section": name, "state": rest[0], "timestamp": moment}
    index, outcome, attempts, detail = [*rest, *[""] * (4 - len(rest))][:4]
    return {
        "section": name,
        "index": _count(index.encode()),
        "outcome": outcome,
        "attempts": _count(attempts.encode()),
        "detail": detail,
        "timestamp": moment,
    }


def _count(raw: bytes) -> int:
    return int(raw) if raw.isdigit() and len(raw) < 10 else 0


def _since(moment: float | None, now: float) -> str:
    return "-" if moment is None else age_text(now - moment)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds < 100 else age_text(seconds)


def present() -> float:
    """Return the time [s since 1970]."""
    return time.time()
