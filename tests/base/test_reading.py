"""JSON and YAML that others wrote: refused in one line that names the file, before it costs memory or time."""

import json
import tracemalloc

import pytest
import yaml

from ssae_lens.base.reading import (
    MAX_DEPTH,
    member,
    parse_json,
    read_json,
    read_json_lines,
    read_text,
    well_formed,
)
from ssae_lens.base.yaml_files import read_yaml


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def refused(read, path, *expected, **settings):
    with pytest.raises(ValueError, match=expected[0]) as error:
        read(path, hint="copy it again", **settings)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    assert message.endswith(("copy it again.", ".")), message
    assert len(message) < len(str(path)) + 400
    return message


class TestJson:
    @pytest.mark.parametrize(
        "value", [{"a": [1, 2.5, None, True, "é\u2028"]}, [], "x", 3, {"deep": json.loads("[" * 60 + "]" * 60)}]
    )
    def test_what_json_writes_is_read(self, path, value):
        path.write_text(json.dumps(value))
        assert read_json(path) == value
        path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
        assert read_json(path) == value

    def test_nan_is_read_as_json_writes_it(self, path):
        path.write_text(json.dumps([float("nan"), float("inf")]))
        assert [str(each) for each in read_json(path)] == ["nan", "inf"]

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"", "not JSON at line 1"),
            (b'{"a": 1,\n "b" 2}', r"not JSON at line 2, column 6: Expecting ':' delimiter; copy it again\."),
            (b'{"a": "\xff"}', "not UTF-8 text .* at byte 7"),
            (b'{"a": 1, "b": {"x": 1, "x": 2}}', "gives 'x' twice"),
            (b"[" * 200_000, "nested deeper than 64 levels"),
            (b"[" * 200_000 + b"]" * 200_000, "nested deeper than 64 levels"),
            (b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested deeper than 64 levels"),
            (b"[" * 65 + b"]" * 65, "nested deeper than 64 levels"),
            (b"[" + b"1" * 5000 + b"]", "digits"),
            (rb'{"a": "\ud800"}', "no character"),
            (rb'{"\uDC00": 1}', "no character"),
        ],
    )
    def test_refused(self, path, content, expected):
        path.write_bytes(content)
        refused(read_json, path, expected)

    def test_a_pair_of_surrogates_is_a_character(self, path):
        path.write_text(r'["\ud83d\ude00"]')
        assert read_json(path) == ["😀"]

    def test_as_deep_as_allowed_and_no_deeper(self, path):
        path.write_text("[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH)
        read_json(path)
        path.write_text('[{"a": 1}, ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "]")
        refused(read_json, path, f"deeper than {MAX_DEPTH} levels")
        path.write_text("[" + "[1]," * 100 + "[[2]]]")
        assert read_json(path)[-1] == [[2]]

    def test_size(self, path):
        path.write_text("[" + " " * 2000 + "]")
        assert read_json(path, max_bytes=2002) == []
        refused(read_json, path, "larger than .* MiB", max_bytes=2001)

    def test_more_values_than_memory_has_room_for(self, path):
        path.write_text("[" + "[]," * 1_100_000 + "[]]")
        tracemalloc.start()
        refused(read_json, path, "more than 2000000 values, the limit")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 << 20
        assert len(parse_json(path.read_text(), path, max_values=None)) == 1_100_001

    def test_missing(self, path):
        with pytest.raises(FileNotFoundError, match="There is no file"):
            read_json(path)
        with pytest.raises(FileNotFoundError, match="is a folder"):
            read_json(path.parent)

    def test_a_text_that_stands_elsewhere(self):
        assert parse_json('{"a": 1}', "the header of v.safetensors") == {"a": 1}
        with pytest.raises(ValueError, match=r"the header of v.safetensors is not JSON .*; save it again\."):
            parse_json("{", "the header of v.safetensors", hint="save it again")

    def test_lines(self, path):
        path.write_text('{"a": "x\u2028y"}\n\n 2 \n', encoding="utf-8")
        assert read_json_lines(path) == [{"a": "x\u2028y"}, 2]
        path.write_text('{"a": 1}\n\n{"a": }\n')
        refused(read_json_lines, path, "not JSON at line 3, column 7")
        path.write_text('{"a": 1}\n' + "[" * 5000)
        refused(read_json_lines, path, "nested deeper")


class TestYaml:
    @pytest.mark.parametrize(
        "value", [{"d_sae": [4, 8], "lr": 1e-3, "name": "é", "none": None, "yes": True}, ["a"], "text", None]
    )
    def test_what_yaml_writes_is_read(self, path, value):
        path.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
        assert read_yaml(path) == value

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a: &a [x, x]\nb: [*a, *a]\n", r"uses the alias \*a; write out"),
            ("a: &a\n  x: 1\nb:\n  <<: *a\n", r"uses the alias \*a"),
            ("a: &a [*a]", r"uses the alias \*a"),
            ("[" * 50_000, "nested deeper than 64 levels"),
            ("".join(f"{' ' * i}k:\n" for i in range(200)), "nested deeper than 64 levels"),
            ("- " * 5000 + "x", "nested deeper than 64 levels"),
            ("a: [", "not plain YAML"),
            ("!!python/object/apply:os.getcwd []", "not plain YAML"),
            ("a: 1\nb: 2\na: 3\n", "gives 'a' twice"),
            ("a: " + "1" * 5000, "5000 digits"),
            ("a: " + "1" + ":1" * 60_000, "digits"),
            ("day: 2025-99-99", "not plain YAML"),
            ("a: !!int ''", "not plain YAML"),
            ("a: !!bool x", "not plain YAML"),
            ("a: !!timestamp x", "not plain YAML"),
            ("a: !!float x", "not plain YAML"),
            ("? [a]\n: 1", "not plain YAML"),
            ('a: "\\ud800"', "not plain YAML|no character"),
            ("a: \x07", "not plain YAML"),
            ("a: " + "x" * 300_000, "larger than 0.25 MiB"),
        ],
    )
    def test_refused(self, path, text, expected):
        path.write_text(text)
        refused(read_yaml, path, expected)

    def test_an_anchor_that_nothing_uses_is_harmless(self, path):
        path.write_text("a: &a [1]\n")
        assert read_yaml(path) == {"a": [1]}

    def test_not_utf8(self, path):
        path.write_bytes(b"a: \xff")
        refused(read_yaml, path, "not UTF-8")

    def test_without_libyaml(self, path, monkeypatch):
        from ssae_lens.base import yaml_files

        monkeypatch.delattr(yaml, "CSafeLoader")
        yaml_files._plain_loader.cache_clear()
        try:
            path.write_text("a: {b: [1, 2]}\n")
            assert read_yaml(path) == {"a": {"b": [1, 2]}}
            path.write_text("[" * 50_000)
            refused(read_yaml, path, "nested deeper")
        finally:
            yaml_files._plain_loader.cache_clear()


FOUND = {"list": []}


class TestNaming:
    @pytest.mark.parametrize(
        ("fail", "expected"),
        [
            (lambda: FOUND["norms"], "'norms' is missing"),
            (lambda: FOUND["list"][3], "list index out of range"),
            (lambda: FOUND["list"].keys, "no attribute"),
            (lambda: float(10**400), "too large"),
            (lambda: str(b"\xff", "utf-8"), "can't decode"),
            (lambda: len(3), "has no len"),
            (lambda: int("x"), "invalid literal"),
        ],
    )
    def test_a_shape_that_is_not_expected(self, path, fail, expected):
        with pytest.raises(ValueError, match=expected) as error, well_formed(path, "copy it again"):
            fail()
        assert type(error.value) is ValueError
        assert str(error.value).startswith(str(path))
        assert str(error.value).endswith("; copy it again.")

    def test_an_error_that_says_what_to_do_keeps_it(self, path):
        with pytest.raises(ValueError, match=r"file: d_in is 0; give 1\.$"), well_formed(path, "copy it again"):
            raise ValueError("d_in is 0; give 1.")
        with pytest.raises(ValueError, match=rf"^no, {path}$"), well_formed(path, "copy it again"):
            raise ValueError(f"no, {path}")

    def test_what_is_not_the_file_s_fault_passes(self, path):
        for error in (OSError("disk"), MemoryError(), KeyboardInterrupt()):
            with pytest.raises(type(error)), well_formed(path):
                raise error


def test_members_are_of_the_kind_asked_for():
    values = {"n": 1, "x": 1.5, "flag": True, "names": ["a"], "none": None}
    assert member(values, "n", int) == 1
    assert member(values, "n", float) == 1
    assert member(values, "flag", bool) is True
    assert member(values, "none", (str, type(None))) is None
    for name, kind, expected in [
        ("m", int, "'m' is missing"),
        ("x", int, "'x' is of type float where int is expected"),
        ("flag", int, "'flag' is of type bool"),
        ("flag", float, "'flag' is of type bool"),
        ("names", (str, dict), "'names' is of type list where str or dict is expected"),
    ]:
        with pytest.raises(ValueError, match=expected):
            member(values, name, kind)
    with pytest.raises(ValueError, match="a list stands where an object with 'a' is expected"):
        member([1], "a", int)


def test_a_limit_takes_no_memory_of_its_own(path):
    path.write_text("x")
    tracemalloc.start()
    assert read_text(path, max_bytes=1 << 40) == "x"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 22


def test_text(path):
    path.write_bytes("\ufeffa,b".encode())
    assert read_text(path, max_bytes=100, encoding="utf-8-sig") == "a,b"
