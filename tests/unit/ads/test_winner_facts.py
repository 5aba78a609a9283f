"""The facts of creatives, the text that is embedded, and bad input."""

import pytest
from pydantic import ValidationError

from callsheet.ads.winners.creatives import Creative, digest_of, embedded_text
from callsheet.operations.find_winners import FindWinnersParams
from callsheet.operations.index_winners import IndexWinnersParams


def test_all_facts_but_the_figures_are_embedded_and_the_script_is_last():
    creative = Creative.model_validate(
        {
            "adId": 7,
            "text": "Dry in ten minutes",
            "tags": ["ugc", "summer sale"],
            "script": "Hello there",
            "attributes": {
                "hookType": "question",
                "visual_style": {"camera": "handheld", "cuts": 3, "none": None},
                "actors": ["woman", "dog", {"age": 5}],
            },
            "metrics": {"roas": 4.2},
        }
    )
    assert embedded_text(creative.facts(), "vertical video of 12 seconds").split("\n") == [
        "Dry in ten minutes",
        "ugc, summer sale",
        "hook type: question; visual style camera: handheld; visual style cuts: 3; actors: woman, dog; actors age: 5",
        "vertical video of 12 seconds",
        "Hello there",
    ]
    assert creative.ad_id == "7" and creative.facts()["metrics"] == {"roas": 4.2}


def test_equal_facts_have_one_digest_in_any_order_and_a_look_changes_it():
    facts = {"text": "a", "attributes": {"x": 1, "y": 2}}
    same = {"attributes": {"y": 2, "x": 1}, "text": "a"}
    assert digest_of(facts, None) == digest_of(same, None) != digest_of(facts, "square picture")


@pytest.mark.parametrize(
    ("creative", "message"),
    [
        ({"adId": "a"}, "nothing to embed"),
        ({"adId": "a", "metrics": {"roas": 1}}, "nothing to embed"),
        ({"adId": "a", "text": "", "attributes": {"x": None, "y": {}}}, "nothing to embed"),
        ({"adId": " a ", "text": "x"}, "printable"),
        ({"adId": "a", "text": "x", "tags": [""]}, "at least 1 character"),
        ({"adId": "a", "text": "x" * 5001}, "at most 5000 characters"),
        ({"adId": "a", "attributes": {"x": "y" * 20_001}}, "at most 20,000 characters as JSON"),
        ({"adId": "a", "text": "x", "metrics": {"roas": float("inf")}}, "finite"),
        ({"adId": "a", "text": "x", "color": "red"}, "Extra inputs"),
    ],
)
def test_a_creative_that_cannot_be_indexed_is_refused(creative, message):
    with pytest.raises(ValidationError, match=message):
        IndexWinnersParams.model_validate({"creatives": [creative]})


def test_an_ad_is_given_once_and_a_search_has_one_subject():
    twice = [{"adId": "a", "text": "x"}, {"adId": "b", "text": "x"}, {"adId": "a", "text": "y"}]
    with pytest.raises(ValidationError, match="given more often: a"):
        IndexWinnersParams.model_validate({"creatives": twice})
    for given in ({}, {"query": "x", "like": "a"}):
        with pytest.raises(ValidationError, match="give one of query, like and example"):
            FindWinnersParams.model_validate(given)
