"""A campaign: jobs submitted over REST while faults strike, then the count of what came of them."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import soundfile

from core.backend import Backend, open_backend
from core.errors import NotFound, StorageError
from core.jobs import Job, JobStatus
from core.object_keys import output_key
from core.webhooks.outbox import DeliveryStatus
from tests.chaos.worlds import World
from tests.servers import wait_until
from tests.web_server import Received, Reply, WebServer, web_server

CLIENTS = 4
RETRY_S = 0.5
REQUEST_TIMEOUT_S = 60.0
SETTLE_TIMEOUT_S = 90.0  # a lost attempt at a webhook, its lease and a sweep
_RECORDINGS = ((1.0, 16_000, 1), (2.5, 48_000, 1), (4.0, 44_100, 2), (20.0, 16_000, 1))  # seconds, Hz, channels


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done: `jobs` submitted, while one of `faults` after the other strikes every `interval_s`."""

    jobs: int
    faults: Sequence[str]
    interval_s: float
    seed: int
    timeout_s: float
    rounds: int | None = None  # in each every fault strikes once; None: as long as jobs have not ended
    presets: Sequence[str] = ("clean-only",)


@dataclass(kw_only=True)
class Outcome:
    """What came of a campaign. It holds what was promised when `violations` is empty."""

    figures: dict[str, Any]
    violations: list[str]


@dataclass(frozen=True, kw_only=True)
class _Order:
    """A kind of job: the recording and the preset."""

    name: str
    recording: bytes
    preset: str


@dataclass(kw_only=True)
class _Campaign:
    world: World
    plan: Plan
    backend: Backend
    receiver: WebServer
    random: Random
    orders: list[_Order]
    expected: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)  # outputs by name -> SHA-256
    submitted: dict[str, _Order] = field(default_factory=dict)  # by job id
    pending: list[str] = field(default_factory=list)  # of them, those that have not been seen to end
    struck: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)

    def submit(self, client: httpx.Client, order: _Order, *, deadline: float) -> str:
        """Submit as a client does that wants it done: again and again, under one Idempotency-Key."""
        headers = {"Idempotency-Key": str(uuid4())}
        options = {"webhook": {"url": self.receiver.url("/hook"), "events": ["job.succeeded", "job.failed"]}}
        while True:
            try:
                answer = client.post(
                    "/api/v1/jobs",
                    files={"file": (order.name, order.recording)},
                    data={"preset": order.preset, "options": json.dumps(options)},
                    headers=headers,
                )
            except httpx.TransportError as error:
                reason = type(error).__name__
            else:
                if answer.status_code == 202:
                    return str(answer.json()["id"])
                reason = f"{answer.status_code} {answer.json()['code']}"
                if answer.status_code < 500 and answer.status_code != 409:
                    raise RuntimeError(f"The job was refused: {answer.text}")
            self.refusals[reason] += 1
            if time.monotonic() > deadline:
                raise TimeoutError(f"The job could not be submitted: {reason}.")
            time.sleep(RETRY_S)

    def submit_all(self, *, deadline: float) -> None:
        """Submit every job of the plan, from several clients at once."""
        orders = [self.random.choice(self.orders) for _ in range(self.plan.jobs)]
        with (
            httpx.Client(base_url=self.world.url, timeout=REQUEST_TIMEOUT_S) as client,
            ThreadPoolExecutor(CLIENTS) as clients,
        ):
            ids = clients.map(lambda order: self.submit(client, order, deadline=deadline), orders)
            self.submitted = dict(zip(ids, orders, strict=True))
        self.pending = [*self.submitted]

    def strike(self, has_ended: threading.Event) -> None:
        """One fault after the other, in a new random order each round, until `has_ended`."""
        random = Random(self.plan.seed)
        rounds = itertools.count() if self.plan.rounds is None else range(self.plan.rounds)
        order = (fault for _ in rounds for fault in random.sample(self.plan.faults, len(self.plan.faults)))
        for fault in order:
            if has_ended.wait(self.plan.interval_s):
                return
            self.world.faults[fault](random)
            self.struck[fault] += 1
            self.world.keep_up()

    def jobs(self) -> list[Job]:
        """Every job that was submitted, as the database has it."""
        return [self.backend.jobs.get(job_id) for job_id in self.submitted]

    def has_ended(self) -> bool:
        """True when no job waits or runs; what has been seen to have ended is not looked at again."""
        try:
            while self.pending and self.backend.jobs.get(self.pending[-1]).status.is_terminal:
                self.pending.pop()
        except StorageError:  # the database is down just now
            return False
        return not self.pending


def run_campaign(world: World, plan: Plan) -> Outcome:
    """Run `plan` on `world`; TimeoutError when the jobs have not ended in time."""
    with closing(open_backend(world.settings)) as backend, web_server(_take) as receiver:
        campaign = _Campaign(
            world=world,
            plan=plan,
            backend=backend,
            receiver=receiver,
            random=Random(plan.seed),
            orders=_make_orders(plan),
        )
        _run_undisturbed(campaign, timeout_s=plan.timeout_s)
        started = time.monotonic()
        _run_disturbed(campaign, timeout_s=plan.timeout_s)
        elapsed_s = time.monotonic() - started
        violations = _settle(campaign)
        jobs = campaign.jobs()
        for job in jobs:
            violations += _check_job(campaign, job)
        figures = {
            "jobs": len(jobs),
            "ended": dict(Counter(job.status.value for job in jobs)),
            "elapsed_s": round(elapsed_s, 1),
            "runs": sum(job.attempt for job in jobs),
            "most_runs_of_a_job": max(job.attempt for job in jobs),
            "faults": dict(campaign.struck),
            "answers_while_submitting": dict(campaign.refusals),
            "events": len(_ids_by_job(campaign)),
            "deliveries": len(receiver.received),
            "violations": len(violations),
        }
        return Outcome(figures=figures, violations=violations)


def _run_undisturbed(campaign: _Campaign, *, timeout_s: float) -> None:
    """One job of each kind, in peace: what the others' outputs have to be."""
    deadline = time.monotonic() + timeout_s
    with httpx.Client(base_url=campaign.world.url, timeout=REQUEST_TIMEOUT_S) as client:
        reference = {campaign.submit(client, order, deadline=deadline): order for order in campaign.orders}
        for job_id, order in reference.items():
            wait_until(
                lambda job_id=job_id: campaign.backend.jobs.get(job_id).status.is_terminal,  # type: ignore[misc]
                timeout_s=timeout_s,
                what=f"the undisturbed job {job_id} ends",
            )
            job = campaign.backend.jobs.get(job_id)
            if job.status is not JobStatus.SUCCEEDED:
                raise RuntimeError(f"The undisturbed job of {order.name} is {job.status}: {job.error}")
            campaign.expected[order.name, order.preset] = {output.name: output.sha256 for output in job.outputs}


def _run_disturbed(campaign: _Campaign, *, timeout_s: float) -> None:
    has_ended = threading.Event()
    failures: list[BaseException] = []

    def strike() -> None:
        try:
            campaign.strike(has_ended)
        except Exception as error:
            failures.append(error)

    striker = threading.Thread(target=strike, name="faults")
    deadline = time.monotonic() + timeout_s
    striker.start()
    try:
        campaign.submit_all(deadline=deadline)
        wait_until(
            lambda: bool(failures) or campaign.has_ended(),
            timeout_s=deadline - time.monotonic(),
            what=f"all of {campaign.plan.jobs} jobs end",
        )
    finally:
        has_ended.set()
        striker.join()
        campaign.world.keep_up()
    if failures:
        raise failures[0]


def _settle(campaign: _Campaign) -> list[str]:
    """Wait until nothing is on its way any more; what still is, is a violation."""
    pending = {
        "every event is delivered": lambda: set(_ids_by_job(campaign)) >= set(campaign.submitted),
        "no delivery is pending": lambda: (
            not campaign.backend.deliveries.list(status=DeliveryStatus.PENDING).deliveries
        ),
        "no scratch file is left": lambda: not _scratch_files(campaign.world),
    }
    violations = []
    for what, is_so in pending.items():
        try:
            wait_until(is_so, timeout_s=SETTLE_TIMEOUT_S, what=what)
        except TimeoutError:
            violations.append(f"not so: {what} ({_scratch_files(campaign.world)})")
    return violations


def _check_job(campaign: _Campaign, job: Job) -> list[str]:
    order = campaign.submitted[job.id]
    found = []
    if job.status is not JobStatus.SUCCEEDED:
        return [f"{job.id} is {job.status}: {job.error}"]
    outputs = {output.name: output.sha256 for output in job.outputs}
    expected = campaign.expected[order.name, order.preset]
    if outputs != expected:
        found.append(f"{job.id}: outputs differ: {sorted(set(outputs.items()) ^ set(expected.items()))}")
    for output in job.outputs:
        with campaign.backend.store.open_reader(output.key) as reader:
            if hashlib.sha256(reader.read()).hexdigest() != output.sha256:
                found.append(f"{job.id}: {output.name} is not what was stored")
    stale = [number for number in range(1, job.attempt) if _has_output(campaign.backend, job, number)]
    if stale:
        found.append(f"{job.id}: outputs of the lost attempts {stale} were left behind")
    events = _ids_by_job(campaign).get(job.id, set())
    if len(events) != 1:
        found.append(f"{job.id}: {len(events)} events instead of one")
    if job.lease_expires_at is not None:
        found.append(f"{job.id}: still leased")
    return found


def _ids_by_job(campaign: _Campaign) -> dict[str, set[str]]:
    """The webhook ids that each job's receiver saw, with the kind of event."""
    found: dict[str, set[str]] = {}
    for request in [*campaign.receiver.received]:
        job_id = json.loads(request.body)["data"]["id"]
        if job_id in campaign.submitted:
            found.setdefault(job_id, set()).add(request.headers["webhook-id"])
    return found


def _has_output(backend: Backend, job: Job, attempt: int) -> bool:
    try:
        backend.store.open_reader(output_key(job.id, attempt, 0)).close()
    except NotFound:
        return False
    return True


def _scratch_files(world: World) -> list[str]:
    folder = world.settings.resolved_scratch_dir
    return [str(path.relative_to(folder)) for path in folder.rglob("*")] if folder.exists() else []


def _take(_: Received) -> Reply:
    return Reply(status=204)


def _make_orders(plan: Plan) -> list[_Order]:
    orders = []
    generator = np.random.default_rng(plan.seed)
    for number, (duration_s, sample_rate, channels) in enumerate(_RECORDINGS):
        buffer = io.BytesIO()
        noise = 0.1 * generator.standard_normal((int(duration_s * sample_rate) + number, channels))
        soundfile.write(buffer, noise, sample_rate, format="WAV", subtype="PCM_16")
        orders += [
            _Order(name=f"noise-{number}.wav", recording=buffer.getvalue(), preset=preset) for preset in plan.presets
        ]
    return orders
