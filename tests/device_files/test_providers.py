"""The section `providers`: endpoints of a file, and what a change of the file does to them."""

from __future__ import annotations

import logging
import textwrap
from pathlib import Path
from typing import Any

import pytest

from katcp.device_files import _grammar_of_providers as grammar
from katcp.device_files import device_class, read_device_file
from katcp.device_files._providers import request_names
from katcp.endpoints import DerivedEndpoint, KeyValueStore, StoreKey
from katcp.endpoints._values import VALUE_TYPES
from katcp.storage import StorageError
from tests.device_files.device import served, write, wrong
from tests.helpers.serving import serving, talking, until

#: As the page of the store has it, with a blank after each dash.
SEED = """\
providers:
  - name: kv_example
    module: kv_store
    endpoints:
      - name: foo
        module: kv_store_key
      - name: bar
        module: kv_store_key
      - name: baz
        module: kv_store_key
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.yaml"


async def answers(client: Any, *requests: bytes) -> list[bytes]:
    """The last line of each answer, without its message id."""
    found = []
    for number, request in enumerate(requests):
        name, _, rest = request.partition(b" ")
        lines = await client.ask(b"%s[%d] %s" % (name, number, rest) if rest else name)
        found.append(lines[-1].replace(b"[%d]" % number, b""))
    return found


# -- what a file says -------------------------------------------------------------------


async def test_drip_ep_06_the_block_of_the_page_loads(path):
    path.write_text(SEED)
    spec = read_device_file(path)
    assert spec.name == "store"
    assert [one.name for one in spec.providers] == ["kv_example"]
    assert [one.name for one in spec.providers[0].endpoints] == ["foo", "bar", "baz"]
    server = device_class(path)("127.0.0.1", 0)
    async with serving(server), talking(server) as client:
        assert await client.ask(b"?list-endpoints[1] kv_example") == [
            b"#list-endpoints[1] kv_example.foo key 0 0",
            b"#list-endpoints[1] kv_example.bar key 0 0",
            b"#list-endpoints[1] kv_example.baz key 0 0",
            b"!list-endpoints[1] ok 3",
        ]


@pytest.mark.parametrize("kept", ["name: foo and module", "names", "one name"])
def test_drip_ep_06_without_the_blank_the_error_says_so(path, kept):
    text = SEED.replace("      - ", "      -")
    lines = text.splitlines(keepends=True)
    if kept != "name: foo and module":
        lines = lines[:4] + [line for line in lines[4:] if "-name" in line]
    if kept == "one name":
        lines = lines[:5]
    said = wrong(path, "".join(lines), "")
    assert len(said) == 1
    assert said[0].startswith("5:7: ")
    assert "a blank is missing after the dash: '- name" in said[0]


def test_the_same_in_toml(tmp_path):
    path = tmp_path / "d.toml"
    path.write_text(
        textwrap.dedent(
            """\
            [device]
            name = "x"
            [[providers]]
            name = "kv"
            [[providers.endpoints]]
            name = "foo"
            type = "float"
            initial_value = 1.5
            calibration = {"0..5" = "low", default = 7}
            """
        )
    )
    (store,) = read_device_file(path).providers
    (foo,) = store.endpoints
    assert foo.options == {
        "type": "float",
        "initial_value": "1.5",
        "calibration": {"0..5": "low", "default": 7},
    }


async def test_all_options_reach_the_endpoint(path):
    text = """\
        providers:
          - name: kv
            description: Everything.
            endpoints:
              - name: foo
                module: kv_store_key
                type: float
                raw_type: integer
                range: [0, 100]
                initial_value: 4
                units: K
                raw_units: V
                description: A key.
                calibration: "2.5 * {} + 4"
                calibration_errors: omit
                calibration_settable: true
                get_on_set: true
                log_on_set: true
                schedule_interval: 5
                schedule_status: on
                delay_start: true
                max_interval: 60
                max_fractional_change: 0.1
                max_absolute_change: 3
                check_field: value_cal
                alert_routing_key: watch.this
                conditions: {10: 0}
                timeout: 4
              - {name: mode, type: discrete, words: [off, on], initial_value: off}
              - {name: flag, type: boolean, initial_value: yes}
              - {name: text, initial_value: 010}
              - {name: floored, quantum: 0.01, log_interval: 3, logging_status: off}
              - {name: twice, module: derived, expression: "2 * {foo}", units: K}
    """
    async with served(path, text) as (device, client):
        foo = device.endpoint_host.find("test.kv.foo")
        assert isinstance(foo, StoreKey)
        assert (foo.units, foo.raw_units, foo.description) == ("K", "V", "A key.")
        assert (foo.value, foo.reading.cal, foo.get_on_set) == (4, 14.0, True)
        assert (foo.log_on_set, foo.schedule_interval, foo.schedule_status) == (True, 5, "on")
        assert (foo.delay_start, foo.max_interval, foo.max_fractional_change) == (True, 60, 0.1)
        assert (foo.max_absolute_change, foo.check_field) == (3, "value_cal")
        assert (foo.alert_routing_key, foo.conditions, foo.timeout) == ("watch.this", {10: 0}, 4)
        assert foo.calibration_settable
        assert await answers(
            client,
            b"?get kv.mode",
            b"?get flag",
            b"?get text",
            b"?set kv.mode other",
            b"?set floored 1.796",
            b"?configure floored log-interval",
            b"?set-condition 10",
        ) == [
            b"!get ok off \\@ %s nominal" % stamp(device, "mode"),
            b"!get ok 1 \\@ %s nominal" % stamp(device, "flag"),
            b"!get ok 010 \\@ %s nominal" % stamp(device, "text"),
            b"!set invalid kv.mode:\\_'other'\\_is\\_none\\_of\\_off,\\_on 304",
            b"!set ok 1.79",
            b"!configure ok 3.0",
            b"!set-condition ok 1",
        ]
        assert (await answers(client, b"?get twice"))[0].startswith(b"!get ok 8.0 ")


def stamp(device: Any, name: str) -> bytes:
    return b"%.6f" % device.endpoint_host.find(name).set_at


def test_each_option_of_the_classes_is_in_the_grammar():
    not_in_files = {"cal_functions", "functions", "params", "allow_send", "endpoints"}
    for kind, fields in (
        (StoreKey, grammar.KEY_FIELDS),
        (DerivedEndpoint, grammar.KEY_FIELDS),
    ):
        assert set(kind.option_names()) - not_in_files <= set(fields)
    own = {"for", "module", "range", "words"}
    known = {*StoreKey.option_names(), *DerivedEndpoint.option_names()}
    assert set(grammar.KEY_FIELDS) - own <= known
    assert set(grammar.STORE_FIELDS) - own <= set(KeyValueStore.option_names())
    assert grammar.VALUE_TYPE_NAMES == VALUE_TYPES


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {name: a.b}", "3:10: this has to be a name (letters, digits, _ -), not 'a.b'"),
        ("- {module: kv_store}", "3:3: 'name' is missing here: its name; the addresses of its "
         "endpoints begin with it"),
        ("- {name: a, module: kv_stor}", "3:21: this has to be kv_store, not 'kv_stor' "
         "(did you mean 'kv_store'?)"),
        ("- {name: a, keys: []}", "3:13: unknown key 'keys' (did you mean 'endpoints'?)"),
        ("- {name: a}\n- {name: a}", "4:10: 'a' is there already, by line 3 (to clients '-' is "
         "'_')"),
        ("- {name: a, endpoints: [{name: b-c}, {name: b_c}]}", "3:45: 'b_c' is there already, by "
         "line 3 (to clients '-' is '_')"),
        ("- {name: a, endpoints: [{name: locked}]}", "3:32: 'locked' cannot be the name of an "
         "endpoint, since it is that of a sensor of its provider"),
        ("- {name: a, endpoints: [{name: b, intial_value: 3}]}", "3:35: unknown key "
         "'intial_value' (did you mean 'initial_value'?)"),
        ("- {name: a, endpoints: [{name: b, type: flaot}]}", "3:41: this has to be string, float, "
         "integer, boolean, discrete or timestamp, not 'flaot' (did you mean 'float'?)"),
        ("- {name: a, endpoints: [{name: b, type: float, initial_value: x}]}",
         "3:63: initial_value: 'x' is no float"),
        ("- {name: a, endpoints: [{name: b, type: float, range: [0, 1], initial_value: 2}]}",
         "3:78: initial_value: '2' is not between 0 and 1"),
        ("- {name: a, endpoints: [{name: b, type: discrete}]}", "3:32: a discrete value needs the "
         "words that it can have"),
        ("- {name: a, endpoints: [{name: b, words: [x]}]}", "3:42: a value of type string has no "
         "parameters"),
        ("- {name: a, endpoints: [{name: b, words: [x], range: [0, 1]}]}", "3:42: numbers have a "
         "range, discrete values have words"),
        ("- {name: a, endpoints: [{name: b, schedule_status: on}]}", "3:32: b has no "
         "schedule_interval"),
        ("- {name: a, endpoints: [{name: b}]}\n- {name: a-b}", "4:10: the names 'a.b.locked' and "
         "'a-b.locked' are one to clients, which take '-' and '.' for '_'"),
        ("- {name: alerts, endpoints: [{name: dropped}]}", "3:10: the device has a sensor named "
         "'alerts.dropped' already"),
        ("- {name: a}\nsensors: {condition: {type: float, settable: true}}", "4:46: endpoints have "
         "a request ?set-condition; it cannot be another one"),
        ("- {name: a, endpoints: [{name: b, module: derived}]}", "3:25: a derived endpoint needs "
         "an 'expression'"),
        ("- {name: a, endpoints: [{name: b, module: derived, expression: '{c}', quantum: 1}]}",
         "3:71: a derived endpoint has no 'quantum'"),
        ("- {name: a, endpoints: [{name: b, expression: '{c}'}]}", "3:35: only a derived endpoint "
         "(module: derived) has an expression"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(path, text, said):
    assert wrong(path, "providers:\n" + text) == [said]


def test_a_bad_calibration_is_told_with_its_place(path):
    text = "providers:\n- {name: a, endpoints: [{name: b, calibration: '2 * {0.real}'}]}"
    (said,) = wrong(path, text)
    assert said.startswith("3:48: ")
    assert "{0.real}" in said


def test_names_of_sensors_and_requests_are_not_taken_twice(path):
    text = """\
        sensors:
          kv.a_b: {type: float}
        requests:
          lock: {description: Not that one.}
        providers:
          - {name: kv, endpoints: [{name: a-b}]}
    """
    said = wrong(path, text)
    assert any("endpoints have a request ?lock" in line for line in said)
    assert any("'kv.a-b' of it would be 'kv.a_b' of the section 'sensors'" in line for line in said)
    assert "list-endpoints" in request_names()


# -- a device of a file -----------------------------------------------------------------


async def test_endpoints_and_what_else_a_file_has_go_together(path):
    text = """\
        sensors:
          speed: {type: integer, initial: 3, settable: true}
        providers:
          - {name: kv, endpoints: [{name: foo, initial_value: 1}]}
    """
    async with served(path, text) as (_, client):
        assert await answers(client, b"?set-speed 5", b"?set foo 7", b"?ping test") == [
            b"!set-speed ok 5",
            b"!set ok 7",
            b"!ping ok",
        ]
        lines = await client.ask(b"?sensor-list[1]")
        assert [line for line in lines if b" kv.foo " in line or b" speed " in line]


async def test_a_device_without_endpoints_has_nothing_of_them(path):
    async with served(path, "sensors:\n  a: {type: float}\n") as (device, client):
        assert device.endpoint_host is None
        assert [sensor.name for sensor in device.get_sensors()] == ["a"]
        assert not any(device.has_request(name) for name in request_names())
        assert (await client.ask(b"?list-endpoints[1]"))[0].startswith(b"!list-endpoints[1] inv")


async def test_the_first_name_of_addresses_can_be_given(path):
    text = "device: {name: some.node, node: here}\nproviders: [{name: kv}]\n"
    path.write_text(text)
    assert read_device_file(path).node == "here"
    path.write_text(text.replace(", node: here", ""))
    assert read_device_file(path).node == ""


async def test_a_client_that_goes_is_forgotten(path):
    async with served(path, "providers: [{name: kv, endpoints: [{name: foo}]}]") as (device, one):
        subscribers = device.get_sensor("alerts.subscribers")
        async with talking(device) as other:
            assert await answers(other, b"?alert-subscribe #") == [b"!alert-subscribe ok"]
            assert subscribers.value() == 1
        await until(lambda: subscribers.value() == 0)
        assert await answers(one, b"?ping") == [b"!ping ok"]


# -- values that are kept ---------------------------------------------------------------


async def test_values_and_locks_are_there_after_a_restart(path):
    head = "device: {name: x, persist: kept.db, flush-interval: 0.05}\n"
    text = "providers: [{name: kv, endpoints: [{name: foo, initial_value: 1}, {name: bar}]}]"
    write(path, text, head)
    device = device_class(path)("127.0.0.1", 0)
    async with serving(device), talking(device) as client:
        assert await answers(client, b"?set foo 7 durable=true") == [b"!set ok 7"]
        assert (await answers(client, b"?lock bar"))[0].startswith(b"!lock ok ")
        before = await answers(client, b"?get foo")
    assert (path.parent / "kept.db").exists()
    device = device_class(path)("127.0.0.1", 0)
    async with serving(device), talking(device) as client:
        assert await answers(client, b"?get foo") == before
        assert (await answers(client, b"?is-locked bar"))[0].startswith(b"!is-locked ok 1 ")


async def test_a_file_that_cannot_be_opened_is_named(path):
    text = "providers: [{name: kv}]"
    write(path, text, "device: {name: x, persist: none/kept.db}\n")
    with pytest.raises(StorageError, match=r"there is no directory .*/none"):
        device_class(path)("127.0.0.1", 0)


# -- changes of the file ----------------------------------------------------------------

BEFORE = """\
    providers:
      - name: kv
        endpoints:
          - {name: stays, initial_value: 1}
          - {name: never-set, initial_value: 1}
          - {name: changes, initial_value: 1}
          - {name: goes, initial_value: 1}
          - {name: other-type, initial_value: 1}
      - name: gone
"""
AFTER = """\
    providers:
      - name: new
      - name: kv
        endpoints:
          - {name: comes, initial_value: 2}
          - {name: changes, initial_value: 2, calibration: "2 * {}"}
          - {name: stays, initial_value: 1}
          - {name: never-set, initial_value: 2}
          - {name: other-type, type: integer, initial_value: 2}
"""


@pytest.mark.parametrize("persist", ["", ", persist: kept.db"])
async def test_a_reload_keeps_values(path, persist, caplog):
    head = f"device: {{name: x{persist}}}\n"
    write(path, BEFORE, head)
    device = device_class(path)("127.0.0.1", 0)
    async with serving(device), talking(device) as client:
        for name in (b"stays", b"changes", b"goes", b"other-type"):
            assert (await answers(client, b"?set %s word" % name))[0] == b"!set ok word"
        stays = device.endpoint_host.find("stays")
        set_at = device.endpoint_host.find("changes").set_at
        assert (await answers(client, b"?lock changes"))[0].startswith(b"!lock ok ")
        write(path, AFTER, head)
        with caplog.at_level(logging.INFO):
            assert await device.reload()
        assert "2 endpoints new, 3 endpoints changed, 2 endpoints gone" in caplog.text
        host = device.endpoint_host
        assert [one.name for one in host.find("kv").children()] == [
            "comes", "changes", "stays", "never-set", "other-type"
        ]  # fmt: skip
        assert host.find("stays") is stays
        assert [host.find(name).value for name in ("stays", "changes", "never-set", "comes")] == [
            "word", "word", "2", "2"
        ]  # fmt: skip
        assert host.find("other-type").value == 2
        assert host.find("changes").set_at == set_at
        assert host.find("changes").is_locked
        assert (await answers(client, b"?get goes"))[0].endswith(b" 102")
        assert await device.reload()
        write(path, AFTER.replace("changes", "changes: x"), head)
        assert not await device.reload()
        assert host.find("stays").value == "word"


async def test_a_store_that_changes_itself_keeps_the_values_of_its_keys(path):
    text = "providers: [{name: kv, endpoints: [{name: foo}, {name: bar, initial_value: 1}]}]"
    async with served(path, text) as (device, client):
        assert await answers(client, b"?set foo word", b"?set bar 7") == [
            b"!set ok word",
            b"!set ok 7",
        ]
        before = device.endpoint_host.find("kv")
        text = text.replace("name: kv,", "name: kv, description: New,")
        write(path, text.replace("name: bar", "name: bar, type: float"))
        assert await device.reload()
        host = device.endpoint_host
        assert host.find("kv") is not before
        assert (host.find("foo").value, host.find("bar").value) == ("word", 7.0)
        write(path, text.replace("name: bar", "name: bar, type: discrete, words: [1, 2]"))
        assert await device.reload()
        assert host.find("bar").value == "1"


async def test_a_reload_may_bring_the_first_endpoints_and_take_the_last(path):
    async with served(path, "sensors: {a: {type: float}}") as (device, client):
        text = "providers: [{name: kv, endpoints: [{name: foo}]}]"
        write(path, text)
        assert await device.reload()
        assert await answers(client, b"?set foo 1") == [b"!set ok 1"]
        write(path, "")
        assert await device.reload()
        assert (await answers(client, b"?get foo"))[0].endswith(b" 102")
        write(path, text)
        assert await device.reload()
        assert await answers(client, b"?set foo 2") == [b"!set ok 2"]


async def test_what_a_reload_cannot_change_is_told(path, caplog):
    text = "providers: [{name: kv}]"
    async with served(path, text) as (device, _):
        write(path, text, "device: {name: test, node: y, persist: a.db, flush-interval: 3}\n")
        assert await device.reload()
    for key in ("node", "persist", "flush-interval"):
        assert f"'{key}' is taken up at the next start" in caplog.text


# -- templates --------------------------------------------------------------------------


def test_templates_stand_for_many(path):
    text = """\
        providers:
          - for: {rack: [a, b]}
            name: rack-$rack
            endpoints:
              - {name: fan}
              - for: {n: 1..3}
                name: ch$n
                type: integer
                initial_value: $n
                description: Channel $n of rack $rack
    """
    write(path, text)
    stores = read_device_file(path).providers
    assert [store.name for store in stores] == ["rack-a", "rack-b"]
    assert [key.name for key in stores[1].endpoints] == ["fan", "ch1", "ch2", "ch3"]
    assert stores[1].endpoints[3].options == {
        "type": "integer",
        "initial_value": "3",
        "description": "Channel 3 of rack b",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {name: a, for: {n: 1..2}}", "3:10: the name has to differ between the copies: $n is "
         "not in 'a'"),
        ("- {name: a$n, for: {n: 1..2}}\n- {name: a2}", "4:10: 'a2' is there already, by line 3 "
         "(to clients '-' is '_')"),
        ("- {name: a, endpoints: [{name: b$n, for: {n: 1..999999}}]}", "3:46: more than 100000 "
         "entries, with those of templates"),
        ("- {for: {n: 1..2}}", "3:3: 'name' is missing here: its name; the addresses of its "
         "endpoints begin with it"),
        ("- {name: a$n, for: {n: 1..2}}\n- {name: b$n, for: {n: 1..100000}}", "4:3: more than "
         "100000 entries, with those of templates"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_templates(path, text, said):
    assert wrong(path, "providers:\n" + text) == [said]
