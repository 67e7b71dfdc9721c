"""Queue and task names, and the JobQueue port. The message is a job id; the database says everything else."""

from __future__ import annotations

from typing import Protocol

from core.jobs import Device, Lane

RUN_JOB_TASK = "limpid.run_job"
SWEEP_TASK = "limpid.sweep"
DELIVER_TASK = "limpid.deliver_webhooks"

IO_QUEUE = "io"
MAINTENANCE_QUEUE = "maintenance"


def job_queue_name(device: Device, lane: Lane) -> str:
    """The queue that a job waits in: `cpu.interactive`, `cpu.bulk`, `gpu.interactive` or `gpu.bulk`."""
    return f"{device}.{lane}"


JOB_QUEUES = tuple(job_queue_name(device, lane) for device in Device for lane in Lane)
ALL_QUEUES = (*JOB_QUEUES, IO_QUEUE, MAINTENANCE_QUEUE)


class JobQueue(Protocol):
    """Tells workers that a job waits. Losing a message is harmless: the sweeper sends it again."""

    def send_job(self, job_id: str, *, device: Device, lane: Lane) -> None:
        """Send the job's message; QueueError when the broker does not take it."""
        ...

    def send_deliveries(self) -> None:
        """Ask a worker to deliver the webhooks that are due; QueueError when the broker does not take the message."""
        ...

    def count_messages(self, *, device: Device, lane: Lane) -> int:
        """Messages that wait in the queue; QueueError when the broker does not answer."""
        ...

    def check(self) -> None:
        """Raise QueueError when the broker does not answer."""
        ...
