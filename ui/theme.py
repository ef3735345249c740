"""The colours and type of the page, for Gradio's components and for the .css files.

Light is warm paper, dark is deep ink, and amber is kept for the highlighter. Type is what the
reader's own computer has: a font fetched from somewhere would tell somewhere who reads. Layout and
our own elements are in the .css files.
"""

from __future__ import annotations

import gradio as gr

# Each colour in light and in dark.
PALETTE = {
    "paper": ("#f4eee1", "#12141b"),  # the page
    "sheet": ("#fffcf4", "#1b1e28"),  # what is written on
    "ink": ("#221c14", "#ece5d5"),
    "ink-soft": ("#635948", "#aca491"),
    "line": ("#dfd4bf", "#323644"),  # divides, says nothing
    "edge": ("#8f826b", "#727787"),  # the border of what can be used
    "mark": ("#ffc832", "#f2b52d"),  # the highlighter: the best answer
    "stroke": ("#ffcf4d", "#7a570e"),  # the highlighter under the name
    "mark-ink": ("#221c14", "#1a1304"),
    "mark-faint": ("#fcebb6", "#42371c"),  # the other answers
    "mark-faint-ink": ("#221c14", "#fbecc6"),
    "mark-edge": ("#96690a", "#dba52f"),
    "start-faint": ("#ffd96b", "#6b4d0c"),  # where an answer may start, and where end: grounds
    "end-faint": ("#a9cbfa", "#1d4a80"),
    "end": ("#1c5fb8", "#8fbcff"),
    "key": ("#2a231a", "#ece5d5"),  # the button
    "key-ink": ("#fff7e3", "#12141b"),
    "key-hover": ("#4a3f30", "#ffffff"),
    "focus": ("#1c5fb8", "#8fbcff"),
    "alarm": ("#a4261a", "#ffa193"),
}

SERIF = ["Charter", "Bitstream Charter", "Iowan Old Style", "Sitka Text", "Georgia", "serif"]
SANS = [
    "Seravek",
    "Gill Sans Nova",
    "Segoe UI",
    "Ubuntu",
    "Noto Sans",
    "Liberation Sans",
    "sans-serif",
]
MONO = ["ui-monospace", "Cascadia Code", "Menlo", "Consolas", "monospace"]


def theme() -> gr.themes.Base:
    """Return Gradio's base theme in our colours."""
    base = gr.themes.Base(font=SANS, font_mono=MONO, text_size="lg", radius_size="md")
    colours = {
        "body_background_fill": "paper",
        "body_text_color": "ink",
        "body_text_color_subdued": "ink-soft",
        "background_fill_primary": "sheet",
        "background_fill_secondary": "paper",
        "border_color_primary": "line",
        "block_title_text_color": "ink-soft",
        "block_label_text_color": "ink-soft",
        "input_background_fill": "sheet",
        "input_background_fill_focus": "sheet",
        "input_border_color": "edge",
        "input_border_color_focus": "focus",
        "input_placeholder_color": "ink-soft",
        "button_primary_background_fill": "key",
        "button_primary_background_fill_hover": "key-hover",
        "button_primary_text_color": "key-ink",
        "button_primary_text_color_hover": "key-ink",
        "loader_color": "mark-edge",
        "error_text_color": "alarm",
        "error_icon_color": "alarm",
    }
    settings = {name: PALETTE[colour][0] for name, colour in colours.items()}
    settings |= {f"{name}_dark": PALETTE[colour][1] for name, colour in colours.items()}
    settings |= {
        "color_accent": "var(--vb-ink)",
        "color_accent_soft": "var(--vb-mark-faint)",
        "color_accent_soft_dark": "var(--vb-mark-faint)",
        "block_background_fill": "transparent",
        "block_background_fill_dark": "transparent",
        "block_border_width": "0px",
        "block_border_width_dark": "0px",
        "block_shadow": "none",
        "block_shadow_dark": "none",
        "block_padding": "0px",
        "block_title_text_size": "0.8125rem",
        "block_title_text_weight": "600",
        "block_title_padding": "0px",
        "layout_gap": "1rem",
        "form_gap_width": "0px",
        "input_border_width": "1px",
        "input_border_width_dark": "1px",
        "input_padding": "0.625rem 0.75rem",
        "input_shadow": "none",
        "input_shadow_focus": f"inset 0 0 0 2px {PALETTE['focus'][0]}",
        "input_shadow_focus_dark": f"inset 0 0 0 2px {PALETTE['focus'][1]}",
        "input_text_size": "1rem",
        "button_large_padding": "0.625rem 1.5rem",
        "button_large_text_weight": "600",
    }
    base.set(**settings)
    base.custom_css = _variables()
    return base


def _variables() -> str:
    """Return the palette as the CSS variables that the .css files use."""
    light, dark = (
        "".join(f"--vb-{name}:{pair[shade]};" for name, pair in PALETTE.items()) for shade in (0, 1)
    )
    serif = ", ".join(f'"{font}"' if " " in font else font for font in SERIF)
    return f":root{{{light}--vb-serif:{serif};}} :root.dark, :root .dark{{{dark}}}"
