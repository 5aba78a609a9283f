import structlog

from callsheet.db import outage_log
from callsheet.db.outage_log import OutageLog


def test_an_outage_is_logged_less_and_less_often_and_its_end_once(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(outage_log.time, "monotonic", lambda: now)
    logger = structlog.testing.CapturingLogger()
    monkeypatch.setattr(outage_log, "log", logger)
    outage = OutageLog()

    for _ in range(600):
        outage.failed("claim", ConnectionRefusedError())
        now += 0.5
    outage.succeeded()
    outage.succeeded()

    warned = [call.kwargs["seconds"] for call in logger.calls if call.method_name == "warning"]
    assert warned == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert [call.args[0] for call in logger.calls if call.method_name == "info"] == ["database available again"]
    now += 61
    outage.failed("claim", ConnectionRefusedError())
    assert logger.calls[-1].method_name == "warning"
