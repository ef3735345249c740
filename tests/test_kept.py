"""What was made lately is kept, as much as may be."""

from dataclasses import dataclass

from qa import Reader
from qa.kept import ENTRY_TOKENS, Kept
from qa.windows import CHARACTERS_A_TOKEN


@dataclass
class Made:
    cost: int


def test_what_was_not_wanted_for_longest_gives_way() -> None:
    kept: Kept[str, Made] = Kept(30 + 3 * ENTRY_TOKENS)
    made = {name: Made(10) for name in "abc"}
    for name, value in made.items():
        kept.put(name, value)
    assert kept.get("a") is made["a"]  # and is not the oldest now
    kept.put("d", Made(10))
    assert [name for name in "abcd" if kept.get(name) is not None] == ["a", "c", "d"]


def test_what_is_kept_anew_counts_once() -> None:
    kept: Kept[str, Made] = Kept(20 + 2 * ENTRY_TOKENS)
    for _ in range(5):
        kept.put("a", Made(10))
    kept.put("b", Made(10))
    assert kept.get("a") == kept.get("b") == Made(10)


def test_what_is_too_long_is_not_kept() -> None:
    kept: Kept[str, Made] = Kept(100 + ENTRY_TOKENS)
    kept.put("fits", Made(100))
    kept.put("long", Made(101))
    assert kept.get("long") is None
    assert kept.get("fits") is not None  # and nothing else makes way for it
    kept.put("fits", Made(101))
    assert kept.get("fits") is None  # nor does what is out of date stay


def test_many_short_ones_are_bounded_too() -> None:
    kept: Kept[int, Made] = Kept(1000)
    for number in range(1000):
        kept.put(number, Made(1))
    assert sum(kept.get(number) is not None for number in range(1000)) == 1000 // (1 + ENTRY_TOKENS)


def test_text_without_tokens_costs_too(reader: Reader) -> None:
    blank = reader.tokens("a" + " " * 9_999)
    assert len(blank) == 1
    assert blank.cost == 10_000 // CHARACTERS_A_TOKEN
    assert reader.tokens("a b c").cost == 3
