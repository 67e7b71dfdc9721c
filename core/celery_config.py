"""The Celery application's configuration, the same for who sends messages and who takes them.

The database is the truth (DESIGN section 4): messages are acknowledged early, results are not kept, nothing is
prefetched, and every queue hangs on the default exchange, so that a flushed broker has nothing to forget but messages.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu.entity import Exchange, Queue

from core.filesystem_broker import prepare_folder
from core.queue import ALL_QUEUES
from core.settings import Settings

CONNECT_TIMEOUT_S = 2.0
SOCKET_TIMEOUT_S = 5.0
HEALTH_CHECK_INTERVAL_S = 25
CHILD_START_TIMEOUT_S = 60.0
POLLING_INTERVAL_S = 0.2  # of the folder that is the embedded broker

PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0.0, "interval_step": 0.2, "interval_max": 0.4}
"""Enough to survive a connection that a restarted broker has dropped; the sweeper does the rest."""


def make_celery(settings: Settings) -> Celery:
    """A Celery application without tasks, set up for the configured broker; connects when first used."""
    app = Celery("limpid", set_as_current=False)
    app.conf.update(
        broker_connection_timeout=CONNECT_TIMEOUT_S,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        **_broker_options(settings),
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        task_publish_retry_policy=PUBLISH_RETRY_POLICY,
        task_queues=[Queue(name, Exchange(""), routing_key=name) for name in ALL_QUEUES],
        task_default_exchange="",
        task_create_missing_queues=False,
        worker_prefetch_multiplier=1,
        worker_proc_alive_timeout=CHILD_START_TIMEOUT_S,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        timezone="UTC",
    )
    return app


def _broker_options(settings: Settings) -> dict[str, Any]:
    if settings.resolved_broker_url.startswith("filesystem://"):
        return {
            "broker_url": "filesystem://localhost",
            "broker_transport": "core.filesystem_broker:Transport",
            "broker_transport_options": {
                "folder": str(settings.broker_dir),
                "control_folder": str(settings.broker_dir),
                "polling_interval": POLLING_INTERVAL_S,
            },
        }
    return {
        "broker_url": settings.resolved_broker_url,
        "worker_disable_prefetch": True,
        "broker_transport_options": {
            # Messages are hints, so nobody has to keep books of unacknowledged ones. With the books, an acknowledgement
            # that fails as the broker goes down counts as a message in hand for ever: the worker takes no other, and
            # never learns that its connection is gone.
            "ack_emulation": False,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_keepalive": True,
            "health_check_interval": HEALTH_CHECK_INTERVAL_S,
        },
    }


def prepare_broker(settings: Settings) -> None:
    """Make the folders of the embedded broker; nothing to do for a real one."""
    if settings.resolved_broker_url.startswith("filesystem://"):
        prepare_folder(settings.broker_dir)
