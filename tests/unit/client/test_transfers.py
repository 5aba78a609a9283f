"""Uploads and downloads against a server that cuts connections."""

import hashlib
import json
import os
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID

import pytest

from callsheet.client.errors import DamagedDownload
from callsheet.client.sync_client import SyncClient
from callsheet.domain.records import StoredArtifact

DATA = os.urandom(400_000)
ARTIFACT = StoredArtifact(
    artifact_id=UUID(int=1), name="clip.mp4", key="film/1/clip.mp4", media_type="video/mp4", size=len(DATA),
    sha256=hashlib.sha256(DATA).hexdigest(), execution_id=UUID(int=2), job_id="film", job_record_id=UUID(int=3),
    created_at=datetime(2026, 11, 22, tzinfo=UTC),
)  # fmt: skip


class FileServer(BaseHTTPRequestHandler):
    """Keeps what arrives before it cuts a connection, and sends only a part of a file before it cuts."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.announced.append(body)
        self._json(self._upload(body["size"]))

    def do_PATCH(self):
        offset, length = int(self.headers["Upload-Offset"]), int(self.headers["Content-Length"])
        self.server.offsets.append(offset)
        assert offset == len(self.server.received)
        if self.server.cuts:
            self.server.received += self.rfile.read(self.server.cuts.pop(0))
            self.close_connection = True
            self.connection.close()
            return
        self.server.received += self.rfile.read(length)
        self._json(self._upload(len(self.server.received)))

    def do_GET(self):
        if self.path.startswith("/api/uploads"):
            self._json(self._upload(len(DATA)))
        elif self.path.startswith("/api/artifacts"):
            self._json({**ARTIFACT.model_dump(mode="json"), "url": "http://10.255.255.1:1/files/1?sig=x"})
        else:
            self._file()

    def _file(self):
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.server.offsets.append(begin)
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(self.server.file) - begin))
        self.end_headers()
        end = begin + self.server.cuts.pop(0) if self.server.cuts else None
        self.wfile.write(self.server.file[begin:end])
        if end is not None:
            self.close_connection = True

    def _upload(self, size):
        received = len(self.server.received)
        complete = self.server.has_it or (received == size and received == len(DATA))
        return {"id": "1", "source": "storage:uploads/x", "offset": received, "complete": complete, "uploadUrl": None}

    def _json(self, data):
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), FileServer)
    server.announced, server.offsets, server.received, server.cuts = [], [], b"", []
    server.file, server.has_it = DATA, False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(server):
    with SyncClient(f"http://127.0.0.1:{server.server_port}", None) as client:
        yield client


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(DATA)
    return path


def test_an_upload_continues_where_the_server_is(client, server, file):
    server.cuts = [150_000, 100_000]
    progress = []

    assert client.upload(file, on_progress=progress.append) == ("storage:uploads/x", True)

    assert server.received == DATA
    assert server.offsets == [0, 150_000, 250_000]
    assert server.announced == [{"sha256": ARTIFACT.sha256, "size": len(DATA), "name": "clip.mp4"}]
    assert progress[-1] == len(DATA)


def test_a_file_that_the_server_has_is_not_sent(client, server, file):
    server.has_it = True

    assert client.upload(file) == ("storage:uploads/x", False)
    assert server.offsets == []


def test_a_download_continues_after_a_cut_and_uses_the_address_of_the_client(client, server, tmp_path):
    server.cuts = [150_000, 100_000]
    target = tmp_path / "out" / "clip.mp4"

    assert client.download_artifact(ARTIFACT, target) is True

    assert server.offsets == [0, 150_000, 250_000]
    assert target.read_bytes() == DATA
    assert [path.name for path in target.parent.iterdir()] == ["clip.mp4"]


def test_a_file_that_is_there_is_not_downloaded_again(client, server, file):
    assert client.download_artifact(ARTIFACT, file) is False
    assert server.offsets == []


def test_the_part_of_an_earlier_download_is_continued(client, server, tmp_path):
    (tmp_path / f".clip.mp4.{ARTIFACT.sha256[:16]}.part").write_bytes(DATA[:1000])

    assert client.download_artifact(ARTIFACT, tmp_path / "clip.mp4") is True
    assert server.offsets == [1000]
    assert (tmp_path / "clip.mp4").read_bytes() == DATA


def test_a_damaged_part_is_downloaded_again(client, server, tmp_path):
    (tmp_path / f".clip.mp4.{ARTIFACT.sha256[:16]}.part").write_bytes(b"x" * 1000)

    assert client.download_artifact(ARTIFACT, tmp_path / "clip.mp4") is True
    assert server.offsets == [1000, 0]


def test_contents_with_another_digest_are_not_kept(client, server, tmp_path):
    server.file = DATA[:-1] + bytes([DATA[-1] ^ 1])

    with pytest.raises(DamagedDownload, match="SHA-256"):
        client.download_artifact(ARTIFACT, tmp_path / "clip.mp4")

    assert list(tmp_path.iterdir()) == []
