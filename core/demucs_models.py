"""The released demucs models: members, weights of their averages, published hashes."""

from __future__ import annotations

from core.model_record import Architecture, Bag, ModelRecord, Origin, WeightsFile

DEMUCS_URL = "https://dl.fbaipublicfiles.com/demucs/"

_DEMUCS_NOTICE = (
    "The code is MIT. The weights carry no licence of their own; they were trained on MUSDB-HQ, which is for research, "
    "and on further songs. Whether your use is covered is yours to decide."
)
_FOUR_STEMS = ("drums", "bass", "other", "vocals")
_ONE_HOT = tuple(tuple(float(row == column) for column in range(4)) for row in range(4))
_MDX_WEIGHTS = ((1.0, 1.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (1.0, 0.0, 1.0, 1.0), (1.0, 0.0, 1.0, 1.0))

# Member signature to the SHA-256 prefix of its file; each set is published in a folder of its own.
_HYBRID_TRANSFORMER = {
    "955717e8": "8726e21a",
    "f7e0c4bc": "ba3fe64a",
    "d12395a8": "e57c48e6",
    "92cfc3b6": "ef3bcb9c",
    "04573f0d": "f3cf25b2",
    "75fc33f5": "1941ce65",
    "5c90dfd2": "34c22ccb",
}
_MDX_FINAL = {
    "0d19c1c6": "0f06f20e",
    "5d2d6c55": "db83574e",
    "7d865c68": "3d5dd56b",
    "7ecf8ec1": "70f50cc9",
    "a1d90b5c": "ae9d2452",
    "c511e2ab": "fe698775",
    "cfa93e08": "61801ae1",
    "e51eebcc": "c1b80bdd",
    "6b9c2ca1": "3fd82607",
    "b72baf4e": "8778635e",
    "42e558d4": "196e0e1b",
    "305bc58f": "18378783",
    "14fc6a69": "a89dd0ee",
    "464b36d7": "e5a9386e",
    "7fd6ef75": "a905dd85",
    "83fc094f": "4a16d450",
    "1ef250f1": "592467ce",
    "902315c2": "b39ce9c9",
    "9a6b4851": "03af0aa6",
    "fa0cb7f9": "100d8bf4",
}


def _demucs_file(signature: str) -> WeightsFile:
    is_transformer = signature in _HYBRID_TRANSFORMER
    file_hash = (_HYBRID_TRANSFORMER if is_transformer else _MDX_FINAL)[signature]
    name = f"{signature}-{file_hash}.th"
    folder = "hybrid_transformer/" if is_transformer else "mdx_final/"
    return WeightsFile(name=name, url=DEMUCS_URL + folder + name, sha256_prefix=file_hash)


def _demucs(
    name: str,
    title: str,
    bag: Bag,
    *,
    stems: tuple[str, ...] = _FOUR_STEMS,
    parameters: int | None = None,
    is_quantised: bool = False,
) -> ModelRecord:
    return ModelRecord(
        name=name,
        title=title,
        architecture=Architecture.DEMUCS,
        origin=Origin.PULLED,
        sample_rate=44_100,
        channels=2,
        stems=stems,
        licence="MIT (code)",
        notice=_DEMUCS_NOTICE,
        source="https://github.com/adefossez/demucs",
        parameters=parameters,
        files=tuple(_demucs_file(signature) for signature in dict.fromkeys(bag.members)),
        bag=bag,
        is_quantised=is_quantised,
    )


DEMUCS_RECORDS = (
    _demucs("htdemucs", "Four stems: Hybrid Transformer Demucs", Bag(members=("955717e8",)), parameters=41_984_456),
    _demucs(
        "htdemucs_ft",
        "Four stems, a fine-tuned network for each",
        Bag(members=("f7e0c4bc", "d12395a8", "92cfc3b6", "04573f0d"), weights=_ONE_HOT),
        parameters=4 * 41_984_456,
    ),
    _demucs(
        "htdemucs_6s",
        "Six stems; the piano is weak",
        Bag(members=("5c90dfd2",)),
        stems=(*_FOUR_STEMS, "guitar", "piano"),
    ),
    _demucs("hdemucs_mmi", "Four stems: Hybrid Demucs v3, retrained", Bag(members=("75fc33f5",), segment_s=44)),
    _demucs(
        "mdx",
        "Four stems: MDX 2021 challenge, track A",
        Bag(members=("0d19c1c6", "7ecf8ec1", "c511e2ab", "7d865c68"), weights=_MDX_WEIGHTS, segment_s=44),
    ),
    _demucs(
        "mdx_extra",
        "Four stems: MDX 2021 challenge, track B",
        Bag(members=("e51eebcc", "a1d90b5c", "5d2d6c55", "cfa93e08"), segment_s=44),
    ),
    _demucs(
        "mdx_q",
        "mdx, quantised",
        Bag(members=("6b9c2ca1", "b72baf4e", "42e558d4", "305bc58f"), weights=_MDX_WEIGHTS, segment_s=44),
        is_quantised=True,
    ),
    _demucs(
        "mdx_extra_q",
        "mdx_extra, quantised",
        Bag(members=("83fc094f", "464b36d7", "14fc6a69", "7fd6ef75"), segment_s=44),
        is_quantised=True,
    ),
    _demucs(
        "repro_mdx_a",
        "mdx, reproduced",
        Bag(members=("9a6b4851", "1ef250f1", "fa0cb7f9", "902315c2"), segment_s=44),
    ),
    _demucs(
        "repro_mdx_a_time_only",
        "mdx, reproduced: waveform networks only",
        Bag(members=("9a6b4851", "9a6b4851", "1ef250f1", "1ef250f1"), segment_s=44),
    ),
    _demucs(
        "repro_mdx_a_hybrid_only",
        "mdx, reproduced: hybrid networks only",
        Bag(members=("fa0cb7f9", "902315c2", "fa0cb7f9", "902315c2"), segment_s=44),
    ),
)
