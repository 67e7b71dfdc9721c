"""Training in several processes of one thread: each computes its share of a batch, gradients are averaged by gloo.

On a CPU two processes of one thread are faster than one of two threads, since small networks have little to share.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import ProcessGroupGloo, Store
from torch.multiprocessing.spawn import spawn

from core.enhancement.blas import use_one_blas_thread
from core.enhancement.heap import keep_freed_memory

TIMEOUT = timedelta(minutes=30)  # longer than any validation, for which the other processes wait
MEETING_TIMEOUT = timedelta(minutes=5)
GRACE_S = 10.0  # in which a process that failed first says why


class Finished(Protocol):
    """An operation that has been begun."""

    def wait(self) -> object: ...


class Group(Protocol):
    """The processes of a run, and what they do together (torch.distributed's process group)."""

    def allreduce(self, tensors: list[Tensor]) -> Finished: ...

    def broadcast(self, tensor: Tensor, root: int) -> Finished: ...


@dataclass(frozen=True, kw_only=True)
class Workers:
    """This process's place among those of a run; number 0 validates, logs and saves."""

    rank: int = 0
    count: int = 1
    group: Group | None = None  # None: alone

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that validates, logs and saves."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter], loss: Tensor) -> float:
        """Replace every gradient by its mean over the processes; return that of the loss.

        The sums are the same in all processes to the last bit, so their weights never drift apart.
        """
        if self.group is None:
            return loss.item()
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), loss.detach().reshape(1)])
        self.group.allreduce([flat]).wait()
        flat /= self.count
        mean_loss = flat[-1]
        for gradient, mean in zip(gradients, flat[:-1].split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))
        return mean_loss.item()

    def agree(self, decision: bool) -> bool:
        """Return what process 0 decided."""
        if self.group is None:
            return decision
        flag = torch.tensor([float(decision)])
        self.group.broadcast(flag, 0).wait()
        return bool(flag.item())


SOLO = Workers()


def join_workers(store: Store, *, rank: int, count: int) -> Workers:
    """Return this process's place once all `count` processes have met at `store`."""
    store.set_timeout(MEETING_TIMEOUT)
    group = cast(Group, ProcessGroupGloo(store, rank, count, TIMEOUT))
    return Workers(rank=rank, count=count, group=group)


@contextmanager
def start_workers(count: int, target: Callable[..., object], *arguments: Any) -> Iterator[Workers]:  # noqa: ANN401
    """Start `count` - 1 processes which run `target(*arguments, workers=...)`, and yield this process's own place.

    `target` and `arguments` are pickled. On leaving, the others are waited for; what one raised is raised here.
    """
    if count == 1:
        yield SOLO
        return
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory(prefix="limpid-workers-") as folder:
        meeting = Path(folder) / "store"
        others = spawn(_join_and_run, (count, meeting, target, arguments), nprocs=count - 1, join=False, daemon=True)
        torch.set_num_threads(1)
        try:
            yield join_workers(_store_in(meeting, count), rank=0, count=count)
            while not others.join():
                pass
        except RuntimeError:
            # Where another process failed first, gloo only says here that the connection was closed.
            others.join(timeout=GRACE_S)
            raise
        finally:
            for process in others.processes:
                if process.is_alive():
                    process.terminate()
            torch.set_num_threads(threads)


def _join_and_run(
    index: int, count: int, meeting: Path, target: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    use_one_blas_thread()
    keep_freed_memory()
    target(*arguments, workers=join_workers(_store_in(meeting, count), rank=index + 1, count=count))


def _store_in(path: Path, count: int) -> Store:
    return cast(Store, dist.FileStore(str(path), count))  # type: ignore[attr-defined]
