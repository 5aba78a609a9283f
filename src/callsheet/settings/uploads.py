"""Uploads: files that clients send for their plans."""

from datetime import timedelta

from pydantic import BaseModel, Field

from callsheet.domain.durations import Duration


class UploadSettings(BaseModel):
    """Limits of uploads."""

    upload_max_bytes: int = Field(20 * 2**30, ge=1, description="Maximum size of one uploaded file, in bytes")
    upload_quota_bytes: int = Field(
        200 * 2**30, ge=1, description="Maximum size of all uploaded files together, in bytes"
    )
    upload_max_age: Duration = Field(
        timedelta(days=7),
        description="Time after which an unused upload is deleted; each submitted plan that names it counts as a use",
    )
