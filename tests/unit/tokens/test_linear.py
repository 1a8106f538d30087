"""Long texts take as many steps as they have tokens, in any script, and can be stopped."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from small_tokenizers import Slow, byte_level, sentence_piece
from worldline.errors import InputError
from worldline.number_spans import number_span
from worldline.steps import StoppedError, stepping, with_steps
from worldline.tokens import units as grouping
from worldline.tokens.alignment import group_of
from worldline.tokens.spans import _words, positions_of
from worldline.tokens.tokens import decode, extend_tokens, single_token, tokenize

SCRIPTS = {
    "latin": "the cat sat on the mat. ",
    "unspaced": "abcdefgh",
    "cjk": "日本語の本",
    "zwj": "👩‍👩‍👧‍👦",
    "marks": "e\u0301\u0323\u0302",
    "mixed": "a é\n日 🎉\t\u200d…ß",
}
TOKENIZERS = {
    "bytes": byte_level,
    "changed bytes": lambda: byte_level(nfkc=True),
    "unigram": lambda: sentence_piece("unigram"),
    "pieces": lambda: sentence_piece("bpe"),
}


@pytest.fixture(scope="module", params=list(TOKENIZERS))
def tokenizer(request):
    return TOKENIZERS[request.param]()


class Counting(Slow):
    """Counts how many ids it is given to decode; knows neither offsets nor its own pieces."""

    decoded = 0

    def decode(self, ids, **options):
        self.decoded += len(ids)
        return super().decode(ids, **options)


@pytest.mark.parametrize("script", list(SCRIPTS))
def test_decoding_token_by_token_is_linear_and_finds_the_same_places(tokenizer, script):
    text = (SCRIPTS[script] * 600)[:600]
    slow = Counting(tokenizer, opaque=True)
    found = tokenize(slow, text)
    assert slow.decoded <= 30 * len(found)
    known = tokenize(tokenizer, text)
    assert found.ids == known.ids
    whole = [n for n, group in enumerate(known.groups) if known.groups.count(group) == 1]
    if known.text == decode(
        tokenizer, [i for i in known.ids if i not in tokenizer.all_special_ids]
    ):
        assert [found.char_spans[n] for n in whole] == [known.char_spans[n] for n in whole]
        assert found.char_spans[-1][1] == len(text)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_what_a_reply_adds_is_what_decoding_all_of_it_up_to_there_says(data):
    tokenizer = data.draw(st.sampled_from([byte_level(), sentence_piece("bpe")]))
    ids = data.draw(st.lists(st.integers(3, len(tokenizer) - 1), max_size=150))
    first = tokenize(tokenizer, "the cat ")
    found = extend_tokens(tokenizer, first, ids)
    at = len(first.text)
    assert found.text == first.text + decode(tokenizer, ids)
    for n in range(len(ids)):
        whole = first.text + decode(tokenizer, ids[: n + 1])
        start, at = at, len(whole) if n + 1 == len(ids) or not whole.endswith("\ufffd") else at
        assert found.char_spans[len(first) + n] == (start, at)
    ends = [end for _, end in found.byte_spans]
    assert ends[-1] == len(found.text.encode())


def test_groups_of_many_tokens():
    spans = [(n, n + 1) for n in range(200_000)]
    began = time.process_time()
    assert group_of(spans) == list(range(200_000))
    assert time.process_time() - began < 20  # linear: 0.05; by sets of all before: over 100


def test_a_long_text_can_be_stopped_at_every_stage(tokenizer):
    text = SCRIPTS["mixed"] * 200
    for opaque in (False, True):
        steps = 0

        def stop(most):
            nonlocal steps
            steps += 1
            if steps > most:
                raise StoppedError

        one = Slow(tokenizer, opaque=True) if opaque else tokenizer
        with stepping(lambda: stop(10**9)):
            n = len(tokenize(one, text))
        assert steps >= n // 1024
        whole, steps = steps, 0
        for most in range(0, whole, max(1, whole // 4)):
            steps = 0
            with pytest.raises(StoppedError), stepping(lambda most=most: stop(most)):
                tokenize(one, text)
            assert steps == most + 1


def test_a_step_at_every_thousandth():
    steps = []
    with stepping(lambda: steps.append(1)):
        assert list(with_steps(range(5000))) == list(range(5000))
    assert len(steps) == 4


@pytest.mark.parametrize(
    "text", ["." * 3000, "?!" * 1500, "..) " * 900, "a. b." * 600, "\n" * 3000]
)
def test_sentences_are_found_in_linear_steps(monkeypatch, text):
    true, looks = grouping._past, []

    def counted(text, at, belongs):
        end = true(text, at, belongs)
        looks.append(end - at + 1)
        return end

    monkeypatch.setattr(grouping, "_past", counted)
    grouping._ends_of_sentences(text)
    assert sum(looks) <= 12 * len(text)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("One.. Two etc.. Next", [5, 15]),
        ("Wait... what. Now", [13]),
        ("a..b. C", [5]),
        ("e.g. this. That", [10]),
        ("Hm...", []),
    ],
)
def test_stops_in_a_row_end_a_sentence_as_before(text, ends):
    assert [end for end in grouping._ends_of_sentences(text) if end < len(text)] == ends


def test_words_of_tokens_are_those_in_which_they_end(tokenizer):
    tokens = tokenize(tokenizer, "the cat  sat\non the mat, Paris")
    bounds = [(0, 3), (4, 7), (9, 12), (13, 15), (16, 19), (20, 24), (25, 30)]
    said = [
        [
            pos
            for pos, (low, high) in enumerate(tokens.char_spans)
            if low < high and low < stop and start < high <= stop
        ]
        for start, stop in bounds
    ]
    assert _words(tokens) == said


def test_numbers_of_thousands_of_digits_are_refused_in_a_line(tokenizer):
    long = "9" * 5000
    for refused in (
        lambda: single_token(tokenizer, f"id:{long}"),
        lambda: number_span(long, 9, "position"),
        lambda: number_span(f"0-{long}", 9, "position"),
        lambda: positions_of(tokenize(tokenizer, "the cat"), long + "x"),
    ):
        with pytest.raises(InputError):
            refused()
