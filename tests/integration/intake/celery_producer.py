"""A Celery producer of its own: it knows the tasks by name only."""

from celery import Celery
from celery.result import AsyncResult

# A result that is collected after the end of its server would reconnect, to unsubscribe.
AsyncResult.__del__ = lambda _: None


def producer(url, **transport):
    app = Celery("producer", broker=url, backend=url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        task_publish_retry=False,
        # The tests call it in several threads.
        result_backend_thread_safe=True,
        broker_transport_options=transport,
        result_backend_transport_options={"retry_policy": {"max_retries": 1, "interval_start": 0}},
    )
    return app
