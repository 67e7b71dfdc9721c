"""The embedded broker: messages appear whole, are taken once, and none is taken without room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu.connection import Connection

from core.celery_config import make_celery, prepare_broker
from core.errors import QueueError
from core.filesystem_broker import MESSAGES_FOLDER, TAKEN_FOLDER
from core.jobs import Device, Lane
from core.queue_celery import CeleryJobQueue
from core.settings import Settings

QUEUE = "cpu.interactive"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The embedded stack in a folder of its own."""
    made = Settings(data_dir=tmp_path)
    prepare_broker(made)
    return made


@pytest.fixture
def connect(settings: Settings) -> Iterator[Callable[..., Any]]:
    """Opens channels of the broker."""
    connections = []

    def open_channel(**options: Any) -> Any:  # noqa: ANN401
        app = make_celery(settings)
        app.conf.broker_transport_options.update(options)
        connection: Connection = app.connection_for_read()
        connections.append(connection)
        return connection.channel()

    yield open_channel
    for connection in connections:
        connection.release()


def test_messages_come_out_in_the_order_they_went_in(connect: Callable[..., Any]) -> None:
    channel = connect()
    for number in range(20):
        channel._put(QUEUE, {"number": number})

    assert channel._size(QUEUE) == 20
    assert [channel._get(QUEUE)["number"] for _ in range(20)] == list(range(20))
    with pytest.raises(Empty):
        channel._get(QUEUE)


def test_queues_do_not_mix(connect: Callable[..., Any]) -> None:
    channel = connect()
    channel._put("interactive", {})
    channel._put("gpu.interactive", {})

    with pytest.raises(Empty):
        channel._get(QUEUE)
    assert channel._purge("gpu.interactive") == 1
    assert channel._size("interactive") == 1


def test_each_message_is_taken_once_by_many_consumers(connect: Callable[..., Any], settings: Settings) -> None:
    producer = connect()
    consumers = [connect() for _ in range(4)]
    for number in range(100):
        producer._put(QUEUE, {"number": number})

    def drain(channel: Any) -> list[int]:  # noqa: ANN401
        taken = []
        while True:
            try:
                taken.append(channel._get(QUEUE)["number"])
            except Empty:
                return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [number for numbers in pool.map(drain, consumers) for number in numbers]

    assert sorted(taken) == list(range(100))
    assert not list((settings.broker_dir / TAKEN_FOLDER).iterdir())


def test_a_message_in_the_making_is_not_seen(connect: Callable[..., Any], settings: Settings) -> None:
    channel = connect()
    (settings.broker_dir / MESSAGES_FOLDER / f".1_x.{QUEUE}.msg.part").write_text("")

    with pytest.raises(Empty):
        channel._get(QUEUE)


@pytest.mark.parametrize("has_room", [True, False])
def test_a_consumer_without_room_takes_nothing(connect: Callable[..., Any], has_room: bool) -> None:
    channel = connect(has_room=lambda: has_room)

    assert channel.qos.can_consume() is has_room


def test_the_job_queue_sends_the_id_to_the_queue_of_device_and_lane(
    connect: Callable[..., Any], settings: Settings
) -> None:
    queue = CeleryJobQueue(make_celery(settings))

    queue.check()
    queue.send_job("0199", device=Device.GPU, lane=Lane.BULK)

    assert queue.count_messages(device=Device.GPU, lane=Lane.BULK) == 1
    assert queue.count_messages(device=Device.GPU, lane=Lane.INTERACTIVE) == 0
    message = connect()._get("gpu.bulk")
    assert message["headers"]["task"] == "limpid.run_job"
    assert message["headers"]["argsrepr"] == "('0199',)"


def test_a_folder_that_is_gone_is_a_queue_error(tmp_path: Path) -> None:
    queue = CeleryJobQueue(make_celery(Settings(data_dir=tmp_path / "none")))

    with pytest.raises(QueueError):
        queue.check()
    with pytest.raises(QueueError):
        queue.send_job("0199", device=Device.CPU, lane=Lane.BULK)
