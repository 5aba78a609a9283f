"""The connections that the processes of an installation can open, against what the server allows."""

import pytest

from callsheet.db.connection_budget import ConnectionBudget


def budget(**more):
    facts = {"pool_size": 8, "servers": 2, "workers": 3, "max_connections": 100, "reserved": 3, "others": 10}
    return ConnectionBudget(**{**facts, "is_pooled": False, **more})


def test_it_adds_up_the_pools_and_the_other_connections_of_all_processes():
    found = budget()

    assert (found.needed, found.available, found.is_enough) == (2 * 9 + 3 * 13, 87, True)
    assert str(found) == (
        "2 servers (each up to 9 connections) and 3 workers (13) can open up to 57 of 87 connections (100 allowed, 3 "
        "reserved, 10 of other applications)"
    )


@pytest.mark.parametrize(
    ("more", "is_enough"),
    [({"workers": 5}, True), ({"workers": 6}, False), ({"others": 40}, True), ({"others": 41}, False)],
)
def test_it_is_enough_as_long_as_all_pools_can_be_full(more, is_enough):
    assert budget(**more).is_enough is is_enough


def test_it_names_what_a_pooler_must_allow():
    assert str(budget(is_pooled=True)).endswith("the pooler before the database must allow 57 sessions, too")
