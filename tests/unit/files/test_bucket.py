"""Client options of a bucket: addressing style and region."""

import pytest

from callsheet.files.bucket import open_bucket
from callsheet.settings import Settings


@pytest.mark.parametrize(
    ("url", "addressing", "virtual"),
    [
        ("https://films.r2.example.com", "auto", True),
        ("https://s3.example.com", "auto", False),
        ("https://films.example.com", "path", False),
        ("https://cdn.example.com", "virtual", True),
    ],
)
def test_the_bucket_is_in_the_host_or_in_the_path(url, addressing, virtual):
    settings = Settings(_env_file=None, s3_bucket="films", s3_endpoint=url, s3_addressing=addressing)

    assert open_bucket(settings, "films").config["virtual_hosted_style_request"] in (virtual, str(virtual).lower())


@pytest.mark.parametrize(
    ("url", "given", "region"),
    [
        ("https://films.s3.eu-west-1.amazonaws.com", "auto", "eu-west-1"),
        ("https://films.s3.amazonaws.com", "auto", "us-east-1"),
        ("https://films.s3.eu-west-1.amazonaws.com", "eu-west-3", "eu-west-3"),
        ("https://films.r2.example.com", "auto", "auto"),
    ],
)
def test_the_region_of_an_aws_endpoint_is_read_from_its_host(url, given, region):
    settings = Settings(_env_file=None, s3_endpoint=url, s3_region=given)

    assert open_bucket(settings, "films").config["region"] == region
