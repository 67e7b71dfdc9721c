"""The job queue on a real Redis."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest
import redis

from core.celery_config import make_celery
from core.errors import QueueError
from core.jobs import Device, Lane
from core.queue_celery import CeleryJobQueue
from core.settings import Settings
from tests.servers import free_port, redis_server

ANSWER_LIMIT_S = 15.0


def make_queue(url: str) -> CeleryJobQueue:
    """A queue on the Redis at `url`."""
    return CeleryJobQueue(make_celery(Settings.model_validate({"broker_url": url})))


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """The Redis, empty before and after."""
    with redis.Redis.from_url(redis_url) as opened:
        opened.flushdb()
        yield opened
        opened.flushdb()


def test_a_message_waits_in_the_queue_of_device_and_lane(redis_url: str, client: redis.Redis) -> None:
    make_queue(redis_url).send_job("0199", device=Device.GPU, lane=Lane.INTERACTIVE)

    assert client.llen("gpu.interactive") == 1


def test_messages_are_counted_by_queue(redis_url: str, client: redis.Redis) -> None:
    queue = make_queue(redis_url)
    for job_id in ("0199", "0200"):
        queue.send_job(job_id, device=Device.CPU, lane=Lane.BULK)

    assert queue.count_messages(device=Device.CPU, lane=Lane.BULK) == 2
    assert queue.count_messages(device=Device.CPU, lane=Lane.INTERACTIVE) == 0
    client.flushdb()
    assert queue.count_messages(device=Device.CPU, lane=Lane.BULK) == 0


def test_a_message_that_is_worked_on_is_in_no_book_that_a_visibility_timeout_could_restore(
    redis_url: str, client: redis.Redis
) -> None:
    app = make_celery(Settings.model_validate({"broker_url": redis_url}))
    app.conf.broker_transport_options = app.conf.broker_transport_options | {"visibility_timeout": 0}
    CeleryJobQueue(app).send_job("0199", device=Device.CPU, lane=Lane.BULK)

    with app.connection_for_read() as connection:
        channel = connection.channel()
        message = channel.basic_get("cpu.bulk")
        left = client.keys()
        channel.qos.restore_visible(num=10)

        assert message is not None
        assert left == []
        assert client.llen("cpu.bulk") == 0


def test_a_flushed_broker_has_nothing_to_forget_but_messages(redis_url: str, client: redis.Redis) -> None:
    queue = make_queue(redis_url)
    queue.send_job("0199", device=Device.CPU, lane=Lane.BULK)
    assert client.keys() == [b"cpu.bulk"]

    client.flushdb()
    queue.send_job("0199", device=Device.CPU, lane=Lane.BULK)

    assert client.keys() == [b"cpu.bulk"]


def test_a_message_that_is_acknowledged_while_the_broker_is_gone_blocks_no_other() -> None:
    with redis_server() as url:
        make_queue(url).send_job("0199", device=Device.CPU, lane=Lane.BULK)
        app = make_celery(Settings.model_validate({"broker_url": url}))
        with app.connection_for_read() as connection, connection.SimpleQueue("cpu.bulk") as waiting:
            channel = waiting.consumer.channel
            channel.basic_qos(0, 1, False)
            message = waiting.get(timeout=10)
            assert not channel.qos.can_consume()

            with redis.Redis.from_url(url) as client:
                client.shutdown(nosave=True)
            message.ack_log_error(logging.getLogger(__name__), (redis.ConnectionError,))

            assert channel.qos.can_consume()


def test_a_restarted_broker_takes_messages_again() -> None:
    port = free_port()
    with redis_server(port=port) as url:
        queue = make_queue(url)
        queue.send_job("0199", device=Device.CPU, lane=Lane.BULK)

    with pytest.raises(QueueError):
        queue.send_job("0199", device=Device.CPU, lane=Lane.BULK)
    with redis_server(port=port):
        queue.check()
        queue.send_job("0199", device=Device.CPU, lane=Lane.BULK)


def test_a_broker_that_is_down_is_a_queue_error_within_seconds() -> None:
    queue = make_queue(f"redis://127.0.0.1:{free_port()}/0")
    started = time.monotonic()

    with pytest.raises(QueueError):
        queue.check()
    with pytest.raises(QueueError):
        queue.send_job("0199", device=Device.CPU, lane=Lane.BULK)

    assert time.monotonic() - started < ANSWER_LIMIT_S
