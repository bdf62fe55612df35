"""Requests for macros: ``?macro-add``, ``?macro-list``, ``?macro-remove``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from katcp.errors import FailReply, InvalidReply
from katcp.orders._host import OrderHost
from katcp.orders._macros._macro import Late, Macro, MacroState
from katcp.orders._macros._macros import Macros
from katcp.orders._section import Section
from katcp.protocol import Message
from katcp.sensors import Sensor
from katcp.server import DeviceServer, construct_name_filter
from katcp.storage import Database


class MacroHost:
    """Offers macros on a device, and executes them while it runs.

    It has the sensors ``macros.count``, ``macros.next-run`` (a timestamp, of unknown status if none
    will ever be due) and ``macros.last-failure``: the id of the last section of a macro that was
    not done, and what it came to.

    Parameters
    ----------
    device : DeviceServer
        Gets the requests, the sensors and a service.
    orders : OrderHost or callable
        Takes the sections: what takes orders on the device, or a function of a section, such as
        `OrderExecutor.execute`.
    database : katcp.storage.Database, optional
        Where macros are kept; it is not closed. Without one they are forgotten with the process.
    **options
        Those of `Macros`.

    Attributes
    ----------
    macros : Macros
    """

    def __init__(
        self,
        device: DeviceServer,
        orders: OrderHost | Callable[[Section], object],
        database: Database | None = None,
        **options: Any,
    ) -> None:
        submit = _submitting(orders) if isinstance(orders, OrderHost) else orders
        self.macros = Macros(submit, database=database, on_change=self._renew, **options)
        self._count = Sensor.integer("macros.count", "Macros that there are.", default=0)
        self._next = Sensor.timestamp("macros.next-run", "When the next macro is due.")
        self._failure = Sensor.string("macros.last-failure", "The last one that was not done.")
        for sensor in (self._count, self._next, self._failure):
            device.add_sensor(sensor)
        device.add_request("macro-add", self._add)
        device.add_request("macro-list", self._list)
        device.add_request("macro-remove", self._remove)
        device.add_service_task(self.macros.run, name="macros")

    def _renew(self) -> None:
        self._count.set_value(self.macros.count)
        moment = self.macros.next_run
        if moment is not None:
            self._next.set_value(moment)
        else:
            self._next.set_value(0.0, Sensor.UNKNOWN)
        failure = self.macros.last_failure
        if failure is not None and failure != self._failure.value():
            self._failure.set_value(failure, Sensor.ERROR)

    async def _add(self, req: Any, msg: Message) -> Any:
        r"""Add a macro: a section that is executed when its time comes.

        Parameters
        ----------
        id : str
            Name of the macro.
        when : str
            Five fields of a calendar (minute hour day month weekday), in UTC unless TZ=ZONE stands
            before them; or moments with commas between them, in seconds since 1970 or as
            YYYY-MM-DDTHH:MM:SSZ.
        section : str
            What to execute, in JSON: a section, or an array of orders.
        late : {'run-all', 'run-last', 'skip'}, optional
            What is done about times that were missed; 'run-last' by default.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        id : str
            Name of the macro.
        next-run : timestamp
            When it is due.

        Examples
        --------
        ::

            ?macro-add[1] dawn 30\_6\_*\_*\_* [{"type":"write","path":"lamp","value":0}]
            !macro-add[1] ok dawn 1700029800.000
        """
        if not 3 <= len(msg.arguments) <= 4:
            raise InvalidReply("It takes a name, a time, a section and maybe what is late.")
        name, when, section, *late = (_text(argument) for argument in msg.arguments)
        try:
            macro = Macro(name, when, section, Late(late[0]) if late else Late.RUN_LAST)
        except ValueError as error:
            raise InvalidReply(str(error)) from None
        try:
            state = await self.macros.add(macro)
        except ValueError as error:
            raise FailReply(str(error)) from None
        return ("ok", name, _moment(state.next_run))

    async def _list(self, req: Any, msg: Message) -> Any:
        """List the macros.

        Parameters
        ----------
        name : str, optional
            Of one macro; or a regular expression between slashes.

        Informs
        -------
        id : str
            Name of the macro.
        when : str
            At which times it is due.
        late : {'run-all', 'run-last', 'skip'}
            What is done about times that were missed.
        next-run : timestamp
            When it is due; empty if never again.
        last-run : timestamp
            The last time that was executed, or left out; empty if none was.
        last-state : str
            What the section came to then, or 'skipped'; empty if there was none.
        section : str
            What is executed, in JSON.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        informs : int
            Number of #macro-list informs sent.
        """
        if len(msg.arguments) > 1:
            raise InvalidReply("Too many parameters given.")
        name = _text(msg.arguments[0]) if msg.arguments else None
        states = await self.macros.listing()
        try:
            exact, fits = construct_name_filter(name)
            states = [state for state in states if fits(state.macro.macro_id)]
        except ValueError as error:
            raise InvalidReply(str(error)) from None
        if exact and not states:
            raise FailReply(f"There is no macro {name!r}.")
        for state in states:
            req.inform(*_described(state))
            await req.client_connection.until_writable()
        return ("ok", len(states))

    async def _remove(self, req: Any, msg: Message) -> Any:
        """Remove a macro; a section of it that is under way goes on.

        Parameters
        ----------
        id : str
            Name of the macro.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        """
        if len(msg.arguments) != 1:
            raise InvalidReply("It takes the name of a macro.")
        name = _text(msg.arguments[0])
        try:
            await self.macros.remove(name)
        except KeyError:
            raise FailReply(f"There is no macro {name!r}.") from None
        return ("ok",)


def _submitting(host: OrderHost) -> Callable[[Section], object]:
    async def submit(section: Section) -> Section:
        """Hand a section over, unless the journal has it from before."""
        await host.until_ready()
        if section.section_id is not None and host.has(section.section_id):
            return host.find(section.section_id)
        await host.submit(section, section.origin)
        return section

    return submit


def _described(state: MacroState) -> tuple[str, ...]:
    macro = state.macro
    return (
        macro.macro_id,
        macro.times.text,
        macro.late.value,
        _moment(state.next_run),
        _moment(state.last_run),
        state.last_state,
        json.dumps(macro.section, separators=(",", ":")),
    )


def _moment(moment: float | None) -> str:
    return "" if moment is None else f"{moment:.3f}"


def _text(argument: bytes) -> str:
    return argument.decode("utf-8", "surrogateescape")
