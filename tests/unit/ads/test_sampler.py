"""The sampler: its sums, its draws, the shares of a budget, and its regret on simulated markets."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsheet.ads.budget import bounded_shares, smoothed_shares
from callsheet.ads.sampler import Arm, Posterior, Prior, best_probabilities, posteriors
from callsheet.testing.ad_markets import MARKETS, POLICIES, regret


def test_a_half_life_halves_the_sums_and_matures_the_impressions():
    arm = Arm().served(1000, 10.0).rewarded(4, 80.0, 0, 30)

    aged = arm.aged(30, half_life=30, delay_half_life=15)

    assert (aged.trials, aged.conversions, aged.revenue, aged.spend) == (500, 2, 40, 5)
    assert aged.immature == pytest.approx(125)
    assert aged.matured == pytest.approx(375)


def test_a_late_reward_counts_as_of_the_time_of_its_impression():
    at_once = Arm().rewarded(1, 10, 0, 30).aged(60, 30, 3)
    late = Arm().aged(60, 30, 3).rewarded(1, 10, 60, 30)

    assert late == at_once


def test_impressions_whose_rewards_are_still_to_come_do_not_count_as_failures():
    known = Arm(trials=10_000, conversions=100, revenue=1000, spend=100)
    fresh = Arm(trials=20_000, immature=10_000, conversions=100, revenue=1000, spend=200)
    prior = Prior.of([known])

    assert Posterior.of(fresh, prior).beta == Posterior.of(known, prior).beta


def test_an_ad_without_data_is_expected_to_be_average_and_is_tried():
    arms = [Arm(10_000, 0, 100, 1000, 100), Arm(10_000, 0, 80, 800, 100), Arm()]

    known = posteriors(arms)

    assert known[2].mean == pytest.approx((known[0].mean + known[1].mean) / 2, rel=0.05)
    assert best_probabilities(known, Random(1), 500)[2] > 0.1


def test_the_better_ad_gets_the_higher_share_the_more_surely_the_more_is_known():
    few = best_probabilities(posteriors([Arm(500, 0, 12, 120, 5), Arm(500, 0, 10, 100, 5)]), Random(1), 1000)
    sure = [Arm(50_000, 0, 1200, 12_000, 500), Arm(50_000, 0, 1000, 10_000, 500)]
    many = best_probabilities(posteriors(sure), Random(1), 1000)

    assert 0.5 < few[0] < 0.9 < many[0]


def test_a_cheaper_ad_with_the_same_rewards_is_better():
    cheap, dear = posteriors([Arm(10_000, 0, 100, 1000, 50), Arm(10_000, 0, 100, 1000, 100)])

    assert cheap.mean == pytest.approx(2 * dear.mean)


shares = st.lists(st.floats(0, 1), min_size=1, max_size=20).filter(lambda each: sum(each) > 0.01)


@settings(max_examples=40, deadline=None)
@given(shares, st.floats(0, 1), st.floats(0, 1))
def test_bounded_shares_are_inside_and_add_up_to_one(given_shares, low, high):
    count = len(given_shares)
    lowest, highest = low / count, 1 / count + high * (1 - 1 / count)
    found = bounded_shares([each / sum(given_shares) for each in given_shares], lowest=lowest, highest=highest)

    assert sum(found) == pytest.approx(1)
    assert all(lowest - 1e-9 <= each <= highest + 1e-9 for each in found)


def test_shares_inside_the_bounds_keep_their_ratio_and_impossible_bounds_are_refused():
    assert bounded_shares([0.9, 0.06, 0.04], lowest=0.0, highest=0.5) == pytest.approx([0.5, 0.3, 0.2])
    assert bounded_shares([0.5, 0.3, 0.2], lowest=0.1, highest=0.6) == pytest.approx([0.5, 0.3, 0.2])
    with pytest.raises(ValueError, match="cannot add up to 1"):
        bounded_shares([0.5, 0.5], lowest=0.6, highest=1)
    with pytest.raises(ValueError, match="cannot add up to 1"):
        bounded_shares([0.5, 0.5], lowest=0, highest=0.4)


def test_shares_move_by_the_step_and_a_new_ad_starts_at_its_share():
    assert smoothed_shares([1.0, 0.0], [0.2, 0.8], 0.25) == pytest.approx([0.4, 0.6])
    assert sum(smoothed_shares([0.5, 0.3, 0.2], [0.5, 0.5, None], 0.5)) == pytest.approx(1)
    assert smoothed_shares([0.5, 0.5], [0.1, 0.9], 1) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("market", [MARKETS[2], MARKETS[4]], ids=lambda market: market.name)
def test_the_regret_is_at_most_half_of_epsilon_greedys_and_a_fifth_of_uniforms(market):
    found = {policy: regret(market, policy, rounds=1000, seed=7) for policy in POLICIES}

    assert found["sampler"] <= found["epsilon-greedy"] / 2
    assert found["sampler"] <= found["uniform"] / 5


def test_the_same_seed_gives_the_same_regret():
    assert regret(MARKETS[0], "sampler", rounds=50, seed=3) == regret(MARKETS[0], "sampler", rounds=50, seed=3)
