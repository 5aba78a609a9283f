import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from callsheet.domain.errors import CallsheetError, DiskFull, NotFound, StorageRejected, StorageUnreachable
from callsheet.files.storage_errors import translate_errors

HTTP = "Generic S3 error: Error performing PUT http://minio:9000/videos/x in 2ms - "
DENIED = HTTP + "Server returned non-2xx status code: 403 Forbidden: <Error><Code>{}</Code></Error>"


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (GenericError("Unable to copy data to file: No space left (os error 28)"), DiskFull, "no space left"),
        (GenericError("Unable to copy data to file: Disk quota exceeded (os error 122)"), DiskFull, "no space"),
        (OSError(28, "No space left on device (os error 28)"), DiskFull, "no space left"),
        (GenericError(HTTP + "status code: 507 Insufficient Storage: "), DiskFull, "no space left"),
        (GenericError(HTTP + "status code: 503 : <Code>XMinioStorageFull</Code>"), DiskFull, "no space left"),
        (GenericError("Unable to open file (os error 13)"), StorageRejected, "EACCES"),
        (GenericError("Unable to write (os error 5)"), StorageUnreachable, "EIO"),
        (FileNotFoundError("Object at location x not found: 404 "), NotFound, "no file 'a/x.mp4'"),
        (FileNotFoundError("<Code>NoSuchBucket</Code>"), StorageRejected, "There is no bucket 'videos'"),
        (PermissionDeniedError(DENIED.format("SignatureDoesNotMatch")), StorageRejected, "secret key is wrong"),
        (PermissionDeniedError(DENIED.format("InvalidAccessKeyId")), StorageRejected, "access key is unknown"),
        (PermissionDeniedError(DENIED.format("RequestTimeTooSkewed")), StorageRejected, "clock"),
        (PermissionDeniedError(HTTP + "status code: 403 Forbidden: "), StorageRejected, "access key"),
        (GenericError(HTTP + "status code: 503 : <Code>SlowDown</Code>"), StorageUnreachable, "503 SlowDown"),
        (GenericError(HTTP + "status code: 400 : <Code>RequestTimeout</Code>"), StorageUnreachable, "RequestTimeout"),
        (GenericError(HTTP + "status code: 400 : <Code>EntityTooLarge</Code>"), StorageRejected, "EntityTooLarge"),
        (PermissionDeniedError(DENIED.format("ExpiredToken")), StorageUnreachable, "expired"),
        (GenericError(HTTP + "status code: 301 : <Code>PermanentRedirect</Code>"), StorageRejected, "region"),
        (GenericError(HTTP + "HTTP error: kind: Connect, Connection refused"), StorageUnreachable, "refused"),
        (GenericError(HTTP + "HTTP error: kind: Connect, source: dns error"), StorageUnreachable, "host name"),
        (GenericError(HTTP + "kind: Connect invalid peer certificate"), StorageUnreachable, "certificate"),
        (GenericError(HTTP + "kind: Timeout, source: TimedOut"), StorageUnreachable, "did not respond in time"),
        (GenericError("Content-Range header not present"), StorageUnreachable, "response is invalid"),
    ],
)
def test_errors_of_the_store_are_translated(error: Exception, kind: type[CallsheetError], message: str) -> None:
    with pytest.raises(kind) as caught, translate_errors("bucket 'videos' at minio:9000", "a/x.mp4"):
        raise error

    assert message in str(caught.value)
    assert "http://" not in str(caught.value)


def test_a_session_token_in_a_response_is_not_exposed() -> None:
    response = "status code: 403 : <Error><Code>ExpiredToken</Code><Token-0>FQoGsecret</Token-0></Error>"

    with pytest.raises(StorageUnreachable, match="expired") as caught, translate_errors("bucket", "x"):
        raise PermissionDeniedError(response)

    assert "FQoG" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_an_unrelated_value_error_is_not_translated() -> None:
    with pytest.raises(ValueError, match="unrelated"), translate_errors("bucket", "x"):
        raise ValueError("unrelated")
