import pytest

from callsheet.files.receiver_urls import callback_problems
from callsheet.settings import Settings


def codes(url, **settings):
    return [problem.code for problem in callback_problems(url, Settings(_env_file=None, **settings))]


@pytest.mark.parametrize(
    "url", [None, "https://example.com/hook?x=1", "https://example.com:443/", "https://[2600::1]/"]
)
def test_a_public_https_url_is_valid(url):
    assert codes(url) == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://example.com/", "not_https"),
        ("ftp://example.com/", "bad_url"),
        ("example.com/hook", "bad_url"),
        ("https://", "bad_url"),
        ("https://[::1", "bad_url"),
        ("https://x:99999/", "bad_url"),
        ("https://ada@example.com/", "credentials_in_url"),
        ("https://127.0.0.1/", "private_address"),
        ("https://[::ffff:10.0.0.1]/", "private_address"),
        ("https://169.254.169.254/", "private_address"),
        ("https://localhost/", "private_address"),
        ("https://127.1/", "private_address"),
        ("https://0177.0.0.1/", "private_address"),
        ("https://0x7f.1/", "private_address"),
        ("https://\u246027.0.0.1/", "private_address"),
    ],
)
def test_any_other_url_is_rejected_with_a_reason(url, code):
    assert code in codes(url)


def test_all_problems_are_reported_together():
    assert codes("http://ada:x@10.0.0.1/") == ["not_https", "credentials_in_url", "private_address"]


def test_the_settings_can_allow_http_and_private_addresses():
    assert codes("http://example.com/", allow_http=True) == []
    assert codes("http://127.0.0.1:9000/", allow_private_addresses=True) == []
