"""Where artifacts are stored, and the URLs that lead to them."""

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, model_validator

from callsheet.domain.durations import Duration
from callsheet.settings.bucket_url import bucket_in_url, without_bucket_path


class StorageSettings(BaseModel):
    """Storage of artifacts: a folder or a bucket."""

    s3_bucket: str | None = Field(
        None,
        description="Bucket for artifacts; unset: the bucket in the URL of the server, or without a URL, local files "
        "in the data folder",
    )
    s3_endpoint: str | None = Field(
        None,
        description="URL of an S3-compatible server, such as R2 or MinIO; unset: AWS. It may contain the bucket: "
        "`https://my-bucket.s3.example.com` or `https://s3.example.com/my-bucket`",
    )
    s3_addressing: Literal["auto", "path", "virtual"] = Field(
        "auto",
        description="Place of the bucket in URLs: `path` (`https://s3.example.com/my-bucket/…`) or `virtual` "
        "(`https://my-bucket.s3.example.com/…`); `auto`: `virtual` if the host of the URL starts with the bucket",
    )
    s3_region: str = Field("auto", description="Region of the bucket")
    s3_access_key: SecretStr | None = Field(None, description="Access key id for the bucket")
    s3_secret_key: SecretStr | None = Field(None, description="Secret access key for the bucket")
    s3_prefix: str = Field("", description="Key prefix of all objects in the bucket; empty: no prefix")
    storage_outage_timeout: Duration = Field(
        timedelta(minutes=30),
        description="Time that a job waits for a storage that is unreachable or full. Its finished files stay on the "
        "worker's disk meanwhile, no attempt is counted, and its time limit is paused. After it, the run fails; "
        "0: jobs do not wait",
    )
    finished_result_max_age: Duration = Field(
        timedelta(days=1),
        description="Time that the finished files of a job, which the storage did not take, stay on the worker's disk. "
        "A retry on the same machine only stores them; 0: a retry runs the operation again",
    )
    signed_url_ttl: Duration = Field(timedelta(minutes=15), description="Lifetime of signed URLs")
    cache_max_age: Duration = Field(
        timedelta(days=7),
        description="Time that encoded segments stay in the storage, for reuse by later renders; 0: no cache",
    )
    signing_key: SecretStr | None = Field(
        None,
        description="Key that signs URLs of local files and outgoing webhooks; unset: generated once and stored in "
        "the data folder. All servers that share a database need the same key",
    )

    @model_validator(mode="after")
    def _read_bucket_from_url(self) -> "StorageSettings":
        """Set the bucket and the endpoint from a URL that contains both."""
        if self.s3_endpoint is None:
            return self
        if self.s3_bucket is None:
            self.s3_bucket = bucket_in_url(self.s3_endpoint)
        self.s3_endpoint = without_bucket_path(self.s3_endpoint, self.s3_bucket)
        return self
