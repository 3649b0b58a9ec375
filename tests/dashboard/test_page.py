import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

from lakehouse.dashboard.build import named
from lakehouse.dashboard.page import PAGES, contents, page
from tests.dashboard.models import alarm, days, model, noisy, promoted, retrained

EVIL = "</script><script>document.title='broken in'</script><img src=x onerror=alert(1)>"


class Tags(HTMLParser):
    """The elements of a page, and the text in its scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.found, self.inside, self._open = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._open = tag if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        if self._open:
            self.inside.append((self._open, data))


def hostile():
    """A model in whose rows each text that a person or a file can give would break in."""
    return model(
        EVIL,
        daily=days([0.9, 0.8], champion=EVIL, drifted_columns=EVIL),
        alarms=[alarm("drift", subject=EVIL, detail=EVIL), alarm(EVIL)],
        moves=[promoted("2024-03-02", EVIL, reason=EVIL, who=EVIL)],
        decisions=[
            retrained("2024-03-02", "2024-03-01", reason=EVIL, region=EVIL, advice=EVIL, drift=EVIL)
        ],
        history=[
            {"model_version": EVIL, "champion_from": promoted("2024-03-02", "")["as_of"]}
            | {"reason": EVIL, "is_champion": True, "accuracy": 0.9}
        ],
        drift=[
            {"day": days([1])[0]["day"], "column_name": EVIL, "drift_index": 0.3}
            | {"adjusted_pvalue": 0.0}
        ],
        columns=[
            {"day": days([1])[0]["day"], "column_name": EVIL, "avg": 1.0, "min": 0.0, "max": 2}
        ],
        confusion=[{"day": days([1])[0]["day"], "label": EVIL, "prediction": EVIL, "n": 1}],
        quarantine=[{"source": EVIL, "reason": EVIL, "lines": 3}],
        files=[{"day": days([1])[0]["day"], "source": EVIL, "status": EVIL, "files": 1}],
        slices=[{"slice_key": EVIL, "slice_value": EVIL, "n_labelled": 9, "error_rate": 0.1}],
    )


def unpacked(text):
    """What is packed in a page, by model."""
    packed = re.findall(
        r'<script type="text/plain" class="data" data-model="([^"]*)">([^<]*)<', text
    )
    return {name: json.loads(gzip.decompress(base64.b64decode(data))) for name, data in packed}


def test_no_text_of_a_row_becomes_an_element():
    text = page([("plain", model("plain")), (EVIL, hostile())])
    parts = [text, *(part for data in unpacked(text).values() for part in data["pages"].values())]
    for part in parts:
        names = {name for name, _ in Tags(part).found}
        assert "img" not in names
        assert not any(key.startswith("on") for _, words in Tags(part).found for key in words)
    assert [words.get("type") for name, words in Tags(text).found if name == "script"] == [
        "text/plain",
        "text/plain",
        None,
    ]
    assert not any("<script" in part for part in parts[1:])


def assert_policy_is_strict(tags: Tags) -> None:
    """The policy allows this page's own style and script by their digests, and nothing else."""
    [policy] = [words["content"] for name, words in tags.found if "Security-Policy" in str(words)]
    digests = [
        f"'sha256-{base64.b64encode(hashlib.sha256(data.encode()).digest()).decode()}'"
        for kind, data in tags.inside
        if kind == "style" or not data.startswith("H4sI")
    ]
    assert policy == (
        f"default-src 'none'; style-src {digests[0]}; script-src {digests[1]}; "
        "base-uri 'none'; form-action 'none'"
    )


def test_the_policy_allows_the_page_s_own_style_and_script_by_their_digests_and_nothing_else():
    tags = Tags(page([("glassware", noisy("glassware", 5, 1))]))
    assert_policy_is_strict(tags)
    assert not any("style" in words for _, words in tags.found)


def test_nothing_in_the_page_names_another_place():
    text = page([("glassware", noisy("glassware", 40, 1))])
    parts = [text, *unpacked(text)["glassware"]["pages"].values()]
    for part in parts:
        links = {
            words[key] for _, words in Tags(part).found for key in ("href", "src") if key in words
        }
        assert all(link.startswith("#") for link in links)
        assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|WebSocket", part)


def test_the_same_rows_give_the_same_bytes_in_another_process():
    script = (
        "from lakehouse.dashboard.page import page; from tests.dashboard.models import noisy;"
        "import hashlib; print(hashlib.sha256(page([('a', noisy('a', 30, 1))]).encode()).hexdigest())"
    )
    own = hashlib.sha256(page([("a", noisy("a", 30, 1))]).encode()).hexdigest()
    other = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ".", "PYTHONHASHSEED": "7"},
    )
    assert other.stdout.strip() == own


def test_six_models_of_a_thousand_days_are_below_two_megabytes():
    models = [(f"model-{seed}", noisy(f"model-{seed}", 1000, seed)) for seed in range(6)]
    assert len(page(models).encode()) < 2_000_000


def test_every_table_that_a_panel_names_is_packed_with_all_its_rows():
    rows = noisy("glassware", 40, 1)
    packed = contents(rows)
    assert set(packed["pages"]) == set(PAGES)
    named_tables = {
        words["data-table"]
        for part in packed["pages"].values()
        for _, words in Tags(part).found
        if "data-table" in words
    }
    assert named_tables <= set(packed["tables"])
    assert len(packed["tables"]["daily"]["values"][0]) == 40


def test_each_panel_shows_the_query_behind_it():
    rows = noisy("glassware", 5, 1)
    shown = contents(rows)["pages"]["decisions"]
    assert "FROM gold.decision_history ORDER BY as_of, decided_at" in shown


def test_a_page_without_a_model_says_so():
    assert "There is no model" in page([])


def test_two_models_of_one_name_are_told_apart_by_their_roots():
    one, other = (Path("a"), model("x")), (Path("b"), model("x"))
    assert [name for name, _ in named([one, other])] == ["x (a)", "x (b)"]
    assert [name for name, _ in named([one, (Path("c"), model("y"))])] == ["x", "y"]
