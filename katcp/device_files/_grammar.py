"""What a device file may say: its sections, their keys, and what each of them takes.

From these tables come the check, the published schema and the tables of the reference page.
"""

from __future__ import annotations

from typing import Any

from katcp.device_files._forms import (
    VARIABLE,
    Defined,
    Either,
    Expression,
    Field,
    Group,
    ListOf,
    Named,
    Number,
    Pair,
    Switch,
    Text,
    Value,
    Word,
)
from katcp.device_files._values import OTHER_TYPES, TYPE_NAMES
from katcp.sensors import STATUS_NAMES
from katcp.server import DeviceServer

#: Where the schema says it is from.
SCHEMA_ID = "https://katcp.invalid/schemas/device-file-1.json"

STATUS_WORDS = tuple(STATUS_NAMES)

SENSOR_NAME = r"[A-Za-z0-9._\-]+"
REQUEST_NAME = r"[a-zA-Z][a-zA-Z0-9\-]*"
ARGUMENT_NAME = r"[a-z][a-z0-9_]*"

_EVERY = Field(
    Number(low=0.05, high=86_400), "time between two readings [s], at most a day", default=1.0
)
_TIMEOUT = Field(
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
_SHELL = Field(
    Switch(),
    "a shell reads `run`, which is one text then; else it is a list of words, and no shell is "
    "involved",
    default=False,
)

_SOURCE = Group(
    {
        "constant": Field(Value(), "always this value"),
        **SIGNALS,
        "command": Field(
            Group(
                {
                    "run": Field(COMMAND_LINE, "program and arguments, as a list", needed=True),
                    "shell": _SHELL,
                    "every": Field(
                        Number(low=0.05, high=86_400),
                        "time between the starts of two runs [s], at most a day",
                        default=10.0,
                    ),
                    "timeout": _TIMEOUT,
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

_CONDITION = Either(
    (
        Group(
            {
                "is": Field(Value(), "it has this value"),
                "not": Field(Value(), "it has another value"),
                "below": Field(Value(), "it is below"),
                "above": Field(Value(), "it is above"),
                "status": Field(Word(STATUS_WORDS), "it has this status"),
            },
            exactly_one=True,
        ),
        Value(),
    )
)

_FAILS = ListOf(
    Group(
        {
            "when": Field(
                Named(_CONDITION, name_label="the name of a sensor"),
                "sensors, each with the value that it has then, or with `is`, `not`, `below`, "
                "`above` or `status`; all of them have to be so. Without it the request always "
                "fails",
            ),
            "text": Field(Text(), "what the client is told", needed=True),
        },
        {"if": "when", "reply": "text", "message": "text"},
    )
)

_RUNS = Either(
    (
        ListOf(Text(label="text"), 1),
        Group(
            {
                "run": Field(COMMAND_LINE, "program and arguments, as a list", needed=True),
                "shell": _SHELL,
                "timeout": _TIMEOUT,
            },
            {"args": "run", "cmd": "run", "command": "run"},
        ),
    )
)

_TAKES = Field(
    Number(low=0, high=3600), "how long the request takes, besides `runs` [s]", default=0
)

_DONE = {
    "fails": Field(
        Defined("fails", _FAILS),
        "when it fails, and what the client is told; the first that applies",
    ),
    "takes": _TAKES,
    "runs": Field(
        Defined("runs", _RUNS),
        "a program to run first: a list of words in which `$NAME` stands for an argument, or a "
        "table with `run`, `shell` and `timeout`. If its exit status is not 0 the request fails "
        "with the last line that it wrote",
    ),
}

SETTABLE = Either(
    (
        Switch(),
        Group(
            {
                "range": Field(Pair(), "values of a number that are taken"),
                "pattern": Field(Expression(), "what text has to match, all of it"),
                **_DONE,
            },
            {"limits": "range"},
        ),
    )
)

_FOR = Field(
    Named(
        Either((ListOf(Value(), 1), Text(pattern=r"-?[0-9]+\.\.-?[0-9]+", label="a range"))),
        ARGUMENT_NAME,
        "a variable",
    ),
    "makes it a template: variables, each with a range such as `1..16` or a list of values. `$n` "
    "or `${n}` in name and values stands for each of them in turn",
)

SENSOR_FIELDS = {
    "for": _FOR,
    "type": Field(Word(TYPE_NAMES, OTHER_TYPES), "type of its values", needed=True),
    "description": Field(Text(), "one sentence for people", default=""),
    "units": Field(Text(longest=100), "unit of its values", default=""),
    "words": Field(
        ListOf(Text(pattern=r"\S+", label="a word"), 1, 1000),
        "the values that a discrete sensor may have",
    ),
    "nominal": Field(
        Pair(), "range of a number; outside it the status is `warn`, or that of `warn` decides"
    ),
    "warn": Field(Pair(), "wider range of a number; outside it the status is `error`"),
    "statuses": Field(
        Named(Word(STATUS_WORDS), name_label="a value"),
        "values that have a status of their own, each with that status",
    ),
    "initial": Field(
        Value(),
        "first value, which stays if there is no source; without it the status is `unknown`",
    ),
    "status": Field(
        Word(STATUS_WORDS), "status of the first value, if it is not that of the limits"
    ),
    "source": Field(Defined("source", _SOURCE), "where its values come from"),
    "settable": Field(
        SETTABLE,
        "clients may set it, by `?set-NAME VALUE` (with `-` for each `.` and `_` of the name): "
        "true, or a table that says more",
        default=False,
    ),
}
_SENSOR_OTHERS = {
    "unit": "units",
    "params": "words",
    "values": "words",
    "options": "words",
    "choices": "words",
    "desc": "description",
    "help": "description",
    "limits": "nominal",
    "range": "nominal",
    "warning": "warn",
    "value": "initial",
    "default": "initial",
    "writable": "settable",
    "set": "settable",
    "simulate": "source",
    "from": "source",
}

ARGUMENT_FIELDS = {
    "name": Field(
        Text(pattern=ARGUMENT_NAME, label="a name (a-z, 0-9, _)"),
        "what `$NAME` refers to",
        needed=True,
    ),
    "type": Field(Word(TYPE_NAMES, OTHER_TYPES), "type of its values", default="string"),
    "description": Field(Text(), "one sentence for people", default=""),
    "words": Field(
        ListOf(Text(pattern=r"\S+", label="a word"), 1, 1000), "values of a discrete one"
    ),
    "range": Field(Pair(), "values of a number that are taken"),
    "pattern": Field(Expression(), "what text has to match, all of it"),
    "default": Field(Value(), "its value if it is left out; those after it need one too"),
}

REQUEST_FIELDS = {
    "for": _FOR,
    "description": Field(Text(), "what it does: the help of the request", needed=True),
    "arguments": Field(
        ListOf(Group(ARGUMENT_FIELDS, {**_SENSOR_OTHERS, "value": "default", "limits": "range"})),
        "its arguments, in their order",
    ),
    **_DONE,
    "sets": Field(
        Either(
            (
                Named(Value(), name_label="the name of a sensor"),
                Text(label="the name of a sensor"),
            )
        ),
        "sensors that it sets, each with a value, in which `$NAME` stands for an argument and "
        "`$output` for what `runs` wrote; or one sensor, which gets the only argument",
    ),
    "replies": Field(
        Either((ListOf(Text()), Text())),
        "arguments of the reply, after `ok`; `$NAME` and `$output` as above",
    ),
}
_REQUEST_OTHERS = {
    "help": "description",
    "desc": "description",
    "args": "arguments",
    "parameters": "arguments",
    "params": "arguments",
    "set": "sets",
    "reply": "replies",
    "returns": "replies",
    "run": "runs",
    "command": "runs",
    "fail": "fails",
    "delay": "takes",
}

DEVICE = Group(
    {
        "name": Field(
            Text(pattern=r"[A-Za-z0-9._\-]+", label="a name (letters, digits, . _ -)"),
            "name of its interface, in the version information",
            needed=True,
        ),
        "version": Field(
            Text(pattern=r"[0-9]{1,9}\.[0-9]{1,9}", label="MAJOR.MINOR, such as 1.0"),
            "version of its interface",
            default="0.1",
        ),
        "build": Field(
            Text(pattern=r"[^\x00-\x20\x7f]+", label="text without spaces"),
            "name and version of its software; by default like `NAME-VERSION`",
        ),
    },
    {"title": "name", "api": "version", "api-version": "version"},
)


def _request_name(name: str) -> str | None:
    if name in _BASE:
        return f"every device has a request ?{name}; it cannot be another one"
    return None


_BASE = frozenset(DeviceServer._request_handlers)  # noqa: SLF001  # a documented name


_SENSOR = Defined("sensor", Group(SENSOR_FIELDS, _SENSOR_OTHERS))
_REQUEST = Defined("request", Group(REQUEST_FIELDS, _REQUEST_OTHERS))
SENSORS = Named(_SENSOR, SENSOR_NAME, "the name of a sensor")
REQUESTS = Named(_REQUEST, REQUEST_NAME, "the name of a request", _request_name)

#: The sections of a file: (form, what it is, whether it is needed).
SECTIONS: dict[str, Field] = {
    "device": Field(DEVICE, "what the device is", needed=True),
    "sensors": Field(SENSORS, "its sensors, by name"),
    "requests": Field(REQUESTS, "its requests, by name"),
}
_DEFINED = (
    _SENSOR,
    _REQUEST,
    Defined("source", _SOURCE),
    Defined("fails", _FAILS),
    Defined("runs", _RUNS),
    VARIABLE,
)
OTHER_SECTIONS = {
    "sensor": "sensors",
    "request": "requests",
    "commands": "requests",
    "server": "device",
    "katcp": "device",
}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of device files.

    What it cannot say is checked all the same when a file is read: that sensors which are
    referred to exist, that values are of the type of their sensor, and so on.
    """
    result = Group(SECTIONS).schema()
    for section, pattern in (("sensors", SENSOR_NAME), ("requests", REQUEST_NAME)):
        found = result["properties"][section]
        (item,) = found["patternProperties"].values()
        # Names of templates have variables in them.
        found["patternProperties"] = {
            f"^(?:{pattern})$": item,
            r"^[A-Za-z0-9._\-${}]*\$[A-Za-z0-9._\-${}]*$": item,
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Device file",
        "description": "A KATCP device that katcp-server serves, as YAML or TOML.",
        **result,
        "$defs": {known.name: known.form.schema() for known in _DEFINED},
    }
