"""What the pages keep of calls: the sessions of visitors, none of programs' single calls."""

import gradio as gr
import pytest
from gradio.state_holder import StateHolder

from tests import loops
from ui.blocks import Blocks


def shout(text: str) -> str:
    if not text:
        raise gr.Error("Say something.")
    return text.upper()


@pytest.mark.parametrize("text", ["aye", ""])
def test_a_call_of_a_program_leaves_no_session(text: str) -> None:
    async def called(session: str) -> bool:
        with Blocks() as blocks:
            gr.events.api(shout, api_name="shout")
        holder = StateHolder()  # type: ignore[no-untyped-call]
        holder.set_blocks(blocks)
        (function,) = blocks.fns.values()
        named = {"state": holder[session], "session_hash": session, "event_id": "event"}
        try:
            done = await blocks.process_api(function, [text], **named)
            assert done["data"] == ["AYE"]
        except gr.Error:
            assert text == ""
        assert (session in holder.time_last_used) == (session in holder)
        return session in holder

    assert loops.run(called("visitor"))
    assert not loops.run(called("event"))  # Gradio names the session of such a call like it
