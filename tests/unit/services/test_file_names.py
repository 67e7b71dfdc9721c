"""User file names: what of them is kept."""

from __future__ import annotations

import unicodedata

import pytest

from core.file_names import FALLBACK_NAME, MAX_NAME_BYTES, content_disposition, safe_file_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("talk.wav", "talk.wav"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("folder/", FALLBACK_NAME),
        (".", FALLBACK_NAME),
        ("..", FALLBACK_NAME),
        ("", FALLBACK_NAME),
        (" \t\n", FALLBACK_NAME),
        (".hidden", "hidden"),
        ("trailing. . ", "trailing"),
        ("a\x00b\x08\x7f\x9f.wav", "ab.wav"),
        ("a\r\nb\u2028c.wav", "a b c.wav"),
        ("\u202egpj.exe", "gpj.exe"),
        ("\ud800x.wav", "x.wav"),
        ("Grüße 录音 🎙.wav", "Grüße 录音 🎙.wav"),
        ("e\u0301.wav", "\u00e9.wav"),
        ("family 👨\u200d👩\u200d👧.wav", "family 👨\u200d👩\u200d👧.wav"),
    ],
)
def test_safe_name(name: str, safe: str) -> None:
    assert safe_file_name(name) == safe


@pytest.mark.parametrize("letter", ["x", "é", "录", "🎙"])
def test_long_name_keeps_its_suffix_and_whole_characters(letter: str) -> None:
    name = safe_file_name(letter * 500 + ".flac")

    assert name.endswith(f"{letter}.flac")
    assert set(name.removesuffix(".flac")) == {letter}
    assert MAX_NAME_BYTES - 4 < len(name.encode()) <= MAX_NAME_BYTES


def test_long_name_without_a_suffix_is_cut() -> None:
    assert safe_file_name("x" * 500) == "x" * MAX_NAME_BYTES
    assert safe_file_name("a." + "x" * 500) == "a." + "x" * (MAX_NAME_BYTES - 2)


def test_every_single_character_gives_a_name_that_is_already_safe() -> None:
    for code in range(0x3000):
        name = safe_file_name(f"a{chr(code)}b")

        assert safe_file_name(name) == name
        assert "/" not in name
        assert not any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in name)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("talk.wav", 'attachment; filename="talk.wav"'),
        ("naïve.wav", "attachment; filename=\"naive.wav\"; filename*=UTF-8''na%C3%AFve.wav"),
        ('a"b\\c.wav', "attachment; filename=\"a_b_c.wav\"; filename*=UTF-8''a%22b%5Cc.wav"),
        ("录音.wav", "attachment; filename=\"recording.wav\"; filename*=UTF-8''%E5%BD%95%E9%9F%B3.wav"),
        ("50%.wav", "attachment; filename=\"50_.wav\"; filename*=UTF-8''50%25.wav"),
    ],
)
def test_content_disposition(name: str, header: str) -> None:
    assert content_disposition(name) == header
