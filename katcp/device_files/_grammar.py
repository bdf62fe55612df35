"""What a device file may say: its sections, their keys, and what each of them takes.

From these tables come the check, the published schema and the tables of the reference page. Where
values of sensors come from is in `_grammar_of_sources`.
"""

from __future__ import annotations

from typing import Any

from katcp.device_files._forms import (
    VARIABLE,
    Defined,
    Expression,
    Number,
    Switch,
    Text,
    Value,
    Word,
)
from katcp.device_files._forms_of_many import Either, Field, Group, ListOf, Named, Pair
from katcp.device_files._grammar_of_providers import ENDPOINT, ENDPOINT_NAME, PROVIDER, PROVIDERS
from katcp.device_files._grammar_of_sources import COMMAND_LINE, SHELL, SOURCE, TIMEOUT
from katcp.device_files._grammar_of_templates import FOR_FIELD
from katcp.device_files._values import OTHER_TYPES, TYPE_NAMES
from katcp.sensors import STATUS_NAMES
from katcp.server import DeviceServer

#: Where the schema says it is from.
SCHEMA_ID = "https://katcp.invalid/schemas/device-file-1.json"

STATUS_WORDS = tuple(STATUS_NAMES)

SENSOR_NAME = r"[A-Za-z0-9._\-]+"
REQUEST_NAME = r"[a-zA-Z][a-zA-Z0-9\-]*"
ARGUMENT_NAME = r"[a-z][a-z0-9_]*"

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
                "shell": SHELL,
                "timeout": TIMEOUT,
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

SENSOR_FIELDS = {
    "for": FOR_FIELD,
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
    "source": Field(Defined("source", SOURCE), "where its values come from"),
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
    "for": FOR_FIELD,
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
        "node": Field(
            Text(pattern=ENDPOINT_NAME, label="a name (letters, digits, _ -)"),
            "first name of the addresses of its endpoints; by default `name`, if that can be one",
        ),
        "persist": Field(
            Text(pattern=r"[^\0]+", label="a path"),
            "file, from the directory of the device file, in which the values of stores and the "
            "locks are kept, so that they are there after a restart",
        ),
        "flush-interval": Field(
            Number(low=0.01, high=3600),
            "longest time for which a value that was set is not in that file [s]",
            default=1.0,
        ),
    },
    {
        "title": "name",
        "api": "version",
        "api-version": "version",
        "database": "persist",
        "flush_interval": "flush-interval",
    },
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
    "device": Field(DEVICE, "what the device is; needed, unless there are `providers`"),
    "sensors": Field(SENSORS, "its sensors, by name"),
    "requests": Field(REQUESTS, "its requests, by name"),
    "providers": Field(PROVIDERS, "its endpoints: stores of keys that clients can set"),
}
#: One of these has to be there.
NEEDED = ("device", "providers")
_DEFINED = (
    _SENSOR,
    _REQUEST,
    Defined("source", SOURCE),
    Defined("fails", _FAILS),
    Defined("runs", _RUNS),
    PROVIDER,
    ENDPOINT,
    VARIABLE,
)
OTHER_SECTIONS = {
    "sensor": "sensors",
    "request": "requests",
    "commands": "requests",
    "server": "device",
    "katcp": "device",
    "provider": "providers",
    "endpoints": "providers",
    "stores": "providers",
}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of device files.

    What it cannot say is checked all the same when a file is read: that sensors which are
    referred to exist, that values are of the type of their sensor, and so on.
    """
    result = Group(SECTIONS).schema()
    result["anyOf"] = [{"required": [section]} for section in NEEDED]
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
