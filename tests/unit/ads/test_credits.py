"""The rules of attribution, and the credit of deals to the cent."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsheet.ads.attribution import MODELS, Touch, touch_weights
from callsheet.ads.cents import split
from callsheet.ads.credits import correction, due_credits, total
from callsheet.ads.deals import DealChange, DealState, changed_deal, is_outdated
from callsheet.ads.stages import DEFAULT_STAGES, stages_of, synthetic_revenue

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WEEK = timedelta(days=7)

amounts = st.decimals(min_value=0, max_value=10**12, places=2)
touches = st.lists(
    st.builds(
        Touch,
        st.integers(0, 90 * 86_400).map(lambda seconds: NOW - timedelta(seconds=seconds)),
        st.sampled_from(["red", "green", "blue"]),
    ),
    min_size=1,
    max_size=12,
)


def touch(ad, days_ago):
    return Touch(NOW - timedelta(days=days_ago), ad)


def due(found, value, probability=1):
    probability = Decimal(probability)
    revenue = synthetic_revenue(Decimal(value), probability)
    return due_credits(found, stage="closedwon", revenue=revenue, probability=probability, half_life=WEEK)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("first", [1, 0, 0, 0]),
        ("last", [0, 0, 0, 1]),
        ("linear", [Fraction(1, 4)] * 4),
        ("position", [Fraction(2, 5), Fraction(1, 10), Fraction(1, 10), Fraction(2, 5)]),
        ("time-decay", [Fraction(1, 15), Fraction(2, 15), Fraction(4, 15), Fraction(8, 15)]),
    ],
)
def test_each_model_weighs_four_weekly_touches_as_documented(model, expected):
    found = [touch("ad", days) for days in (21, 14, 7, 0)]

    assert touch_weights(model, found, WEEK) == expected


def test_two_touches_share_by_position_evenly_and_one_gets_all():
    assert touch_weights("position", [touch("a", 1), touch("b", 0)], WEEK) == [Fraction(1, 2)] * 2
    assert touch_weights("position", [touch("a", 1)], WEEK) == [1]


@settings(max_examples=30, deadline=None)
@given(touches)
def test_the_weights_of_every_model_add_up_to_one(found):
    for model in MODELS:
        assert sum(touch_weights(model, sorted(found), WEEK)) == 1


def test_a_touch_of_a_thousand_half_lives_ago_has_no_effect_on_the_others():
    weights = touch_weights("time-decay", [Touch(NOW - 5000 * WEEK, "old"), touch("new", 0)], WEEK)

    assert float(weights[1]) == 1 and sum(weights) == 1


@settings(max_examples=40, deadline=None)
@given(amounts, st.lists(st.floats(0, 1e6), min_size=1, max_size=20).filter(any))
def test_parts_add_up_to_the_amount_and_differ_from_their_share_by_less_than_a_cent(amount, weights):
    parts = split(amount, weights)

    assert sum(parts) == amount
    total_weight = sum(map(Fraction, weights))
    for part, weight in zip(parts, weights, strict=True):
        assert abs(Fraction(part) - Fraction(amount) * Fraction(weight) / total_weight) < Fraction(1, 100)


def test_weights_that_are_all_zero_or_negative_are_refused():
    for weights in ([0, 0], [1, -1], []):
        with pytest.raises(ValueError, match="weights"):
            split(Decimal(1), weights)


@settings(max_examples=30, deadline=None)
@given(touches, amounts, st.sampled_from(sorted(DEFAULT_STAGES.values())))
def test_the_credit_of_every_model_adds_up_to_the_synthetic_revenue(found, value, probability):
    revenue = synthetic_revenue(value, probability)
    rows = due_credits(found, stage="x", revenue=revenue, probability=probability, half_life=WEEK)

    for model in MODELS:
        assert total(rows, model) == revenue
        conversions = sum(row.conversions for row in rows if row.model == model)
        assert conversions == pytest.approx(float(probability))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(touches, amounts, st.sampled_from(sorted(DEFAULT_STAGES.values()))), min_size=1, max_size=3))
def test_after_any_moves_the_rows_add_up_to_the_credit_that_is_due_now(moves):
    rows = []
    for found, value, probability in moves:
        revenue = synthetic_revenue(value, probability)
        wanted = due_credits(found, stage="x", revenue=revenue, probability=probability, half_life=WEEK)
        rows += correction(opened(rows), wanted)

        assert opened(rows) == sorted(wanted, key=place)
        assert correction(opened(rows), wanted) == []


def test_a_lost_deal_reverses_its_credit_and_winning_it_again_restores_it():
    won, lost = due([touch("a", 3), touch("b", 1)], "99.99"), due([touch("a", 3), touch("b", 1)], "99.99", 0)
    assert lost == []

    rows = correction([], won)
    rows += correction(opened(rows), lost)
    assert opened(rows) == []
    assert all(total(rows, model) == 0 for model in MODELS)

    rows += correction([], won)
    assert opened(rows) == sorted(won, key=place)


def place(row):
    return (row.model, row.ad, row.served_on)


def opened(rows):
    """The rows that are not reversed, summed as the database does."""
    sums = {}
    for row in rows:
        key = (row.stage, row.model, row.ad, row.served_on)
        amount, conversions = sums.get(key, (0, 0))
        sums[key] = (amount + row.amount, conversions + row.conversions)
    credits = [
        type(rows[0])("credit", *key, amount, conversions)
        for key, (amount, conversions) in sums.items()
        if amount or abs(conversions) > 1e-9
    ]
    return sorted(credits, key=place)


def test_a_tenant_without_stages_has_the_default_ones():
    assert stages_of([]) == DEFAULT_STAGES
    assert stages_of([{"stage": "won", "probability": Decimal(1)}]) == {"won": Decimal(1)}


def test_changes_count_by_their_time_in_whichever_order_they_come():
    moved = DealChange(NOW, stage="contractsent")
    valued = DealChange(NOW - WEEK, value=Decimal(100), contacts=["ann"])
    older = DealChange(NOW - WEEK, stage="qualifiedtobuy")

    states = []
    for order in ([moved, valued, older], [older, valued, moved], [valued, older, moved]):
        state = DealState()
        for change in order:
            state = changed_deal(state, change)
        states.append(state)

    assert states[0] == states[1] == states[2]
    assert (states[0].stage, states[0].value, states[0].contacts) == ("contractsent", Decimal(100), ("ann",))
    assert is_outdated(states[0], older) and not is_outdated(states[0], moved)
