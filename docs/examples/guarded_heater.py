from heater import Heater

from katcp.server import AccessPolicy

LOOKING = {
    "client-list",
    "help",
    "request-timeout-hint",
    "sensor-list",
    "sensor-sampling",
    "sensor-sampling-clear",
    "sensor-value",
    "version-list",
    "watchdog",
}


class Operators(AccessPolicy):
    """Lets everybody look, and operators do the rest."""

    def __init__(self, hosts):
        self.hosts = hosts

    def may_request(self, client, name, arguments):
        return name in LOOKING or client.host in self.hosts


class GuardedHeater(Heater):
    """A heater that only the operators' computers can control."""

    def __init__(self, host, port, **kwargs):
        super().__init__(host, port, access=Operators({"10.1.2.3"}), **kwargs)
