"""The dashboard that comes with the server: what it asks for is there, and it can be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.live import gop, headers
from tests.support.manned import FILE, Manned

pytestmark = pytest.mark.usefixtures("logs")

BOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "conf" / "grafana.json").read_text(encoding="utf-8")
)
PANELS: list[dict[str, Any]] = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
TITLES = [panel["title"] for panel in PANELS]
VARIABLES = {variable["name"]: variable for variable in BOARD["templating"]["list"]}

OF_SCRAPING = {"instance", "job"}
"Labels that Prometheus adds."


def declared(folder: Path) -> dict[str, set[str]]:
    """The labels of every metric of a server in which all kinds of things happen."""
    manned = Manned(folder, FILE + "\n[listener secure]\nendpoint = tcp:8443\nserve = https\n")
    publisher = manned.site.publish()
    manned.site.play()
    for message in [*headers(), *gop(0), *gop(1000)]:
        publisher.send(message)
    manned.site.pump()
    text = manned.get("/metrics").body.decode()
    manned.close()
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def queries() -> Iterator[tuple[str, str]]:
    """Everything that is asked, with the title of where."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for name, variable in VARIABLES.items():
        if variable["type"] == "query":
            yield f"${name}", variable["definition"]


def test_every_metric_and_label_is_one_of_the_server(tmp_path: Path) -> None:
    known = declared(tmp_path)
    asked = set()
    for title, query in queries():
        names = re.findall(r"\b((?:rtmptwist|process|python)_\w+)", query)
        assert names, title
        for name in names:
            assert name in known, f"{title}: {name}"
            selector = re.search(rf"\b{name}{{(.*?)}}", query)
            labels = set(re.findall(r"(\w+)=", selector[1])) if selector else set()
            grouped = re.search(r"\bby \((.*?)\)", query)
            labels |= set(grouped[1].split(", ")) if grouped else set()
            assert labels <= known[name] | OF_SCRAPING, f"{title}: {query}"
            asked.add(name)
        assert query.count("(") == query.count(")"), title
        assert query.count("{") == query.count("}"), title
    ours = {name for name in known if name.startswith("rtmptwist_")}
    assert ours <= asked, "metrics that no panel of conf/grafana.json shows"


def test_counters_are_shown_as_rates() -> None:
    for title, query in queries():
        for name in re.findall(r"\w+_total\b", query):
            assert f"rate({name}{{" in query, title


@pytest.mark.parametrize("panel", PANELS, ids=TITLES)
def test_every_panel_says_what_it_is(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in {
        *("none", "bps", "bytes", "cps", "hertz", "s", "percentunit"),
    }
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    assert all(source["uid"] == "${datasource}" for source in sources)
    assert panel["targets"]


def test_legends_have_labels_that_are_left() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            wanted = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            grouped = re.search(r"\bby \((.*?)\)", target["expr"])
            if grouped:
                assert wanted <= set(grouped[1].split(", ")), panel["title"]
            elif re.search(r"\b(sum|min|max)\(", target["expr"]):
                assert not wanted, panel["title"]


def test_variables_are_there_and_used() -> None:
    text = json.dumps(PANELS)
    definitions = json.dumps(list(VARIABLES.values()))
    assert VARIABLES["datasource"]["type"] == "datasource"
    used = set(re.findall(r"\$\{?([a-z]+)\b", text + definitions))
    assert used == set(VARIABLES)


def test_panels_have_numbers_and_places_of_their_own() -> None:
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
