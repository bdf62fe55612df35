"""The key that makes an entry a template, as the grammar has it; `_templates` fills them in."""

from __future__ import annotations

from katcp.device_files._forms import Text, Value
from katcp.device_files._forms_of_many import Either, Field, ListOf, Named

FOR_FIELD = Field(
    Named(
        Either((ListOf(Value(), 1), Text(pattern=r"-?[0-9]+\.\.-?[0-9]+", label="a range"))),
        r"[a-z][a-z0-9_]*",
        "a variable",
    ),
    "makes it a template: variables, each with a range such as `1..16` or a list of values. `$n` "
    "or `${n}` in name and values stands for each of them in turn",
)
