"""Why an answer won, drawn as escaped HTML: probabilities over the tokens of its window as a plot
and as a tinted text, all windows over the passage, and the n-best list.

Pure functions from `qa.inside` to a string. Plots are inline SVG rather than one of Gradio's: they
take the page's colours in both themes, have a text alternative, and bring no plotting library into
the browser. Across they are measured in percent, down in pixels, so that they fit any width and no
letter is stretched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from qa.inside import Candidate, Inside, WindowOnMap
from ui.progress import draw_bar
from ui.text import escaped, percent

NOTHING_TO_SEE = (
    '<div class="vb-empty"><p>Here you will see why the model chose these words and no others.</p>'
    "<p>Ask a question first.</p></div>"
)

_HALF = 78  # pixels a bar of 100% is high
_AXIS = 100  # pixels from the top of the plot of probabilities to its axis
_GAP = 2  # tokens' widths between the null position and the first token
_SEEN = 0.001  # less is neither drawn nor tinted
_TOLD = 0.05  # from here on a probability stands in the text as a figure
_MAP = 84  # pixels the map of the windows is high
_COLUMNS = 500  # most bars on the map: more are thinner than a screen shows

_STOPPED = (
    '<p class="vb-note"><strong>Stopped.</strong> This is about the windows that were read.</p>'
)
_HEADS = ("#", "Words", "Score", "Logit", "Start", "End", "Null", "Window")


def draw(inside: Inside, passage: str, *, stopped: bool = False) -> str:
    """Draw all of it; that it is about the windows that were read where reading was `stopped`."""
    return (
        f'<div class="vb-inside">{_STOPPED if stopped else ""}{_sum(inside)}'
        "<h3>Where it begins and ends</h3>"
        "<p>One bar a token of the window: <b>up</b> for how likely the answer starts there, "
        "<b>down</b> for how likely it ends there. The chosen span is shaded; the first bar, apart "
        "from the others, is “no answer in this window”.</p>"
        f"{_probabilities(inside)}"
        "<h3>The same in the text</h3>"
        '<p>What the window holds of the passage. <span class="vb-key-start">Tinted above</span>, '
        "with its probability above: the answer starts there. "
        '<span class="vb-key-end">Tinted below</span>: it ends there. '
        "Underlined: the chosen span.</p>"
        f'<p class="vb-window" dir="auto">{"".join(_tinted(inside, passage))}</p>'
        "<h3>The windows</h3>"
        "<p>A bar for what the model reads at once, from the first words of the passage to the "
        "last: as high as the logit of its best span. Above zero, the span is likelier than "
        "nothing.</p>"
        f"{_map(inside)}"
        "<h3>The best spans</h3>"
        "<p>The n-best list, before those that overlap a better one are taken out; the others are "
        "the answers. Logit = start + end − null, all in the window where the span does best. "
        "Score: one softmax over all spans of all windows.</p>"
        f"{_table(inside)}</div>"
    )


def draw_progress(read: int, windows: int) -> str:
    """Draw how many windows have been read of how many."""
    bar = draw_bar("Windows read", read, windows, f"{read:,} of {windows:,} windows")
    return f'<div class="vb-empty"><p role="status">Looking inside…</p>{bar}</div>'


def draw_failure(sentence: str) -> str:
    """Draw what went wrong. It is announced where the answers would stand."""
    return f'<div class="vb-empty"><p>{escaped(sentence)}</p></div>'


def _sum(inside: Inside) -> str:
    """Draw how the chosen span came to its logit and score."""
    chosen = inside.chosen
    rank = f"Answer {chosen.rank}" if chosen.rank else "This span"
    all_read = 1 < len(inside.windows) == inside.windows[-1].number
    of = f" of {len(inside.windows):,}" if all_read else ""
    terms = (
        ("start logit", _logit(chosen.start_logit)),
        ("+ end logit", _logit(chosen.end_logit)),
        ("− null logit", _logit(chosen.null_logit)),
        ("= logit", _logit(chosen.logit)),
        ("score", percent(chosen.score)),
    )
    drawn = "".join(f"<div><dt>{term}</dt><dd>{value}</dd></div>" for term, value in terms)
    return (
        f'<p class="vb-unseen" role="status">Looked inside answer {chosen.rank or ""}.</p>'
        f"<p>{rank}, <b><bdi>{escaped(chosen.text)}</bdi></b>, does best in window "
        f"{chosen.window:,}{of}:</p>"
        f'<dl class="vb-figures vb-sum">{drawn}</dl>'
    )


def _probabilities(inside: Inside) -> str:
    tokens, chosen = inside.tokens, inside.chosen
    slots = len(tokens) + 1 + _GAP
    first = next(i for i, token in enumerate(tokens) if token.start == chosen.start)
    last = max(i for i, token in enumerate(tokens) if token.end == chosen.end)

    def across(slot: float) -> str:
        return f"{100 * slot / slots:.3f}%"

    def bar(slot: int, probability: float, name: str, side: str) -> str:
        if probability < _SEEN:
            return ""
        height = probability * _HALF
        top = _AXIS - height if side == "start" else _AXIS
        return (
            f'<rect class="vb-{side}" x="{across(slot)}" width="{across(1)}" y="{top:.1f}" '
            f'height="{height:.1f}"><title>{name}: {side} {percent(probability)}</title></rect>'
        )

    def label(token: int, probability: float, side: str) -> str:
        slot = token + 1 + _GAP + 0.5
        height = probability * _HALF + 6
        y = _AXIS - height if side == "start" else _AXIS + height + 9
        anchor = "start" if slot < slots / 4 else "end" if slot > slots * 3 / 4 else "middle"
        words = f"{_clipped(tokens[token].text)} {percent(probability)}"
        return f'<text x="{across(slot)}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'

    bars = [
        bar(0, inside.null_start, "No answer here", "start"),
        bar(0, inside.null_end, "No answer here", "end"),
    ]
    for slot, token in enumerate(tokens, 1 + _GAP):
        name = f"“{escaped(token.text)}”"
        bars.append(bar(slot, token.start_probability, name, "start"))
        bars.append(bar(slot, token.end_probability, name, "end"))
    lines = "".join(
        f'<line class="vb-rule" x1="0" x2="100%" y1="{y}" y2="{y}"/>'
        f'<text class="vb-scale" x="-6" y="{y + 4}" text-anchor="end">{mark}</text>'
        for y, mark in ((_AXIS - _HALF, "100%"), (_AXIS, "0"), (_AXIS + _HALF, "100%"))
    ) + "".join(
        f'<text class="vb-scale" x="-6" y="{y + 4}" text-anchor="end">{side}</text>'
        for y, side in ((_AXIS - _HALF // 2, "start"), (_AXIS + _HALF // 2, "end"))
    )
    return (
        f'<svg class="vb-plot" height="{2 * _AXIS}" role="img" '
        f'aria-label="{_probabilities_told(inside)}">'
        f'<rect class="vb-span" x="{across(first + 1 + _GAP)}" '
        f'width="{across(last - first + 1)}" y="{_AXIS - _HALF}" height="{2 * _HALF}"/>'
        f"{lines}{''.join(bars)}"
        f"{label(first, tokens[first].start_probability, 'start')}"
        f"{label(last, tokens[last].end_probability, 'end')}</svg>"
    )


def _probabilities_told(inside: Inside) -> str:
    """Tell the plot of probabilities in words: its highest bars."""
    starts = _highest((token.text, token.start_probability) for token in inside.tokens)
    ends = _highest((token.text, token.end_probability) for token in inside.tokens)
    return (
        f"Starts most likely at {starts}. Ends most likely at {ends}. No answer in this window: "
        f"start {percent(inside.null_start)}, end {percent(inside.null_end)}."
    )


def _highest(bars: Iterable[tuple[str, float]]) -> str:
    best = sorted((bar for bar in bars if bar[1] >= _SEEN), key=lambda bar: -bar[1])[:3]
    told = (f"{_clipped(text)} ({percent(probability)})" for text, probability in best)
    return ", ".join(told) or "no token"


def _tinted(inside: Inside, passage: str) -> Iterator[str]:
    """Yield the tokens and what stands between them; those of the chosen span underlined."""
    chosen = inside.chosen
    position = inside.tokens[0].start
    for token in inside.tokens:
        yield escaped(passage[position : token.start])
        # Two tokens may share a grapheme cluster, which is drawn with the first of them.
        words = escaped(passage[max(position, token.start) : token.end])
        position = max(position, token.end)
        if not words:
            continue
        if chosen.start <= token.start and token.end <= chosen.end:
            words = f"<u>{words}</u>"
        start, end = token.start_probability, token.end_probability
        if max(start, end) >= _SEEN:
            words = (
                f'<span style="--start:{start:.1%};--end:{end:.1%}" '
                f'title="start {percent(start)}, end {percent(end)}">{words}</span>'
            )
        for probability, side in ((start, "start"), (end, "end")):
            if probability >= _TOLD:
                words = f'<ruby class="vb-{side}s">{words}<rt>{probability:.0%}</rt></ruby>'
        yield words


def _map(inside: Inside) -> str:
    """Draw the windows over the passage, as high as their best span's logit."""
    windows = inside.windows
    columns = _columns(windows)
    logits = [0.0, *(window.logit for window in windows if window.logit is not None)]
    low, high = min(logits), max(logits)
    scale = (_MAP - 24) / (high - low or 1)
    zero = 18 + high * scale
    beginning, length = windows[0].start, max(1, windows[-1].end - windows[0].start)

    def across(characters: float) -> str:
        return f"{100 * characters / length:.3f}%"

    bars = []
    for window in columns:
        logit = window.logit or 0.0
        name = f"Window {window.number:,}: {_logit(logit)}"
        kind = ' class="vb-won"' if window.won else ""
        bars.append(
            f'<rect{kind} x="{across(window.start - beginning)}" '
            f'width="{across(window.end - window.start)}" '
            f'y="{zero - max(0, logit) * scale:.1f}" height="{abs(logit) * scale:.1f}">'
            f"<title>{name}</title></rect>"
        )
    won = next(window for window in windows if window.won)
    middle = (inside.chosen.start + inside.chosen.end) / 2 - beginning
    place = middle / length
    anchor = "start" if place < 0.25 else "end" if place > 0.75 else "middle"
    return (
        f'<svg class="vb-plot vb-map" height="{_MAP + 8}" role="img" '
        f'aria-label="{_map_told(windows, won)}">{"".join(bars)}'
        f'<line class="vb-axis" x1="0" x2="100%" y1="{zero:.1f}" y2="{zero:.1f}"/>'
        f'<text class="vb-scale" x="-6" y="{zero + 4:.1f}" text-anchor="end">0</text>'
        f'<line class="vb-place" x1="{across(middle)}" x2="{across(middle)}" y1="16" '
        f'y2="{_MAP}"/><text x="{across(middle)}" y="12" text-anchor="{anchor}">'
        f"window {won.number:,} won, {_logit(inside.chosen.logit)}</text></svg>"
    )


def _columns(windows: Sequence[WindowOnMap]) -> Sequence[WindowOnMap]:
    """Return the windows, or where there are very many the best of each few neighbours and the one
    that won; that one last, to be drawn over the others."""
    few = -(-len(windows) // _COLUMNS)
    groups = (windows[i : i + few] for i in range(0, len(windows), few))
    best = [max(group, key=lambda w: -1e38 if w.logit is None else w.logit) for group in groups]
    return [*(w for w in best if not w.won), *(w for w in windows if w.won)]


def _map_told(windows: Sequence[WindowOnMap], won: WindowOnMap) -> str:
    """Tell the map in words."""
    others = [w for w in windows if w.logit is not None and w is not won]
    if not others:
        return "One window was read."
    next_best = max(others, key=lambda w: w.logit or 0.0)
    return (
        f"{len(windows):,} windows. Window {won.number:,}, characters {won.start:,} to "
        f"{won.end:,}, won; of the others window {next_best.number:,} does best, with "
        f"{_logit(next_best.logit or 0.0)}."
    )


def _table(inside: Inside) -> str:
    """Draw the n-best list; below it the chosen span, if it is not that good."""
    heads = "".join(f'<th scope="col">{head}</th>' for head in _HEADS)
    spans = [(candidate.start, candidate.end) for candidate in inside.candidates]
    chosen = inside.chosen.start, inside.chosen.end
    rows = [
        _row(str(place), candidate, is_chosen=span == chosen)
        for place, (span, candidate) in enumerate(zip(spans, inside.candidates, strict=True), 1)
    ]
    if chosen not in spans:
        rows.append(_row("…", inside.chosen, is_chosen=True))
    return (
        '<div class="vb-scroll" role="region" tabindex="0" aria-label="The best spans">'
        f'<table class="vb-spans"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div>"
    )


def _row(place: str, candidate: Candidate, *, is_chosen: bool) -> str:
    current = ' aria-current="true"' if is_chosen else ""
    answer = f" <small>answer {candidate.rank}</small>" if candidate.rank else ""
    logits = (candidate.logit, candidate.start_logit, candidate.end_logit, candidate.null_logit)
    figures = (percent(candidate.score), *map(_logit, logits), f"{candidate.window:,}")
    cells = "".join(f"<td>{figure}</td>" for figure in figures)
    return (
        f"<tr{current}><td>{place}</td>"
        f'<th scope="row"><bdi>{escaped(candidate.text)}</bdi>{answer}</th>{cells}</tr>'
    )


def _logit(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _clipped(text: str) -> str:
    return escaped(text if len(text) <= 16 else f"{text[:15]}…")
