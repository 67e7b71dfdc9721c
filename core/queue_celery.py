"""The JobQueue on Celery: sends by task name, so that no process but the worker imports the tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from kombu.exceptions import KombuError

from core.errors import QueueError
from core.jobs import Device, Lane
from core.queue import DELIVER_TASK, IO_QUEUE, RUN_JOB_TASK, job_queue_name

DELIVERIES_EXPIRE_S = 60.0
"""A request for deliveries that nobody took by then is pointless: the sweeper has sent others."""


class CeleryJobQueue:
    """Sends messages through `app`, which core.celery_config has made. May be used from many threads."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send_job(self, job_id: str, *, device: Device, lane: Lane) -> None:
        """Send the job's message; QueueError when the broker does not take it within seconds."""
        with self._answered():
            self._app.send_task(RUN_JOB_TASK, args=(job_id,), queue=job_queue_name(device, lane))

    def send_deliveries(self) -> None:
        """Ask for the webhooks that are due; QueueError as above."""
        with self._answered():
            self._app.send_task(DELIVER_TASK, queue=IO_QUEUE, expires=DELIVERIES_EXPIRE_S)

    def count_messages(self, *, device: Device, lane: Lane) -> int:
        """Messages that wait in the queue; QueueError as above."""
        with self._answered(), self._app.connection_for_write() as connection:
            return int(connection.default_channel.queue_declare(job_queue_name(device, lane)).message_count)

    def check(self) -> None:
        """Raise QueueError when the broker does not answer."""
        self.count_messages(device=Device.CPU, lane=Lane.INTERACTIVE)

    @contextmanager
    def _answered(self) -> Iterator[None]:
        connection = self._app.connection_for_write()  # only its lists of errors are used
        errors = (KombuError, OSError, *connection.connection_errors, *connection.channel_errors)
        try:
            yield
        except errors as error:
            raise QueueError("The job queue did not answer.") from error
