from uuid import uuid4

import pytest

from callsheet.notify.receivers import Receivers


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def receivers(clock):
    return Receivers(max_concurrent=100, clock=clock)


def start_all(receivers, url, number):
    """Return the ids of the started deliveries and the delays of the postponed ones."""
    started, delays = [], []
    for _ in range(number):
        webhook = uuid4()
        delay = receivers.start(webhook, url)
        if delay is None:
            started.append(webhook)
        else:
            delays.append(delay)
    return started, delays


def fail(receivers, url, times):
    for _ in range(times):
        webhook = uuid4()
        assert receivers.start(webhook, url) is None
        receivers.finish(webhook, url, delivered=False)


def test_a_url_has_a_few_deliveries_at_a_time(receivers):
    started, delays = start_all(receivers, "https://a.example/hook", 40)

    assert (len(started), len(delays)) == (16, 24)
    assert receivers.free == 84


def test_the_query_of_a_url_does_not_give_it_more(receivers):
    urls = [f"https://a.example/hook?order={number}" for number in range(40)]

    assert sum(receivers.start(uuid4(), url) is None for url in urls) == 16


def test_a_host_has_at_most_half_as_many_deliveries_as_are_free_for_others(receivers):
    started = sum(receivers.start(uuid4(), f"https://dead.example/{number}") is None for number in range(1000))

    assert started == 34
    assert receivers.start(uuid4(), "https://healthy.example/") is None


def test_dead_hosts_come_to_equal_shares_and_leave_room_for_a_healthy_one(receivers, clock):
    hosts = {host: [] for host in range(8)}
    for _ in range(6):
        for host, running in hosts.items():
            for webhook, url in running:
                receivers.finish(webhook, url, delivered=False)
            running.clear()
            for path in range(100):
                webhook, url = uuid4(), f"https://dead-{host}.example/{path}?{uuid4()}"
                if receivers.start(webhook, url) is None:
                    running.append((webhook, url))
        clock.now += 100

    assert {len(running) for running in hosts.values()} <= {9, 10, 11}
    assert receivers.free >= 18


def test_postponed_webhooks_of_a_receiver_that_hangs_are_spread_over_a_minute(receivers, clock):
    start_all(receivers, "https://a.example/", 16)
    clock.now += 10

    _, delays = start_all(receivers, "https://a.example/", 2000)

    assert delays == sorted(delays)
    assert delays[0] < 1
    assert delays[-1] == pytest.approx(60)


def test_postponed_webhooks_of_a_quick_receiver_are_due_in_a_moment(receivers, clock):
    for _ in range(30):
        started, _ = start_all(receivers, "https://a.example/", 16)
        clock.now += 0.01
        for webhook in started:
            receivers.finish(webhook, "https://a.example/", delivered=True)
    start_all(receivers, "https://a.example/", 16)

    _, delays = start_all(receivers, "https://a.example/", 500)

    assert delays[-1] < 1


def test_a_url_that_fails_is_tried_less_and_less_often_until_it_succeeds(receivers, clock):
    url, pauses = "https://a.example/", []
    fail(receivers, url, 3)
    for _ in range(8):
        pauses.append(receivers.start(uuid4(), url))
        clock.now += pauses[-1] + 61
        fail(receivers, url, 1)

    assert [round(pause) for pause in pauses] == [1, 2, 4, 8, 16, 32, 60, 60]
    clock.now += 120
    webhook = uuid4()
    assert receivers.start(webhook, url) is None
    assert receivers.start(uuid4(), url) is not None, "one at a time while it fails"
    receivers.finish(webhook, url, delivered=True)
    assert len(start_all(receivers, url, 20)[0]) == 16


def test_a_url_that_fails_does_not_hold_up_another_one_of_its_host(receivers):
    fail(receivers, "https://a.example/broken", 3)

    assert receivers.start(uuid4(), "https://a.example/works") is None


def test_a_receiver_can_ask_for_a_longer_pause(receivers):
    webhook = uuid4()
    receivers.start(webhook, "https://a.example/")
    receivers.finish(webhook, "https://a.example/", delivered=False, retry_after=40)

    assert 40 <= receivers.start(uuid4(), "https://a.example/") < 41


def test_a_pause_has_a_limit(receivers):
    webhook = uuid4()
    receivers.start(webhook, "https://a.example/")
    receivers.finish(webhook, "https://a.example/", delivered=False, retry_after=10**9)

    assert receivers.start(uuid4(), "https://a.example/") < 901


def test_receivers_that_work_are_forgotten(receivers):
    for number in range(100):
        webhook, url = uuid4(), f"https://a.example/{number}"
        receivers.start(webhook, url)
        receivers.finish(webhook, url, delivered=True)

    assert (len(receivers._urls), len(receivers._hosts), receivers.free) == (0, 0, 100)


def test_a_claim_that_was_not_stored_uses_no_share(receivers):
    webhook = uuid4()
    receivers.start(webhook, "https://a.example/")
    receivers.abandon(webhook, "https://a.example/")

    assert receivers.free == 100
    assert len(start_all(receivers, "https://a.example/", 20)[0]) == 16
