"""Strings of every kind Python can hold, for hypothesis, and a few long texts."""

from hypothesis import strategies as st

TRICKY = [
    "",
    " ",
    "İstanbul'da ıssız ßtraße ﬁne ẞ",
    "e\u0301te\u0301 cafe\u0301 \u0301alone",  # combining accents, one with nothing before it
    "日本語のテキスト。質問に答える",
    "ภาษาไทยไม่มีช่องว่าง",
    "한국어 문장 ᄒ" + "ᅡ" * 3,
    "हिन्दी में क्षेत्र",
    "שלום עולם مرحبا بالعالم",
    "👩‍👩‍👧 👍🏽 🇩🇪🇫🇷🇬 1️⃣ ‼\u200d‼",
    "a\x00b\x01c\u200bd\ufeffe\u202ef",
    "line\r\nline\rline\nline\u2028line\u0085line",
    "lone \ud800 surrogates \udfff\ud83d",
    "[CLS] [SEP] [PAD] [UNK] [MASK] ##ing <s> </s><pad> <mask>",
    "x" * 130,
    "ab" * 45,
    "<script>alert(1)</script> & 3,200.50 € −5 °C",
]

any_text = st.lists(
    st.sampled_from(TRICKY) | st.text(st.characters(exclude_categories=()), max_size=12),
    max_size=12,
).map(" ".join)


def prose(words: int) -> str:
    """Return a text of that many different-looking words, none of which repeats soon."""
    syllables = ["ka", "lo", "mi", "ren", "tu", "sar", "vel", "on", "di", "pash"]
    return " ".join(
        "".join(syllables[(i // 10**k + k) % 10] for k in range(3)) + ("." if i % 17 == 16 else "")
        for i in range(words)
    )
