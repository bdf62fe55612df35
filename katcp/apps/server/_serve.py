"""Serving a device as the command line says, from the first look at it to the exit status."""

from __future__ import annotations

import asyncio
import sys
import traceback
from typing import TYPE_CHECKING

from katcp.apps.server._daemon import Daemon, end_soon, make_device
from katcp.apps.server._errors import CANNOT_SERVE, DONE, MISUSE, StartError, describe
from katcp.apps.server._http import http_warning, start_http
from katcp.apps.server._limits import guard, log, look_outside
from katcp.apps.server._logging import StartLog, write_error
from katcp.apps.server._options import Settings
from katcp.apps.server._plugins import OWN, find_class
from katcp.apps.server._systemd import Notifier
from katcp.apps.server._tls import tls_context
from katcp.device_files import DeviceFileError, is_device_file, read_device_file
from katcp.server import DeviceServerBase

if TYPE_CHECKING:
    from katcp.web import WebServer


def run(settings: Settings) -> int:
    """Serve as `settings` say; return the exit status."""
    if settings.check:
        return check(settings.device)
    start_log = StartLog(settings.log_level, settings.verbose, settings.log_format)
    try:
        asyncio.run(_serve(settings, start_log))
    except DeviceFileError as error:
        start_log.discard()
        for line in error.lines():
            write_error(line, settings.log_format, named=False)
        return CANNOT_SERVE
    except StartError as error:
        start_log.discard()
        if settings.verbose:
            traceback.print_exception(error)
        write_error(str(error), settings.log_format)
        return error.status
    except Exception as error:
        # Nothing is known to come here, but if it does, it shall be told as all else is.
        if settings.verbose:
            traceback.print_exception(error)
        write_error(describe(error), settings.log_format)
        return CANNOT_SERVE
    return DONE


def check(path: str) -> int:
    """Tell whether a device file is right; return the exit status."""
    if not is_device_file(path):
        write_error("--check is for device files, whose names end with .yaml, .yml or .toml")
        return MISUSE
    try:
        spec = read_device_file(path)
    except DeviceFileError as error:
        for line in error.lines():
            write_error(line, named=False)
        return CANNOT_SERVE
    parts = f"{len(spec.sensors)} sensors, {len(spec.requests)} requests"
    if spec.providers:
        parts += f", {sum(len(one.endpoints) + 1 for one in spec.providers)} endpoints"
    sys.stdout.write(f"{path}: {parts}\n")
    return DONE


async def _serve(settings: Settings, start_log: StartLog) -> None:
    notifier = Notifier.of_environment()
    cls = settings.make_class() if settings.make_class else find_class(settings.device)
    if "update_interval" in settings.limits and settings.device not in OWN:
        raise StartError("--update-interval is for the devices host and demo", MISUSE)
    context = tls_context(**settings.tls)
    device = make_device(cls, settings.host, settings.port, settings.tb_limit, settings.limits)
    if context is not None:
        device.katcp_use_tls(context)
    guard(device, settings.allow, settings.remote_halt)
    daemon = Daemon(device, settings.log_level, notifier)
    address = await daemon.start()
    look_outside(device)
    try:
        web = start_http(device, settings.http, settings.http_name, context)
    except BaseException:
        await daemon.stop()
        raise
    start_log.served()
    sys.stdout.write(f"listening on {address}\n")
    if web is not None:
        _tell_of_page(device, web)
    sys.stdout.flush()
    notifier.ready(f"listening on {address}")
    watchdog = asyncio.ensure_future(notifier.feed_watchdog())
    status = CANNOT_SERVE
    try:
        await daemon.run()
        status = DONE
    finally:
        end_soon(status)
        watchdog.cancel()
        if web is not None:
            await web.stop()


def _tell_of_page(device: DeviceServerBase, web: WebServer) -> None:
    sys.stdout.write(f"page at {web.url}\n")
    warning = http_warning(web, guarded=device.katcp_is_guarded)
    if warning is not None:
        log.warning("%s", warning)
