"""The log of a device: ``#log`` informs to its clients, and Python's logging."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, ClassVar

from katcp.compat import ensure_native_str
from katcp.protocol import Message

if TYPE_CHECKING:
    from katcp.server._base import DeviceServerBase

#: Loggers whose records are not sent as ``#log``: that would make a log of sending the log.
_OWN = ("katcp", "tornado", "asyncio")


class DeviceLogger:
    """Logs to the clients of a device.

    Each message goes to every client if its level is at or above the device's, and to the Python
    logger in any case, as far as that logger lets it through.

    Parameters
    ----------
    device_server : DeviceServer
    root_logger : str
        Logger name on the wire where a call gives none.
    python_logger : logging.Logger, optional
    """

    ALL, TRACE, DEBUG, INFO, WARN, ERROR, FATAL, OFF = range(8)
    LEVELS: ClassVar[list[str]] = [
        "all",
        "trace",
        "debug",
        "info",
        "warn",
        "error",
        "fatal",
        "off",
    ]
    #: Level -> level of Python's logging.
    PYTHON_LEVEL: ClassVar[dict[int, int]] = {
        ALL: 0,
        TRACE: 0,
        DEBUG: logging.DEBUG,
        INFO: logging.INFO,
        WARN: logging.WARNING,
        ERROR: logging.ERROR,
        FATAL: logging.CRITICAL,
        OFF: 60,
    }

    def __init__(
        self,
        device_server: DeviceServerBase,
        root_logger: str = "root",
        python_logger: logging.Logger | None = None,
    ) -> None:
        self._device_server = device_server
        self._log_level = self.WARN
        self._python_logger = python_logger
        self._root_logger_name = root_logger

    # -- levels -------------------------------------------------------------------------

    def level_name(self, level: int | None = None) -> str:
        """Return the name of a level, or of the device's present one."""
        return self.LEVELS[self._log_level if level is None else level]

    def level_from_name(self, level_name: str | bytes) -> int:
        """Return the level called `level_name`; names are case-sensitive.

        Raises
        ------
        ValueError
            If there is none.
        """
        if isinstance(level_name, bytes):
            name = level_name[:80].decode("utf-8", "backslashreplace")
        else:
            name = ensure_native_str(level_name)
        try:
            return self.LEVELS.index(name)
        except ValueError:
            raise ValueError(f"Unknown logging level name '{name}'") from None

    def set_log_level(self, level: int) -> None:
        """Set the level below which nothing is sent; Python's loggers are left alone."""
        if level not in range(len(self.LEVELS)):
            raise ValueError(f"Unknown logging level {level!r}")
        self._log_level = level

    def set_log_level_by_name(self, level_name: str | bytes) -> None:
        """Set the level by its name."""
        self._log_level = self.level_from_name(level_name)

    # -- logging ------------------------------------------------------------------------

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a message.

        Parameters
        ----------
        level : int
            A level constant.
        msg : str
            Text, with ``%`` places for `args`; if they do not fit, both are logged as they are.
        name : str, optional
            Logger name on the wire, dotted.
        timestamp : float, optional
            Seconds since 1970, UTC; now if not given.
        """
        name = kwargs.pop("name", None) or self._root_logger_name
        timestamp = kwargs.pop("timestamp", None)
        if kwargs:
            raise TypeError(f"unexpected keyword arguments: {', '.join(sorted(kwargs))}")
        try:
            text = str(msg) % args
        except (TypeError, ValueError, KeyError):
            text = f"{msg} {args}" if args else str(msg)
        if level >= self._log_level:
            self._send(level, text, name, timestamp)
        if self._python_logger is not None:
            prefix = "" if timestamp is None else f"katcp timestamp: {timestamp} "
            self._python_logger.log(self.PYTHON_LEVEL[level], "%s%s", prefix, text)

    def _send(self, level: int, text: str, name: str, timestamp: float | None) -> None:
        server = self._device_server
        server.mass_inform(server.create_log_inform(self.level_name(level), text, name, timestamp))

    def trace(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log everything there is to know."""
        self.log(self.TRACE, msg, *args, **kwargs)

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a detail."""
        self.log(self.DEBUG, msg, *args, **kwargs)

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log coarse progress, fit for an operator."""
        self.log(self.INFO, msg, *args, **kwargs)

    def warn(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log what may lead to worse."""
        self.log(self.WARN, msg, *args, **kwargs)

    warning = warn

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log that an operation failed."""
        self.log(self.ERROR, msg, *args, **kwargs)

    def fatal(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log that the device has failed for good."""
        self.log(self.FATAL, msg, *args, **kwargs)

    critical = fatal

    # -- Python's logging ---------------------------------------------------------------

    def handler(self) -> logging.Handler:
        """Return a handler that sends Python's log records to the clients.

        Add it to the loggers of the device's own code::

            logging.getLogger("my.device").addHandler(server.log.handler())

        Records of this package and of the loop below it are left out.
        """
        return _ForwardingHandler(self)

    @classmethod
    def log_to_python(cls, logger: logging.Logger, msg: Message) -> None:
        """Log a ``#log`` inform that came from a device, at the matching level.

        An inform with fewer than four arguments is logged as far as it goes.
        """
        level, timestamp, name, text = [
            argument.decode("utf-8", "backslashreplace")
            for argument in ([*msg.arguments, b"", b"", b"", b""])[:4]
        ]
        number = cls.LEVELS.index(level) if level in cls.LEVELS else cls.WARN
        logger.log(cls.PYTHON_LEVEL[number] or 1, "%s %s: %s", timestamp, name, text)


class _ForwardingHandler(logging.Handler):
    def __init__(self, device_log: DeviceLogger) -> None:
        super().__init__()
        self._device_log = device_log

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record to the clients, at the level next below its own."""
        if record.name.split(".")[0] in _OWN:
            return
        try:
            log = self._device_log
            level = log.TRACE
            for candidate in (log.DEBUG, log.INFO, log.WARN, log.ERROR, log.FATAL):
                if record.levelno >= log.PYTHON_LEVEL[candidate]:
                    level = candidate
            if level >= log._log_level:  # noqa: SLF001  # one idea in two classes
                log._send(level, self.format(record), record.name, record.created)  # noqa: SLF001
        except Exception:
            self.handleError(record)


def log_inform(
    level_name: str, text: str, name: str, timestamp: float | None, major: int
) -> Message:
    """Make a ``#log`` inform: level, time, logger name, text."""
    when = time.time() if timestamp is None else timestamp
    stamp = f"{when:.6f}" if major >= 5 else f"{when * 1000:.0f}"
    return Message.inform("log", level_name, stamp, name, text)
