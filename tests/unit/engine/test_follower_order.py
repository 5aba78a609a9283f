"""The order in which a follower of many executions reads them, and its cost."""

import time
from uuid import UUID

from callsheet.engine.reads.event_follower import EventFollower


def follower_of(executions):
    follower = EventFollower(on_add=lambda *_: None, on_remove=lambda *_: None, request_read=lambda _: None)
    for number in range(executions):
        follower.add(UUID(int=number))
    return follower


def numbers(cursors):
    return [cursor.execution_id.int for cursor in cursors]


def test_executions_are_read_in_the_order_of_their_notifications():
    follower = follower_of(5)
    assert numbers(follower.take_unread(10)) == [0, 1, 2, 3, 4]

    follower.mark_unread([UUID(int=3)])
    follower.mark_unread([UUID(int=1), UUID(int=3)])

    assert numbers(follower.take_unread(1)) == [3]
    assert numbers(follower.take_unread(10)) == [1]


def test_the_time_to_read_all_is_not_quadratic():
    follower = follower_of(100_000)

    began = time.process_time()
    while follower.take_unread(1000):
        pass

    # A hundredth of a second if linear, several seconds if quadratic.
    assert time.process_time() - began < 1
