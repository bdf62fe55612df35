"""What is wrong with a device file is told all at once, with its place and a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from katcp.device_files import DeviceFileError, read_device_file
from tests.device_files.device import write, wrong

FLOAT = "sensors:\n  a: {type: float}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "d.yaml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sensor: {}", ["2:1: unknown section 'sensor' (did you mean 'sensors'?)"]),
        ("zoo: {}", ["2:1: unknown section 'zoo'; there are device, sensors, requests, providers"]),
        ("sensors: 3", ["2:10: this has to be a table, not '3'"]),
        ("sensors:", ["2:9: this has to be a table, not nothing"]),
        (
            "sensors:\n  a: {type: flaot}",
            [
                "3:13: this has to be integer, float, boolean, lru, discrete, string, timestamp or "
                "address, not 'flaot' (did you mean 'float'?)"
            ],
        ),
        ("sensors:\n  a: {type: float, unit: K}",
         ["3:20: unknown key 'unit' (did you mean 'units'?)"]),
        ("sensors:\n  a: {units: K}", ["3:6: 'type' is missing here: type of its values"]),
        ("sensors:\n  'a b': {type: float}", ["3:3: 'a b' cannot be the name of a sensor"]),
        ("sensors:\n  a: {type: discrete}",
         ["3:13: a discrete type needs 'words', a list of them"]),
        ("sensors:\n  a: {type: float, words: [x]}",
         ["3:27: only a discrete type has words, not float"]),
        ("sensors:\n  a: {type: discrete, words: [x, x]}", ["3:30: a word is here twice"]),
        ("sensors:\n  a: {type: discrete, words: [on, off], initial: of}",
         ["3:50: 'of' is not one of on, off (did you mean 'off'?)"]),
        ("sensors:\n  a: {type: integer, initial: 1.5}", ["3:31: '1.5' is no integer"]),
        ("sensors:\n  a: {type: boolean, initial: maybe}",
         ["3:31: 'maybe' is neither true nor false"]),
        ("sensors:\n  a: {type: timestamp, units: s}",
         ["3:31: a timestamp has no units: it is in seconds"]),
        ("sensors:\n  a: {type: float, warn: [1, 2]}",
         ["3:26: 'warn' needs 'nominal', the range inside it"]),
        ("sensors:\n  a: {type: float, nominal: [0, 5], warn: [1, 6]}",
         ["3:43: the range 'warn' has to contain 'nominal'"]),
        ("sensors:\n  a: {type: float, nominal: [5, 0]}",
         ["3:29: the lowest, 5, is above the highest, 0"]),
        ("sensors:\n  a: {type: integer, nominal: [0.5, 1]}",
         ["3:31: the range of an integer has whole numbers"]),
        ("sensors:\n  a: {type: string, nominal: [0, 1]}",
         ["3:30: a string has no range; numbers have"]),
        ("sensors:\n  a: {type: boolean, statuses: {yes: bad}}",
         ["3:38: this has to be unknown, nominal, warn, error, failure, unreachable or inactive, "
          "not 'bad'"]),
        ("sensors:\n  a: {type: float, source: {sine: {perid: 3}}}",
         ["3:36: unknown key 'perid' (did you mean 'period'?)"]),
        ("sensors:\n  a: {type: float, source: {sine: {}, noise: {}}}",
         ["3:28: one of these is needed: constant, sine, ramp, square, random-walk, noise, steps, "
          "follow, command, file or sensor"]),
        ("sensors:\n  a: {type: float, source: {sine: {period: 0}}}",
         ["3:44: this has to be a number above 0, not '0'"]),
        ("sensors:\n  a: {type: boolean, source: {sine: {}}}",
         ["3:31: a sine is for numbers; for a boolean there is 'steps'"]),
        ("sensors:\n  a: {type: string, source: {steps: {}}}",
         ["3:30: steps of a string need 'values'"]),
        ("sensors:\n  a: {type: float, source: {follow: {sensor: b}}}",
         ["3:46: no sensor 'b'"]),
        ("sensors:\n  a: {type: float, source: {follow: {sensor: a}}}",
         ["3:46: a sensor cannot follow itself"]),
        ("sensors:\n  a: {type: float, initial: 1, source: {constant: 2}}",
         ["3:29: a constant is the first value too: leave this out"]),
        ("sensors:\n  a: {type: float, source: {command: {run: ls}}}",
         ["3:44: this has to be a list of words; a text is for 'shell: true'"]),
        ("sensors:\n  a: {type: float, source: {command: {run: [ls], shell: true}}}",
         ["3:44: for a shell this has to be one text"]),
        ("sensors:\n  a: {type: float, source: {file: {path: x, regex: '('}}}",
         ["3:52: not a regular expression: missing ), unterminated subpattern at position 0"]),
        ("sensors:\n  a: {type: string, source: {file: {path: x, scale: 2}}}",
         ["3:53: a string has no scale; numbers have"]),
        ("sensors:\n  a: {type: float, source: {sensor: {device: h, name: x}}}",
         ["3:46: this has to be HOST:PORT, not 'h'"]),
        ("sensors:\n  a: {type: float, source: {sensor: {device: 'h:0', name: x}}}",
         ["3:46: 0 is no port; 1 to 65535 are"]),
        ("sensors:\n  a: {type: float, settable: true, source: {noise: {}}}",
         ["3:30: its source would overwrite what is set; with 'runs' a command can set it"]),
        ("sensors:\n  a.b: {type: float, settable: true}\n  a_b: {type: float, settable: true}",
         ["4:32: ?set-a-b would set 'a.b' as well"]),
        ("requests:\n  halt: {description: x}",
         ["3:3: every device has a request ?halt; it cannot be another one"]),
        ("requests:\n  x: {}", ["3:6: 'description' is missing here: what it does: the help of the "
                                "request"]),
        ("requests:\n  x: {description: x, replies: $y}", ["3:32: no argument '$y'"]),
        ("requests:\n  x: {description: x, arguments: [{name: speed}], replies: [$sped]}",
         ["3:60: no argument '$sped' (did you mean '$speed'?)"]),
        ("requests:\n  x: {description: x, arguments: [{name: a}, {name: a}]}",
         ["3:53: 'a' is the name of another one"]),
        ("requests:\n  x: {description: x, arguments: [{name: a, default: 1}, {name: b}]}",
         ["3:65: it needs a default, since the one before it has one"]),
        ("requests:\n  x: {description: x, arguments: [{name: a, type: float, range: [1, 2], "
         "default: 3}]}", ["3:82: the default is outside the range"]),
        (FLOAT + "requests:\n  x: {description: x, sets: a}",
         ["5:29: one sensor gets the only argument; with more or fewer, write SENSOR: $NAME"]),
        (FLOAT + "requests:\n  x: {description: x, sets: {b: 1}}", ["5:30: no sensor 'b'"]),
        (FLOAT + "requests:\n  x: {description: x, sets: {a: x}}", ["5:33: 'x' is no number"]),
        (FLOAT + "requests:\n  x: {description: x, arguments: [{name: y, type: boolean}], "
         "sets: a}", ["5:68: 'a' is a float, $y a boolean"]),
        (FLOAT + "requests:\n  x: {description: x, fails: [{when: {a: x}, text: no}]}",
         ["5:42: 'x' is no number"]),
    ],
)  # fmt: skip
def test_problems(path: Path, text: str, said: list[str]) -> None:
    assert wrong(path, text) == said


def test_all_at_once_in_the_order_of_the_file(path: Path) -> None:
    text = """\
        sensors:
          a: {type: float, unit: K}
          b: {type: intger}
        requests:
          x: {descripton: y}
    """
    found = [line.split(": ")[0] for line in wrong(path, text)]
    assert found == ["3:20", "4:13", "6:6", "6:7"]


def test_many_problems_are_not_all_told(path: Path) -> None:
    text = "sensors:\n" + "".join(f"  s{n}: {{type: x}}\n" for n in range(80))
    lines = wrong(path, text)
    assert len(lines) == 51
    assert lines[-1].endswith(": and 30 more")


def test_nothing_is_told_that_only_follows(path: Path) -> None:
    text = """\
        sensors:
          a: {type: floot, settable: true}
        requests:
          x:
            description: y
            arguments: [{name: z, type: intger}]
            sets: {a: $z}
            fails: [{when: {a: 3}, text: $z}]
    """
    assert [line.split(": ")[0] for line in wrong(path, text)] == ["3:13", "7:33"]


def test_toml_names_without_quotation_marks(tmp_path: Path) -> None:
    path = tmp_path / "d.toml"
    assert wrong(path, '[sensors.a.b]\ntype = "float"\n', '[device]\nname = "x"\n') == [
        '3:12: a name with dots has to be in quotation marks here: "a.b"'
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("d.ini", b"", "d.ini:1:1: the name of a device file ends with .yaml, .yml, .toml"),
        ("d.yaml", b"a: \xff", "d.yaml:1:4: a byte that is no UTF-8"),
        ("d.yaml", b"[1]", "d.yaml:1:1: a device file is a table with the key 'device'"),
        ("d.yaml", b"#" * 5_000_000, "d.yaml:1:1: the file is longer than 4 MiB"),
        ("d.yaml", b"", "d.yaml:1:1: the section 'device' is missing: what the device is"),
        ("none.yaml", None, "none.yaml:1:1: cannot read it: No such file or directory"),
    ],
)
def test_files(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DeviceFileError) as caught:
        read_device_file(tmp_path / name)
    assert [line.removeprefix(f"{tmp_path}/") for line in caught.value.lines()] == [said]


def test_control_characters_are_seen_not_obeyed(path: Path) -> None:
    (line,) = wrong(path, 'sensors:\n  "a\\e[2J\\nb": {type: float}\n')
    assert line == r"3:3: 'a\x1b[2J\nb' cannot be the name of a sensor"


def test_templates(path: Path) -> None:
    spec = read_device_file(
        write(
            path,
            """\
            sensors:
              dish$n.temp:
                for: {n: 08..11}
                type: float
                description: Dish $n costs $$5
                source: {noise: {mean: $n, seed: x$n}}
              ${where}.${what}-on:
                for: {where: [roof, cellar], what: [pump, fan]}
                type: boolean
            requests:
              reset-$n:
                for: {n: 1..2}
                description: Reset dish $n.
                arguments: [{name: how}]
                replies: [$n, $how]
            """,
        )
    )
    assert list(spec.sensors) == [
        "dish08.temp",
        "dish09.temp",
        "dish10.temp",
        "dish11.temp",
        "roof.pump-on",
        "roof.fan-on",
        "cellar.pump-on",
        "cellar.fan-on",
    ]
    source = spec.sensors["dish11.temp"].source
    assert source is not None
    assert dict(source.options)["mean"] == 11  # type: ignore[union-attr]
    assert dict(source.options)["seed"] == "x11"  # type: ignore[union-attr]
    assert [phrase.text for phrase in spec.requests["reset-2"].replies] == ["2", "$how"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  a: {for: {n: 1..3}, type: float}",
         "3:3: the name has to differ between the copies: $n is not in 'a'"),
        ("  a$n: {for: 3, type: float}",
         "3:14: 'for' takes a table of variables, such as {n: 1..16}"),
        ("  a$n: {for: {n: 3..1}, type: float}", "3:18: the range ends before it begins: '3..1'"),
        ("  a$n: {for: {n: x}, type: float}",
         "3:18: a variable takes a range such as 1..16, or a list of values"),
        ("  a$n: {for: {n: 1..999999999}, type: float}",
         "3:18: more than 100000 entries, with those of templates"),
        ("  a$n$m$k: {for: {n: 1..999, m: 1..999, k: 1..999}, type: float}",
         "3:18: more than 100000 entries, with those of templates"),
        ("  a1: {type: float}\n  a$n: {for: {n: 1..2}, type: float}",
         "4:3: 'a1' is there already, by line 3"),
    ],
)  # fmt: skip
def test_templates_that_are_none(path: Path, text: str, said: str) -> None:
    assert wrong(path, f"sensors:\n{text}") == [said]
