"""Odd texts are found, and those of other languages and habits are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.validation.text_defects import has_bidi_control, has_replacement_character, is_mojibake, repeats_prompt


@pytest.mark.parametrize("text", ["café au lait", "It’s “fine”", "привет, мир", "你好，世界", "50 °C – £5", "naïve 😀"])
@pytest.mark.parametrize("wrong", ["latin-1", "cp1252"])
def test_utf8_that_was_read_as_another_encoding_is_found(text: str, wrong: str) -> None:
    read = text.encode().decode(wrong, errors="replace")
    assert is_mojibake(read) and not is_mojibake(text)


@pytest.mark.parametrize("text", ["«CAFÉ»", "voilà…”", "Zürich’s — Ärger", "São Paulo", "30°C–40°C", "½ × ¾", "µm²"])
def test_letters_beside_signs_are_no_mojibake(text: str) -> None:
    assert not is_mojibake(text)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_never_odd(text: str) -> None:
    assert not (is_mojibake(text) or has_bidi_control(text) or has_replacement_character(text))


def test_marks_of_right_to_left_languages_are_no_controls() -> None:
    assert not has_bidi_control("\u05e9\u05dc\u05d5\u05dd\u200f (ok)")
    assert has_bidi_control("pay \u202e001$ now") and has_bidi_control("\u2067x\u2069")


TEMPLATED = (
    "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nWhy is the sky blue?<|im_end|>\n<|im_start|>assistant\n"
)


@pytest.mark.parametrize(
    ("prompt", "response", "repeated"),
    [
        ("Why is the sky blue?", "Why is the sky blue? Because.", True),
        ("Why is the sky blue?", "\n\nWhy is the sky blue?", True),
        ("Why is the sky blue?", "Why is the sky so blue? Because.", False),
        ("Why is the sky blue?", "Why is the", False),
        ("\n\nHuman: Hi\n\nAssistant: Yes\n\nHuman: Why is the sky blue?\n\nAssistant:", " Why is the sky blue?", True),
        (TEMPLATED, "Why is the sky blue? Because.", True),
        (TEMPLATED, "Be kind.", False),
        ("It was late. Tell me a long story.", "Tell me a long story. Once", False),
        ("Hi", "Hi there", False),
        ("", "", False),
    ],
)  # fmt: skip
def test_a_response_that_repeats_its_prompt_is_found(prompt: str, response: str, repeated: bool) -> None:
    assert repeats_prompt(prompt, response) is repeated
