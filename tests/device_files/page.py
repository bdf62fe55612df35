"""The reference page of device files, made of the tables that files are checked by.

``python -m tests.device_files.page`` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from katcp.device_files import _grammar as grammar
from katcp.device_files import _grammar_of_providers as providers
from katcp.device_files._forms import Defined, Form, Value
from katcp.device_files._forms_of_many import Either, Field, Group, ListOf, Named

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "device-file.md"

HEAD = """\
# Device files

What a device file may say, key by key; [](../how-to/device-files.md) shows how to write one. The
file is YAML (`.yaml`, `.yml`) or TOML (`.toml`), in UTF-8, of 4 MiB at most.

`katcp-server schema` prints a JSON Schema of it, which is
[`device-file.schema.json`](../../katcp/device_files/device-file.schema.json) in the package
`katcp.device_files`. `katcp-server --check FILE` checks more than a schema can, and tells file,
line and column of everything that is wrong.

YAML is read without tags. Aliases and `<<` work; what they stand for is counted, up to 500,000
values. Nesting goes to 50 levels. `yes`, `no`, `on` and `off` are switches like `true` and `false`,
but where a word is wanted they are words. In TOML, names with dots stand in quotation marks:
`[sensors."air.temperature"]`.
"""

SECTIONS: list[tuple[str, str, Mapping[str, Field]]] = [
    ("device", "What the device is.", grammar.DEVICE.fields),
    ("sensors", "Under `sensors`, each name has a table.", grammar.SENSOR_FIELDS),
    ("requests", "Under `requests`, each name has a table.", grammar.REQUEST_FIELDS),
    ("arguments", "Each item of the `arguments` of a request.", grammar.ARGUMENT_FIELDS),
    (
        "providers",
        "Under `providers`, a list of tables; [](../how-to/key-value-store.md) tells more.",
        providers.STORE_FIELDS,
    ),
    ("endpoints", "Each item of the `endpoints` of a provider.", providers.KEY_FIELDS),
]


def kind(form: Form) -> str:
    """Return what a value is, for a table."""
    if isinstance(form, Defined):
        return kind(form.form)
    if isinstance(form, Either):
        return " or ".join(dict.fromkeys(kind(each) for each in form.forms))
    if isinstance(form, ListOf):
        return f"list of: {kind(form.item)}"
    if isinstance(form, (Group, Named)):
        return "table"
    if isinstance(form, Value):
        return "value"
    return form.label.removeprefix("a list of two numbers, ")


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def table(fields: Mapping[str, Field]) -> Iterator[str]:
    yield "| Key | Takes | Default | Meaning |"
    yield "|---|---|---|---|"
    for name, known in fields.items():
        default = "needed" if known.needed else ""
        if known.default not in (None, ""):
            default = f"`{known.default!s}`".replace("False", "false")
        yield f"| `{name}` | {cell(kind(known.form))} | {default} | {cell(known.text)} |"
    yield ""


def inner(form: Form) -> Mapping[str, Field]:
    """Return the fields of the table that a form is, or has among others."""
    if isinstance(form, Defined):
        return inner(form.form)
    if isinstance(form, ListOf):
        return inner(form.item)
    if isinstance(form, Either):
        return next((found for each in form.forms if (found := inner(each))), {})
    return form.fields if isinstance(form, Group) else {}


def page() -> str:
    """Return the page."""
    lines = [HEAD]
    for name, text, fields in SECTIONS:
        lines += [f"## {name}", "", text, "", *table(fields)]
        if name == "sensors":
            lines += [
                "### source",
                "",
                "A table with just one of these keys, each a table of its own.",
                "",
            ]
            for source, known in inner(fields["source"].form).items():
                lines += [f"#### {source}", "", known.text.capitalize() + ".", ""]
                found = inner(known.form)
                lines += table(found) if found else []
            lines += ["### settable", "", "As a table:", "", *table(inner(fields["settable"].form))]
        if name == "requests":
            lines += ["### fails", "", "Each item:", "", *table(inner(fields["fails"].form))]
            lines += ["### runs", "", "As a table:", "", *table(inner(fields["runs"].form))]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
