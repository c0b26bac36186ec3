import json
import re
from base64 import b64encode
from hashlib import sha256

import dashboard_samples as samples
import pytest

from ssae_lens.dashboards import Report, write_report
from ssae_lens.dashboards.page import _fitted, as_json

EVIL = "</script><img src=x onerror=alert(1)>\u2028\u2029&amp;{{page}}"
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = write_report(samples.full_report(token=EVIL), tmp_path_factory.mktemp("page") / "report.html")
    return path.read_text(encoding="utf-8")


def test_data_come_back_as_they_were(page):
    data = json.loads(DATA.search(page).group(1))
    assert data["title"] == f"Six latents{EVIL}"
    assert data["details"]["0"]["promoted"][0][0] == f" up{EVIL}"


def test_nothing_in_the_data_is_markup(page):
    inside = DATA.search(page).group(1)
    assert not set(inside) & set("<>&\u2028\u2029")
    assert page.count("<script") == page.count("</script>") == 3
    assert "<img" not in page.partition("<script>")[0]


def test_the_policy_allows_the_two_scripts_by_their_hashes_and_no_request(page):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page).group(1)
    rules = dict(each.strip().partition(" ")[::2] for each in policy.split(";"))
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [
        f"'sha256-{b64encode(sha256(each.encode()).digest()).decode()}'" for each in scripts
    ]
    assert "connect-src" not in rules
    assert "http" not in page.partition("<style>")[0].replace("http-equiv", "")


def test_plotly_stands_in_it_once(page):
    assert page.count("plotly.js v") == 1
    assert len(page.encode()) < 8_000_000


def test_what_ends_an_element_is_escaped_and_read_again():
    text = "<>&\u2028\u2029\"'é"
    assert not set(as_json({"a": text})) & set("<>&\u2028\u2029")
    assert json.loads(as_json({"a": text})) == {"a": text}
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json(float("nan"))


def test_a_lone_surrogate_does_no_harm(tmp_path):
    assert b"broken ?" in write_report(Report("broken \ud800"), tmp_path / "report.html").read_bytes()


def test_where_there_is_no_room_the_named_and_the_strongest_stay():
    rows = [
        {"latent": i, "name": "tense" if i == 0 else "", "strength": s} for i, s in enumerate([0.1, 0.3, None, 0.9])
    ]
    data = {"latents": rows, "details": {str(i): {"text": "x" * 1000} for i in range(4)}}
    room = len(as_json(data))
    assert _fitted(data, 2 * room)["details"].keys() == data["details"].keys()
    assert list(_fitted(data, room - 1500)["details"]) == ["0", "3"]
    assert _fitted(data, 10)["details"] == {}


def test_a_limit_is_positive(tmp_path):
    with pytest.raises(ValueError, match="limit is 0"):
        write_report(Report(""), tmp_path / "report.html", limit=0)
