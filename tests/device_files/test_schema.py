"""The published schema is what the package checks by, and agrees with it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from katcp.device_files import DeviceFileError, read_device_file, schema
from katcp.device_files._toml import parse_toml
from katcp.device_files._tree import FileError, data
from katcp.device_files._yaml import parse_yaml
from tests.device_files.mutants import SEEDS, mutants
from tests.device_files.page import PAGE, page

PUBLISHED = "device-file.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(schema())


def test_published_schema_is_the_present_one() -> None:
    published = files("katcp.device_files").joinpath(PUBLISHED).read_text(encoding="utf-8")
    assert published == json.dumps(schema(), indent=2) + "\n", (
        f"katcp-server schema > katcp/device_files/{PUBLISHED}"
    )


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_examples_pass(path: Path) -> None:
    parse = parse_toml if path.suffix == ".toml" else parse_yaml
    assert not list(VALIDATOR.iter_errors(data(parse(path.read_text(encoding="utf-8")))))


@pytest.mark.slow
def test_what_is_read_passes_it(tmp_path: Path) -> None:
    passed = 0
    for number, (suffix, content) in enumerate(mutants(200, seed=20)):
        path = tmp_path / f"m{number}{suffix}"
        path.write_bytes(content)
        try:
            read_device_file(path)
            text = content.decode("utf-8-sig")
            tree = data(parse_toml(text) if suffix == ".toml" else parse_yaml(text))
        except (DeviceFileError, FileError):
            continue
        assert not list(VALIDATOR.iter_errors(tree)), content
        passed += 1
    assert passed > 10


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "device: {}",
        "device: {name: 'a b'}",
        "device: {name: x}\nsensor: {}",
        "device: {name: x}\nsensors: {a: {type: flaot}}",
        "device: {name: x}\nsensors: {a: {type: float, unit: K}}",
        "device: {name: x}\nsensors: {'a b': {type: float}}",
        "device: {name: x}\nsensors: {a: {type: float, source: {sine: {}, noise: {}}}}",
        "device: {name: x}\nsensors: {a: {type: float, nominal: [1]}}",
        "device: {name: x}\nrequests: {a: {}}",
    ],
)
def test_what_it_refuses_is_refused(tmp_path: Path, text: str) -> None:
    assert list(VALIDATOR.iter_errors(data(parse_yaml(text))))
    path = tmp_path / "d.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DeviceFileError):
        read_device_file(path)


def test_reference_page_is_the_present_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.device_files.page"
