"""What a device file may say of where the values of a sensor come from.

A constant, a simulated signal, a program, a file, or a sensor of another device.
"""

from __future__ import annotations

from katcp.device_files._forms import Expression, Number, Switch, Text, Value, Word
from katcp.device_files._forms_of_many import Either, Field, Group, ListOf

_EVERY = Field(
    Number(low=0.05, high=86_400), "time between two readings [s], at most a day", default=1.0
)
TIMEOUT = Field(
    Number(above=0.0, high=3600.0),
    "after this it is killed, with all that it started [s]",
    default=10.0,
)
_SEED = Field(Text(), "begins the random numbers; by default the name of the sensor does")
_NOISE = Field(Number(low=0.0), "standard deviation of noise that is added", default=0)
_DECIMALS = Field(Number(low=-12, high=15, whole=True), "decimals that the value is rounded to")

_EXTRACT = {
    "line": Field(
        Number(low=-1_000_000, high=1_000_000, whole=True),
        "the line that counts, from 1; -1: the last. By default all of it does, without white "
        "space at the ends",
    ),
    "regex": Field(
        Expression(),
        "regular expression that is looked for; its first group is the value, or all that matches "
        "if it has none",
    ),
    "scale": Field(Number(), "a number is multiplied by this", default=1),
    "offset": Field(Number(), "and this is added to it", default=0),
}


def _signal(text: str, fields: dict[str, Field], decimals: bool = True) -> Field:
    common = {"every": _EVERY, "seed": _SEED}
    if decimals:
        common["decimals"] = _DECIMALS
    return Field(Group({**fields, **common}, {"interval": "every", "step": "every"}), text)


_PERIOD = Field(Number(above=0.0), "duration of one turn [s]", default=60)

#: Simulated signals by name, and which of them make numbers only.
SIGNALS = {
    "sine": _signal(
        "a wave",
        {
            "mean": Field(Number(), "middle", default=0),
            "amplitude": Field(Number(), "greatest distance from the middle", default=1),
            "period": _PERIOD,
            "phase": Field(Number(), "where it begins, in turns", default=0),
            "noise": _NOISE,
        },
    ),
    "ramp": _signal(
        "up or down steadily, and from the beginning again",
        {
            "from": Field(Number(), "begin", default=0),
            "to": Field(Number(), "end", default=1),
            "period": _PERIOD,
            "noise": _NOISE,
        },
    ),
    "square": _signal(
        "one value and another by turns",
        {
            "low": Field(Value(), "one; of a boolean sensor false by default", default=0),
            "high": Field(Value(), "the other; of a boolean sensor true by default", default=1),
            "period": _PERIOD,
            "duty": Field(Number(low=0, high=1), "share of the time that it is high", default=0.5),
        },
        decimals=False,
    ),
    "random-walk": _signal(
        "a little up or down each time",
        {
            "start": Field(Number(), "begin; by default the middle of the limits, or 0"),
            "step": Field(Number(low=0), "standard deviation of a step", default=1),
            "min": Field(Number(), "not below"),
            "max": Field(Number(), "not above"),
        },
    ),
    "noise": _signal(
        "random values about a mean",
        {
            "mean": Field(Number(), "middle", default=0),
            "sigma": Field(Number(low=0), "standard deviation", default=1),
        },
    ),
    "steps": _signal(
        "one value after the other; of any type",
        {
            "values": Field(
                ListOf(Value(), 1), "the values; by default all words of a discrete sensor"
            ),
            "period": Field(Number(above=0.0), "how long each of them stays [s]", default=60),
            "order": Field(Word(("cycle", "random")), "in this order, or any", default="cycle"),
        },
        decimals=False,
    ),
    "follow": _signal(
        "goes towards the value of another sensor",
        {
            "sensor": Field(Text(), "name of a number sensor of this device", needed=True),
            "time": Field(
                Number(above=0.0), "time in which it goes most of the way (63 %) [s]", default=10
            ),
            "noise": _NOISE,
        },
    ),
}
NUMBER_SIGNALS = frozenset(SIGNALS) - {"square", "steps"}

COMMAND_LINE = Either((ListOf(Text(label="text"), 1), Text(label="text")))
SHELL = Field(
    Switch(),
    "a shell reads `run`, which is one text then; else it is a list of words, and no shell is "
    "involved",
    default=False,
)

SOURCE = Group(
    {
        "constant": Field(Value(), "always this value"),
        **SIGNALS,
        "command": Field(
            Group(
                {
                    "run": Field(COMMAND_LINE, "program and arguments, as a list", needed=True),
                    "shell": SHELL,
                    "every": Field(
                        Number(low=0.05, high=86_400),
                        "time between the starts of two runs [s], at most a day",
                        default=10.0,
                    ),
                    "timeout": TIMEOUT,
                    **_EXTRACT,
                },
                {"args": "run", "cmd": "run", "command": "run", "interval": "every"},
            ),
            "what a program writes to its standard output",
        ),
        "file": Field(
            Group(
                {
                    "path": Field(
                        Text(pattern=r"[^\0]+", label="a path"),
                        "of the file, from the directory of the device file",
                        needed=True,
                    ),
                    "every": _EVERY,
                    "on-change": Field(
                        Switch(),
                        "read it only when its time of modification or its size has changed, and "
                        "take that time for the reading's; not for files of /proc and /sys",
                        default=False,
                    ),
                    **_EXTRACT,
                },
                {"name": "path", "filename": "path", "interval": "every"},
            ),
            "what stands in a file",
        ),
        "sensor": Field(
            Group(
                {
                    "device": Field(
                        Text(
                            pattern=r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):[0-9]{1,5}",
                            label="HOST:PORT",
                        ),
                        "address of the device, HOST:PORT",
                        needed=True,
                    ),
                    "name": Field(
                        Text(pattern=r"[^\s,]+", label="the name of a sensor"),
                        "of the sensor there",
                        needed=True,
                    ),
                    "scale": _EXTRACT["scale"],
                    "offset": _EXTRACT["offset"],
                },
                {"address": "device", "host": "device", "sensor": "name"},
            ),
            "a sensor of another device; `unreachable` while that is lost",
        ),
    },
    {
        "const": "constant",
        "value": "constant",
        "walk": "random-walk",
        "random": "noise",
        "sawtooth": "ramp",
        "exec": "command",
        "run": "command",
        "cycle": "steps",
        "device": "sensor",
        "katcp": "sensor",
        "path": "file",
    },
    exactly_one=True,
)
