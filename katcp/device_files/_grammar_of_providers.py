"""What a device file may say of endpoints: providers, such as stores, and what belongs to them.

The keys are the options of the classes of `katcp.endpoints`, by their names there.
"""

from __future__ import annotations

from typing import Any

from katcp.device_files._forms import VARIABLE, Defined, Number, Switch, Text, Value, Word
from katcp.device_files._forms_of_many import Either, Field, Group, ListOf, Named, Pair
from katcp.device_files._grammar_of_templates import FOR_FIELD
from katcp.device_files._values import OTHER_TYPES

#: Types that the value of an endpoint can have.
VALUE_TYPE_NAMES = ("string", "float", "integer", "boolean", "discrete", "timestamp")

#: The name of an endpoint, and of a node.
ENDPOINT_NAME = r"[A-Za-z0-9_\-]+"


class _Name(Text):
    """The name of an endpoint; that of a template has variables in it."""

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {"anyOf": [super().schema(), VARIABLE.schema()]}


_NAME = _Name(pattern=ENDPOINT_NAME, label="a name (letters, digits, _ -)")
_TIME = Number(low=0.0)
_LIMIT = Number(low=0.0)

_COMMON = {
    "description": Field(Text(), "one sentence for people", default=""),
    "calibration": Field(
        Either((Text(longest=1000), Named(Value(), name_label="a raw value"))),
        "makes the calibrated value of the raw one: an expression such as `2.5 * {} + 4`, or a "
        "table of raw values, ranges such as `0..5` and `default`",
    ),
    "calibration_errors": Field(
        Word(("fail", "omit")),
        "what becomes of a reading that cannot be calibrated: it fails, or has the raw value only",
        default="fail",
    ),
    "calibration_settable": Field(
        Switch(), "whether clients may replace the calibration, by `?configure`", default=False
    ),
    "units": Field(Text(longest=100), "of the value; of the calibrated one if there is one"),
    "raw_units": Field(Text(longest=100), "of the raw value, if there is a calibration"),
    "get_on_set": Field(
        Switch(), "whether it is read after it was set, for the reply to `?set`", default=False
    ),
    "conditions": Field(
        Named(Value(), r"-?[0-9]{1,9}", "the number of a condition"),
        "numbers of conditions, each with the value that is set then (`?set-condition`)",
    ),
    "timeout": Field(
        Number(above=0.0, high=86_400),
        "longest time that getting and setting may take [s]",
        default=60.0,
    ),
}

KEY_FIELDS = {
    "for": FOR_FIELD,
    "name": Field(_NAME, "its name, without those of what it is part of", needed=True),
    "module": Field(
        Word(
            ("kv_store_key", "derived"),
            {"store_key": "kv_store_key", "storekey": "kv_store_key", "key": "kv_store_key"},
        ),
        "what it is: a key, which holds what it was set to; or derived, computed from others",
        default="kv_store_key",
    ),
    "initial_value": Field(
        Value(), "what a key holds before it is set; without it its status is `unknown`"
    ),
    "expression": Field(
        Text(longest=1000),
        "how a derived endpoint is computed, with names of others in braces: `{volts} * {amps}`",
    ),
    "type": Field(
        Word(VALUE_TYPE_NAMES, OTHER_TYPES),
        "type of its value; `string` by default, of a derived endpoint `float`",
    ),
    "range": Field(Pair(), "values of a number that are taken"),
    "words": Field(
        ListOf(Text(pattern=r"\S+", label="a word"), 1, 1000), "values of a discrete one"
    ),
    "raw_type": Field(
        Word(VALUE_TYPE_NAMES, OTHER_TYPES),
        "type of what is set, if there is a calibration; `string` by default",
    ),
    **_COMMON,
    "quantum": Field(
        Number(above=0.0), "numbers are rounded down to a multiple of this when they are set"
    ),
    "log_on_set": Field(
        Switch(), "whether each successful set sends an alert to subscribers", default=False
    ),
    "schedule_interval": Field(_TIME, "time between two checks [s]; 0: none", default=0),
    "log_interval": Field(_TIME, "the same, and stronger"),
    "schedule_status": Field(
        Switch(), "`on`: it is checked every `schedule_interval`", default=False
    ),
    "logging_status": Field(Switch(), "the same, and stronger"),
    "delay_start": Field(
        Switch(), "whether the first check is one interval after the start", default=False
    ),
    "max_interval": Field(
        _TIME, "a check sends an alert if none was sent for longer than this [s]", default=0
    ),
    "max_fractional_change": Field(
        _LIMIT,
        "a check sends an alert if the value has changed by more than this share since the last "
        "one, 0.1 for 10 %. If this and `max_interval` are 0, each check does",
        default=0,
    ),
    "max_absolute_change": Field(_LIMIT, "the same by the difference", default=0),
    "check_field": Field(
        Word(("value_raw", "value_cal")), "which value these compare", default="value_raw"
    ),
    "alert_routing_key": Field(
        Text(pattern=r"[^\s.*#]+(\.[^\s.*#]+)*", label="words with dots between them"),
        "how the routing key of its alerts begins; its name follows",
        default="sensor_value",
    ),
}

_OTHERS = {
    "unit": "units",
    "desc": "description",
    "help": "description",
    "initial": "initial_value",
    "value": "initial_value",
    "default": "initial_value",
    "cal": "calibration",
    "interval": "schedule_interval",
    "limits": "range",
    "params": "range",
    "options": "words",
    "class": "module",
}

ENDPOINT = Defined("endpoint", Group(KEY_FIELDS, _OTHERS))

STORE_FIELDS = {
    "for": FOR_FIELD,
    "name": Field(_NAME, "its name; the addresses of its endpoints begin with it", needed=True),
    "module": Field(
        Word(("kv_store",), {"store": "kv_store", "keyvaluestore": "kv_store"}),
        "what it is: a store of keys",
        default="kv_store",
    ),
    "endpoints": Field(
        ListOf(ENDPOINT, 0, 100_000),
        "what belongs to it, in this order",
    ),
    **_COMMON,
}

PROVIDER = Defined("provider", Group(STORE_FIELDS, {**_OTHERS, "keys": "endpoints"}))
PROVIDERS = ListOf(PROVIDER, 0, 10_000)
