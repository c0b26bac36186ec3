import pytest

from ssae_lens.pairs.tables import read_table, renamed


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_with_lists_and_signs(tmp_path):
    path = written(
        tmp_path,
        "pairs.csv",
        "\ufeffsource,target,changed,change_tense,change_voice\n"
        '"a, cat",a dog,tense|voice,1,-1\r\n'
        '"two\nlines",x,,,0\n\n',
    )
    assert read_table(path) == [
        {"source": "a, cat", "target": "a dog", "changed": ["tense", "voice"], "changes": {"tense": 1, "voice": -1}},
        {"source": "two\nlines", "target": "x", "changed": [], "changes": {"tense": 0, "voice": 0}},
    ]


def test_json_as_a_list_and_as_lines(tmp_path):
    rows = [{"source": "a\u2028b", "target": "c"}, {"source": "d", "target": "e"}]
    listed = written(tmp_path, "a.json", '[{"source": "a\u2028b", "target": "c"},\n {"source": "d", "target": "e"}]')
    lines = '{"source": "a\u2028b", "target": "c"}\n\n{"source": "d", "target": "e"}\n'
    assert read_table(listed) == rows
    for name in ("a.jsonl", "b.json", "c.ndjson"):
        assert read_table(written(tmp_path, name, lines)) == rows


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "holds no rows"),
        ("a.csv", "source,target\n", "holds no rows"),
        ("a.csv", "source,target\na,b\na,b,c\n", "has 3 fields on line 3, where its header has 2"),
        ("a.csv", "source,source\na,b\n", "two columns called 'source'"),
        ("a.csv", 'source,target\n"a" b,c\n', "is not CSV at line 2"),
        ("a.csv", "source;target\na;b\n", "looks separated by semicolons.*Save it separated by commas"),
        ("a.csv", "source\ttarget\na, b\tb\n", "looks separated by tabs"),
        ("a.csv", "source,target,change_x\na,b,up\n", "change_x 'up' on line 2"),
        ("a.csv", b"source,target\n\xff,b\n", "not UTF-8 text .* at byte 14"),
        ("a.jsonl", '{"source": "a"}\n{"source": \n', "not JSON at line 2, column"),
        ("a.json", '[\n{"source": "a"},\n{"source" "a"}]', "not JSON at line 3"),
        ("a.jsonl", '{"source": "a"}\n3\n', "holds int in row 1"),
        ("a.json", "[]", "holds no rows"),
        ("a.parquet", "x", "ends in '.parquet'"),
        ("a.jsonl", '{"a":' * 5000, "nested deeper than 64 levels"),
        ("a.json", "[" * 100_000, "nested deeper than 64 levels"),
        ("a.json", '[{"source": "a", "source": "b"}]', "gives 'source' twice"),
        ("a.jsonl", r'{"source": "\ud83d"}', "no character"),
        ("a.jsonl", '{"n": ' + "1" * 5000 + "}", "digits"),
        ("a.csv", "source,target\na," + "x" * 140_000, "not CSV at line .*field larger than"),
        ("a.jsonl", '{"source": "' + "x" * 140_000 + '"}', "more than 131072 characters in row 0 .'source'"),
        ("a.jsonl", '{"' + "x" * 140_000 + '": 1}', "more than 131072 characters in row 0"),
        ("a.jsonl", '{"a": [' + "1," * (9 << 20) + "1]}", "a line of more than 16 Mi characters"),
        ("a.csv", ",".join(["a"] * 100_000), "two columns called 'a'"),
        ("a.csv", "a," * 50_000 + ("b" * 100_000), "two columns called 'a'"),
    ],
)
def test_each_fault_of_a_file_has_one_line(tmp_path, name, text, message):
    path = written(tmp_path, name, text)
    with pytest.raises(ValueError, match=message) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_file_larger_than_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("ssae_lens.pairs.tables.MAX_BYTES", 1000)
    with pytest.raises(ValueError, match=r"larger than .* MiB, the limit"):
        read_table(written(tmp_path, "a.csv", "source,target\n" + "a,b\n" * 1000))


def test_a_missing_file_is_named_with_its_neighbour(tmp_path):
    written(tmp_path, "pairs.csv", "source,target\na,b\n")
    with pytest.raises(FileNotFoundError, match=r"pair\.csv.*Did you mean 'pairs\.csv'"):
        read_table(tmp_path / "pair.csv")


def test_renaming_can_swap_and_displace():
    assert renamed(["source", "target"], {"source": "target", "target": "source"}) == {
        "source": "target",
        "target": "source",
    }
    assert renamed(["source", "old", "target"], {"source": "old"}) == {"old": "source", "target": "target"}
    with pytest.raises(ValueError, match=r"columns\['source'\] is 'befor'.*Did you mean 'before'"):
        renamed(["before", "after"], {"source": "befor"})
