from katcp.endpoints import (
    DerivedEndpoint,
    EndpointServer,
    KeyValueStore,
    Predicate,
    PredicateHost,
    SensorHistory,
    StoreKey,
)


def kelvin(ohms):
    """Return the temperature of a sensor that has 100 ohms at 273.15 K."""
    return round(273.15 + (ohms - 100.0) / 0.385, 2)


class Cryostat(EndpointServer):
    """Two thermometers, what is computed from them, and an alarm."""

    def setup_sensors(self):
        thermometer = {
            "type": "float",
            "units": "K",
            "calibration": "kelvin({})",
            "cal_functions": [kelvin],
        }
        stages = KeyValueStore(
            "stages",
            endpoints=[
                StoreKey("warm", initial_value=110.0, **thermometer),
                StoreKey("cold", initial_value=40.0, **thermometer),
                StoreKey("valve", initial_value=0, calibration={0: "closed", 1: "open"}),
                DerivedEndpoint("gradient", "round({warm} - {cold}, 2)", units="K"),
            ],
        )
        self.endpoint_host.add(stages)
        SensorHistory(self, length=3600, wanted=["stages.cold", "stages.gradient"])
        alarms = PredicateHost(self)
        alarms.add(
            Predicate(
                "warming-up",
                "{stages.cold} > 130 and {stages.valve} != 'open'",
                until="{stages.cold} < 125",
            )
        )
        # It is filled on Monday mornings.
        alarms.add(
            Predicate(
                "valve-open",
                "{stages.valve} == 'open'",
                colour="yellow",
                silences=[("Mon 08:00", "Mon 09:59")],
            )
        )
