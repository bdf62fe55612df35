"""``?sensor-sampling`` and ``?sensor-sampling-clear``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from katcp.errors import FailReply
from katcp.kattypes import request, return_reply
from katcp.protocol import Message
from katcp.sensors import NONE, Plan, Sensor, parse_strategy
from katcp.server._requests._lists import CHUNK, give_way
from katcp.server._requests._types import DeviceProtocol


class SamplingRequests(DeviceProtocol):
    """Requests about when readings are reported."""

    def request_sensor_sampling(self, req: Any, msg: Message) -> Any:
        """Ask for or set when this client is sent readings of a sensor.

        A strategy that is set replaces the one before. The present reading is sent at once.

        Parameters
        ----------
        name : str
            Name of a sensor; where the protocol flag B is announced, several separated by commas.
        strategy : {'none', 'auto', 'event', 'period', 'differential', 'event-rate', \
'differential-rate'}, optional
            To ask for the present one, leave it out.
        params : list, optional
            ``period PERIOD``; ``differential DIFFERENCE``; ``event-rate SHORTEST LONGEST``;
            ``differential-rate DIFFERENCE SHORTEST LONGEST``. Periods are in seconds
            (milliseconds in version 4).

        Informs
        -------
        No informs belong to the reply; readings come as ``#sensor-status``.

        Returns
        -------
        success : {'ok', 'fail'}
        name : str
            As asked.
        strategy : str
        params : list
            As asked.

        Examples
        --------
        ::

            ?sensor-sampling psu.voltage event-rate 0.5 30
            #sensor-status 1767225600.250000 1 psu.voltage nominal 4.5
            !sensor-sampling ok psu.voltage event-rate 0.5 30
        """
        sample: Callable[..., Any] = self._sample
        if self._samples_by_itself:
            bulk = self._is_bulk_sampling_required(msg.arguments)
            sample = self._handle_bulk_set_sensor_sampling if bulk else self._handle_sensor_sampling
        return self._call_in_loop(sample, req, msg)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._samples_by_itself = any(
            getattr(cls, name) is not getattr(SamplingRequests, name)
            for name in (
                "_handle_sensor_sampling",
                "_handle_bulk_set_sensor_sampling",
                "_is_bulk_sampling_required",
            )
        )

    #: Whether a subclass has its own way to set strategies.
    _samples_by_itself: ClassVar[bool] = False

    def _is_bulk_sampling_required(self, msg_args: Sequence[bytes]) -> bool:
        """Tell whether the arguments of ``?sensor-sampling`` set strategies of several sensors.

        Where the flag B is announced, any setting counts as that.
        """
        if not msg_args or not self.PROTOCOL_INFO.bulk_set_sensor_sampling:
            return False
        return len(msg_args) > 1 or b"," in msg_args[0]

    async def _handle_sensor_sampling(self, req: Any, msg: Message) -> Message:
        """Answer ``?sensor-sampling`` of one sensor; in the loop. Devices may override it."""
        reply: Message = await _call_later(self._sample, req, msg)
        return reply

    async def _handle_bulk_set_sensor_sampling(self, req: Any, msg: Message) -> Message:
        """Answer ``?sensor-sampling`` of several sensors; in the loop. Devices may override it."""
        reply: Message = await _call_later(self._sample, req, msg)
        return reply

    def _call_in_loop(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call `function` now, or, if this is another thread, return a coroutine that does.

        Strategies belong to the loop, but a subclass may call these handlers in its own, which
        run in the handler thread.
        """
        if self._server.in_ioloop_thread() or not self._server.running():
            return function(*args)
        return _call_later(function, *args)

    def _sample(self, req: Any, msg: Message) -> Any:
        arguments = msg.arguments
        if not arguments:
            raise FailReply("No sensor name given.")
        bulk = self.PROTOCOL_INFO.bulk_set_sensor_sampling
        if len(arguments) == 1 and bulk and b"," in arguments[0]:
            raise FailReply("Cannot query multiple sensors.")
        sensors = self._sensors_called(arguments[0], bulk)
        connection = self._subscriber(req.client_connection)
        if len(arguments) == 1:
            plan = NONE if self._sampling is None else self._sampling.get(connection, sensors[0])
            return req.make_reply("ok", sensors[0].name, plan.name, *plan.params)
        plan = self._plan_for(sensors, arguments[1], arguments[2:])
        reply = req.make_reply("ok", arguments[0], plan.name, *plan.params)
        if self._sampling is None:
            raise FailReply("Nothing can be sampled before the server is started.")
        if self.max_subscriptions is not None and plan.name != b"none":
            self._bound_subscriptions(connection, sensors, self.max_subscriptions)
        if len(sensors) > CHUNK:
            return self._set_in_pieces(connection, sensors, plan, reply)
        self._sampling.set(connection, sensors, plan)
        return reply

    def _bound_subscriptions(self, connection: Any, sensors: Sequence[Sensor], most: int) -> None:
        assert self._sampling is not None
        number = self._sampling.count_with(connection, sensors)
        if number > most:
            self.katcp_counters.refused_subscriptions += 1
            raise FailReply(
                f"Too many subscriptions: a client may have {most}, and this would be {number}."
            )

    async def _set_in_pieces(
        self, connection: Any, sensors: Sequence[Sensor], plan: Plan, reply: Message
    ) -> Message:
        for start in range(0, len(sensors), CHUNK):
            if connection.closed:
                break
            # A sensor may have been removed while others had their turn.
            piece = [s for s in sensors[start : start + CHUNK] if self._sensors.get(s.name) is s]
            if self._sampling is not None:
                self._sampling.set(connection, piece, plan)
            await give_way(connection)
        return reply

    def _sensors_called(self, text: bytes, bulk: bool) -> list[Sensor]:
        """Return the sensors of these names, each once.

        Raises
        ------
        FailReply
            If there is one that does not exist.
        """
        known, names = self._called
        if known != text or not bulk:
            whole = text.decode("utf-8", "backslashreplace")
            names = whole.split(",") if bulk else [whole]
        try:
            found = list(dict.fromkeys(map(self._sensors.__getitem__, names)))
        except KeyError:
            unknown = [name for name in names if name not in self._sensors]
        else:
            if known != text and len(names) > 1:
                self._called = (text, names)
            return found
        if len(names) == 1:
            raise FailReply(f"Unknown sensor name: {names[0][:200]}.")
        listed = ", ".join(name[:200] for name in unknown[:10])
        raise FailReply(f"Unknown sensor names: {listed}.")

    #: The last list of names that was asked for, and the names. Who ends or changes strategies
    #: names the same list again, and so do many clients that watch the same; to take it apart
    #: costs 0.06 µs a name.
    _called: tuple[bytes, list[str]] = (b"", [])

    def _plan_for(
        self, sensors: Sequence[Sensor], strategy: bytes, params: Sequence[bytes]
    ) -> Plan:
        """Check a strategy against every sensor before anything is changed."""
        # What a strategy means depends on the sensor's type, if on anything.
        if strategy.startswith(b"differential"):
            kinds = {sensor.stype: sensor for sensor in sensors}
        else:
            kinds = {"": sensors[0]}
        try:
            plans = [
                parse_strategy(strategy, params, sensor, self.katcp_major, self.period_floor)
                for sensor in kinds.values()
            ]
        except ValueError as error:
            raise FailReply(str(error)) from None
        return plans[0]

    @request()
    @return_reply()
    def request_sensor_sampling_clear(self, req: Any) -> Any:
        """End all sampling strategies of this client.

        Returns
        -------
        success : {'ok'}

        Examples
        --------
        ::

            ?sensor-sampling-clear
            !sensor-sampling-clear ok
        """
        return self._call_in_loop(self._clear, req)

    def _clear(self, req: Any) -> list[str]:
        self.clear_strategies(req.client_connection)
        return ["ok"]


async def _call_later(function: Callable[..., Any], *args: Any) -> Any:
    result = function(*args)
    return await result if inspect.isawaitable(result) else result
