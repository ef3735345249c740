"""What is read first."""

import numpy as np

from qa.lexical import promising


def order(question: list[int], ids: list[int], firsts: list[int], capacity: int) -> list[int]:
    return list(promising(question, np.array(ids), np.array(firsts), capacity))


def test_windows_with_more_of_the_questions_tokens_come_first() -> None:
    ids = [1, 1, 1, 1, 7, 1, 8, 1, 7, 8, 1, 1]
    assert order([7, 8], ids, [0, 4, 8], 4) == [1, 2, 0]
    assert order([7, 7], ids, [0, 4, 8], 4) == [1, 2, 0]


def test_a_rare_token_says_more_than_a_common_one() -> None:
    ids = [5, 5, 5, 5, 1, 9, 5, 1]
    assert order([5, 9], ids, [0, 2, 4, 6], 2) == [2, 0, 1, 3]


def test_overlapping_windows_both_hold_what_they_share() -> None:
    assert order([9], [1, 1, 1, 9, 1, 1, 1], [0, 2, 4], 4) == [0, 1, 2]
    assert order([9], [1, 1, 1, 1, 1, 9, 1], [0, 2, 4], 4) == [1, 2, 0]


def test_without_common_tokens_the_order_is_that_of_reading() -> None:
    assert order([9], [1] * 9, [0, 3, 6], 3) == [0, 1, 2]
    assert order([9], [], [], 3) == []
