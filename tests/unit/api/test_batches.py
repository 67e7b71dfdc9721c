"""Batches over HTTP: taken in whole or not at all but for what is wrong with single recordings, and told honestly."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from api import batch_intake
from api.main import create_app
from core.backend import Backend
from core.batches.batch import MAX_ITEMS
from core.errors import LimitReached, StorageError
from core.ids import new_id
from core.jobs import JobStatus, Lane
from core.settings import Settings
from tests.access_fakes import FakeIdempotencyRepository, FakeKeyRepository
from tests.batch_fakes import FakeBatchRepository
from tests.fakes import PRIVATE_NAME, FakeJobQueue, FakeJobRepository, FakeObjectStore
from tests.unit.api.batch_requests import (
    BATCHES,
    FILES,
    TEXT,
    get,
    job_ids,
    post_files,
    post_items,
    submitted,
    url_item,
)
from tests.unit.api.recordings import wav
from tests.unit.api.test_auth import key_of
from tests.unit.api.test_submit import form
from tests.unit.api.test_uploads import upload_whole


@pytest.fixture
def server(settings: Settings, backend: Backend) -> TestClient:
    """A server that asks for keys."""
    return TestClient(create_app(settings.model_copy(update={"auth": "on"}), backend), raise_server_exceptions=False)


class TestForm:
    def test_each_file_becomes_a_job_of_the_bulk_lane(
        self, client: TestClient, jobs: FakeJobRepository, queue: FakeJobQueue, store: FakeObjectStore
    ) -> None:
        response = post_files(client, *FILES, metadata={"show": 1})

        batch = response.json()
        assert response.status_code == 202
        assert response.headers["Location"] == f"{BATCHES}/{batch['id']}" == batch["links"]["self"]
        assert int(response.headers["Retry-After"]) >= 1
        assert [(item["name"], item["status"], item["position"]) for item in batch["items"]] == [
            (name, "queued", position) for position, (name, _) in enumerate(FILES)
        ]
        found = [jobs.get(job_id) for job_id in job_ids(batch)]
        assert [store.objects[job.input.key] for job in found] == [data for _, data in FILES]
        assert {(job.lane, job.preset, job.metadata["show"]) for job in found} == {(Lane.BULK, "clean-only", 1)}
        assert [job.batch.position for job in found if job.batch] == [0, 1, 2]
        assert len(queue.sent) == 3

    def test_fields_may_follow_the_files(self, client: TestClient, jobs: FakeJobRepository) -> None:
        body, headers = form(
            ("file", "a.wav", wav()), ("preset", None, b"clean-only"), ("options", None, b'{"lane": "interactive"}')
        )

        response = client.post(BATCHES, content=body, headers=headers)

        assert response.status_code == 202, response.text
        assert jobs.get(response.json()["items"][0]["job_id"]).lane is Lane.INTERACTIVE

    def test_one_bad_file_fails_alone(self, client: TestClient, store: FakeObjectStore) -> None:
        batch = submitted(client, FILES[0], TEXT, ("empty.wav", b""), FILES[1])

        assert [item["status"] for item in batch["items"]] == ["queued", "failed", "failed", "queued"]
        assert [item["name"] for item in batch["items"]] == ["talk-0.wav", "notes.txt", "empty.wav", "talk-1.wav"]
        assert batch["items"][1]["job_id"] is None
        assert batch["items"][1]["error"]["code"] == "unsupported_media"
        assert "0 bytes" in batch["items"][2]["error"]["detail"]
        assert (batch["status"], batch["counts"]["failed"], batch["counts"]["queued"]) == ("running", 2, 2)
        assert len(store.objects) == 2
        assert get(client, batch) == batch

    def test_batch_of_bad_files_has_failed(self, client: TestClient, store: FakeObjectStore) -> None:
        batch = submitted(client, TEXT)

        assert (batch["status"], batch["progress"]["fraction"]) == ("failed", 1.0)
        assert batch["links"]["cancel"] is None
        assert not store.objects

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            ({"overrides": {"loudness": 1}}, "invalid_options"),
            ({"dedupe": True}, "invalid_options"),
            ({"preset": "speech"}, "invalid_options"),
        ],
    )
    def test_wrong_options_refuse_the_whole(
        self, client: TestClient, store: FakeObjectStore, jobs: FakeJobRepository, options: dict[str, Any], code: str
    ) -> None:
        response = post_files(client, *FILES, **options)

        assert (response.status_code, response.json()["code"]) == (422, code)
        assert (store.objects, jobs.every()) == ({}, [])

    def test_body_that_breaks_off_leaves_nothing(
        self, client: TestClient, store: FakeObjectStore, jobs: FakeJobRepository
    ) -> None:
        body, headers = form(("file", "a.wav", wav()), ("file", "b.wav", wav()), closing=b"")

        response = client.post(BATCHES, content=body, headers=headers)

        assert (response.status_code, response.json()["code"]) == (400, "invalid_input")
        assert (store.objects, jobs.every()) == ({}, [])

    def test_all_files_together_may_be_as_large_as_one(self, client: TestClient, store: FakeObjectStore) -> None:
        third = wav(50.0)  # 1.6 MB of the 4 MB that the settings allow

        response = post_files(client, *[(f"{number}.wav", third) for number in range(4)])

        assert (response.status_code, response.json()["code"]) == (413, "input_too_large")
        assert not store.objects

    def test_more_files_than_the_limit_are_refused(
        self, client: TestClient, monkeypatch: pytest.MonkeyPatch, store: FakeObjectStore
    ) -> None:
        monkeypatch.setattr(batch_intake, "MAX_ITEMS", 2)

        response = post_files(client, *FILES)

        assert response.status_code == 400
        assert "limit of 2" in response.json()["detail"]
        assert not store.objects

    def test_form_without_a_file_is_refused(self, client: TestClient) -> None:
        body, headers = form(("preset", None, b"clean-only"))

        assert client.post(BATCHES, content=body, headers=headers).status_code == 400

    def test_other_bodies_are_refused(self, client: TestClient) -> None:
        response = client.post(BATCHES, content=wav(), headers={"Content-Type": "audio/wav"})

        assert (response.status_code, response.json()["code"]) == (415, "unsupported_media")

    def test_fault_on_the_way_cancels_what_was_made(
        self,
        client: TestClient,
        jobs: FakeJobRepository,
        store: FakeObjectStore,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        add = jobs.add

        def fail_on_the_third(job: Any) -> None:  # noqa: ANN401
            if len(jobs.every()) == 2:
                raise StorageError("The database did not answer.")
            add(job)

        monkeypatch.setattr(jobs, "add", fail_on_the_third)

        response = post_files(client, *FILES)

        made = jobs.every()
        assert response.status_code == 503
        assert [job.status for job in made] == [JobStatus.CANCELLED] * 2
        assert set(store.objects) == {job.input.key for job in made}  # theirs until they expire


class TestItems:
    def test_recordings_elsewhere_become_jobs_with_their_own_settings(
        self, client: TestClient, jobs: FakeJobRepository
    ) -> None:
        response = post_items(
            client,
            url_item(0),
            url_item(1, overrides={"strength": 0.25}, metadata={"n": 1}),
            url_item(2, outputs=[{"format": "flac"}]),
            overrides={"strength": 0.5},
            metadata={"n": 0},
        )

        assert response.status_code == 202, response.text
        found = [jobs.get(job_id) for job_id in job_ids(response.json())]
        assert [job.input.url for job in found] == [f"https://example.com/{number}.ogg" for number in range(3)]
        assert [job.options["strength"] for job in found] == [0.5, 0.25, 0.5]
        assert [job.metadata["n"] for job in found] == [0, 1, 0]
        assert found[2].options["outputs"][0]["format"] == "flac"
        assert {job.lane for job in found} == {Lane.BULK}

    def test_uploads_keep_the_order_of_the_request(self, client: TestClient) -> None:
        first, second = upload_whole(client), upload_whole(client)

        batch = post_items(client, {"input": {"upload_id": second}}, {"input": {"upload_id": first}}).json()

        assert job_ids(batch) == [second, first]

    def test_recordings_of_earlier_jobs_are_taken_again(self, client: TestClient) -> None:
        first, second = upload_whole(client), upload_whole(client)
        earlier = job_ids(post_items(client, {"input": {"upload_id": first}}, {"input": {"upload_id": second}}).json())

        batch = post_items(client, *({"input": {"job_id": job_id}} for job_id in earlier)).json()

        assert [item["name"] for item in batch["items"]] == ["talk.wav", "talk.wav"]
        assert not {*job_ids(batch)} & {*earlier}

    def test_refused_upload_is_named(self, client: TestClient) -> None:
        upload_id = upload_whole(client, b"words, not sound. " * 50)

        (item,) = post_items(client, {"input": {"upload_id": upload_id}}).json()["items"]

        assert (item["name"], item["error"]["code"]) == ("talk.wav", "unsupported_media")

    def test_item_that_cannot_be_had_fails_alone(self, client: TestClient) -> None:
        unknown = {"input": {"upload_id": new_id()}}
        private = {"input": {"url": f"http://{PRIVATE_NAME}/a.wav"}}

        batch = post_items(client, unknown, url_item(1), private).json()

        assert [(item["status"], (item["error"] or {}).get("code")) for item in batch["items"]] == [
            ("failed", "not_found"),
            ("queued", None),
            ("failed", "forbidden_url"),
        ]
        assert batch["items"][2]["name"] == "a.wav"

    @pytest.mark.parametrize(
        "body",
        [
            {"items": []},
            {"items": [url_item(0)] * (MAX_ITEMS + 1)},
            {"items": [{"input": {}}]},
            {"items": [url_item(0, lane="bulk")]},
            {"items": "all"},
            {},
        ],
        ids=["none", "too many", "no input", "unknown setting", "no list", "missing"],
    )
    def test_wrong_list_is_refused(self, client: TestClient, jobs: FakeJobRepository, body: dict[str, Any]) -> None:
        response = client.post(BATCHES, json={"preset": "clean-only", **body})

        assert (response.status_code, response.json()["code"]) == (422, "invalid_options")
        assert not jobs.every()

    def test_wrong_setting_of_one_item_refuses_the_whole_and_names_it(
        self, client: TestClient, jobs: FakeJobRepository
    ) -> None:
        response = post_items(client, url_item(0), url_item(1), url_item(2, preset="loud"))

        assert (response.status_code, response.json()["code"]) == (422, "unknown_preset")
        assert response.json()["detail"].startswith("Item 2: ")
        assert not jobs.every()

    def test_list_that_is_too_long_to_read_is_refused(self, client: TestClient) -> None:
        response = client.post(BATCHES, content=b" " * 2**20 + b"{}", headers={"Content-Type": "application/json"})

        assert response.status_code == 413


class TestLimits:
    @pytest.fixture
    def limited(self, settings: Settings, backend: Backend) -> TestClient:
        """A server that asks for keys, each of which may have two jobs waiting."""
        strict = settings.model_copy(update={"auth": "on", "key_max_queued": 2})
        return TestClient(create_app(strict, backend), raise_server_exceptions=False)

    def test_items_beyond_the_limit_fail_and_leave_nothing(
        self, limited: TestClient, keys: FakeKeyRepository, store: FakeObjectStore
    ) -> None:
        mine = key_of(keys)

        response = post_files(limited, *FILES, headers=mine)

        assert response.status_code == 202, response.text
        assert [item["status"] for item in response.json()["items"]] == ["queued", "queued", "failed"]
        assert response.json()["items"][2]["error"]["code"] == LimitReached.code
        assert len(store.objects) == 2
        assert "RateLimit" in response.headers

    def test_batch_of_which_nothing_fits_is_refused(
        self, limited: TestClient, keys: FakeKeyRepository, jobs: FakeJobRepository
    ) -> None:
        mine = key_of(keys)
        post_files(limited, *FILES, headers=mine)

        response = post_files(limited, *FILES, headers={**mine, "Idempotency-Key": "k"})

        assert (response.status_code, response.json()["code"]) == (429, LimitReached.code)
        assert len(jobs.every()) == 2


class TestIdempotency:
    def test_same_request_again_makes_no_second_batch(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        key = {"Idempotency-Key": "k"}

        first, again = (post_files(client, *FILES, headers=key) for _ in range(2))

        assert again.json() == first.json()
        assert again.headers["Idempotency-Replayed"] == "true"
        assert len(jobs.every()) == 3
        assert len(store.objects) == 3

    def test_other_files_under_the_key_are_refused(self, client: TestClient, store: FakeObjectStore) -> None:
        key = {"Idempotency-Key": "k"}
        post_files(client, *FILES, headers=key)

        response = post_files(client, *FILES[:2], headers=key)

        assert (response.status_code, response.json()["code"]) == (422, "idempotency_mismatch")
        assert len(store.objects) == 3

    def test_reply_that_was_lost_with_its_process_is_made_up_from_the_batch(
        self,
        client: TestClient,
        idempotency: FakeIdempotencyRepository,
        batches: FakeBatchRepository,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        key = {"Idempotency-Key": "k"}
        complete = idempotency.complete

        def die(record: Any) -> None:  # noqa: ANN401
            raise StorageError("The database did not answer.")

        monkeypatch.setattr(idempotency, "complete", die)
        assert post_files(client, *FILES, headers=key).status_code == 503
        monkeypatch.setattr(idempotency, "complete", complete)

        again = post_files(client, *FILES, headers=key)

        assert again.status_code == 202
        assert again.json()["counts"]["queued"] == 3
        assert len(batches._batches) == 1

    @pytest.mark.parametrize(
        ("fault", "status"),
        [(StorageError("The database did not answer."), 503), (RuntimeError("killed in the middle"), 500)],
        ids=["outage", "crash"],
    )
    def test_intake_that_broke_off_is_made_anew_by_the_same_request(
        self,
        client: TestClient,
        jobs: FakeJobRepository,
        monkeypatch: pytest.MonkeyPatch,
        fault: Exception,
        status: int,
    ) -> None:
        add = jobs.add

        def break_off(job: Any) -> None:  # noqa: ANN401
            if jobs.every():
                raise fault
            add(job)

        monkeypatch.setattr(jobs, "add", break_off)
        assert post_files(client, *FILES, headers={"Idempotency-Key": "k"}).status_code == status
        monkeypatch.setattr(jobs, "add", add)

        batch = post_files(client, *FILES, headers={"Idempotency-Key": "k"}).json()

        assert batch["counts"] == {**dict.fromkeys(JobStatus, 0), "queued": 3}
        assert [job.status for job in jobs.every()] == [JobStatus.CANCELLED, *[JobStatus.QUEUED] * 3]
