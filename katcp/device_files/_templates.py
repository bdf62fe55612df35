"""Entries that stand for many: ``for: {n: 1..16}`` and ``$n`` in names and values."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

from katcp.device_files._problems import Problems, quoted
from katcp.device_files._spec import REFERENCE
from katcp.device_files._tree import Entry, Node, Scalar, Sequence, Table, plain

#: The key of a template.
FOR = "for"
#: Most entries of one section, with those that templates make.
MAX_ENTRIES = 100_000
#: Most nodes that the templates of a section may make.
_MAX_MADE = 3_000_000

_RANGE = re.compile(r"(-?[0-9]{1,9})\.\.(-?[0-9]{1,9})", re.ASCII)
_VARIABLE = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


def expand(section: Table, problems: Problems) -> Table:
    """Return a section with what its templates stand for.

    Two entries of one name are complained of.
    """
    entries: dict[str, Entry] = {}
    made = 0
    for entry in section.entries:
        template = entry.node.get(FOR) if isinstance(entry.node, Table) else None
        copies = [(entry, {})] if template is None else _copies(entry, template, problems)
        if template is not None:
            made += len(copies) * _size(entry.node)
        if len(entries) + len(copies) > MAX_ENTRIES or made > _MAX_MADE:
            problems.add(entry.place, f"more than {MAX_ENTRIES} entries, with those of templates")
            break
        for copy in itertools.starmap(_filled, copies):
            if copy.name in entries:
                first = entries[copy.name].place.line
                problems.add(copy.place, f"{quoted(copy.name)} is there already, by line {first}")
            else:
                entries[copy.name] = copy
    return replace(section, entries=tuple(entries.values()))


def expand_list(items: Sequence, problems: Problems) -> Sequence:
    """Return a list of tables with what its templates stand for, those of lists inside included.

    Tables have their names by the key ``name``.
    """
    found: list[Node] = []
    made = 0
    for item in items.items:
        if isinstance(item, Table):
            item = replace(item, entries=tuple(_inside(e, problems) for e in item.entries))
        template = item.get(FOR) if isinstance(item, Table) else None
        name = item.get("name") if isinstance(item, Table) else None
        if template is None or not isinstance(name, Scalar):
            found.append(item)
            continue
        copies = _copies(Entry(name.text, name.place, item), template, problems)
        made += len(copies) * _size(item)
        if len(found) + len(copies) > MAX_ENTRIES or made > _MAX_MADE:
            problems.add(item.place, f"more than {MAX_ENTRIES} entries, with those of templates")
            break
        found += [_filled(*copy).node for copy in copies]
    return replace(items, items=tuple(found))


def _inside(entry: Entry, problems: Problems) -> Entry:
    if entry.name == "endpoints" and isinstance(entry.node, Sequence):
        return replace(entry, node=expand_list(entry.node, problems))
    return entry


#: An entry and what its variables stand for.
_Copy = tuple[Entry, dict[str, str]]


def _copies(entry: Entry, template: Node, problems: Problems) -> list[_Copy]:
    """Return one copy for each combination of values, not filled in yet."""
    if not isinstance(template, Table) or not template.entries:
        problems.add(template.place, "'for' takes a table of variables, such as {n: 1..16}")
        return []
    values: list[list[str]] = []
    count = 1
    for variable in template.entries:
        if _VARIABLE.fullmatch(variable.name) is None:
            problems.add(variable.place, f"{quoted(variable.name)} cannot be a variable")
            return []
        found = _values(variable.node, problems)
        if not found:
            return []
        count *= len(found)
        if count > MAX_ENTRIES:
            problems.add(
                template.place, f"more than {MAX_ENTRIES} entries, with those of templates"
            )
            return []
        values.append(found)
    names = [variable.name for variable in template.entries]
    unused = set(names) - _referred(entry.name)
    if unused:
        problems.add(
            entry.place,
            f"the name has to differ between the copies: ${sorted(unused)[0]} is not in "
            f"{quoted(entry.name)}",
        )
        return []
    assert isinstance(entry.node, Table)
    bare = replace(entry, node=entry.node.without(FOR))
    return [(bare, dict(zip(names, each, strict=True))) for each in itertools.product(*values)]


def _values(node: Node, problems: Problems) -> list[str]:
    if isinstance(node, Sequence) and all(isinstance(item, Scalar) for item in node.items):
        if not node.items:
            problems.add(node.place, "an empty list makes no entries")
        return [item.text for item in node.items if isinstance(item, Scalar)]
    found = _RANGE.fullmatch(node.text) if isinstance(node, Scalar) else None
    if found is None:
        problems.add(node.place, "a variable takes a range such as 1..16, or a list of values")
        return []
    first, last = int(found[1]), int(found[2])
    if last < first:
        problems.add(node.place, f"the range ends before it begins: {quoted(found[0])}")
        return []
    if last - first >= MAX_ENTRIES:
        problems.add(node.place, f"more than {MAX_ENTRIES} entries, with those of templates")
        return []
    # As in shells: 01..16 has leading zeros.
    width = len(found[1]) if found[1].startswith("0") and len(found[1]) > 1 else 0
    return [f"{number:0{width}d}" for number in range(first, last + 1)]


def _referred(text: str) -> set[str]:
    return {m["plain"] or m["braced"] or "" for m in REFERENCE.finditer(text)}


def _size(node: Node) -> int:
    if isinstance(node, Scalar):
        return 1
    parts = [entry.node for entry in node.entries] if isinstance(node, Table) else list(node.items)
    return 1 + sum(_size(part) for part in parts)


def _filled(entry: Entry, values: dict[str, str]) -> Entry:
    if not values:
        return entry
    return replace(entry, name=_fill(entry.name, values), node=_fill_node(entry.node, values))


def _fill(text: str, values: dict[str, str]) -> str:
    """Return the text with the values; other references, and ``$$``, are left as they are."""
    return REFERENCE.sub(lambda m: values.get(m["plain"] or m["braced"] or "", m[0]), text)


def _fill_node(node: Node, values: dict[str, str]) -> Node:
    if isinstance(node, Scalar):
        if "$" not in node.text:
            return node
        text = _fill(node.text, values)
        # What is nothing but a variable is what its value looks like: a number, say.
        whole = REFERENCE.fullmatch(node.text) is not None and text != node.text
        return plain(node.place, text) if whole else Scalar(node.place, text, text)
    if isinstance(node, Sequence):
        return replace(node, items=tuple(_fill_node(item, values) for item in node.items))
    return replace(
        node,
        entries=tuple(
            replace(e, name=_fill(e.name, values), node=_fill_node(e.node, values))
            for e in node.entries
        ),
    )
