"""What the pages keep of calls: the sessions of visitors, none of programs' single calls; and how
many events they answer at once past the queue."""

import asyncio

import gradio as gr
import httpx
import pytest
from gradio.routes import App
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


def test_calls_that_were_told_their_answers_leave_nothing_in_the_queue() -> None:
    async def called() -> None:
        with Blocks() as blocks:
            gr.events.api(shout, api_name="shout")
        transport = httpx.ASGITransport(App.create_app(blocks))
        blocks._queue.start()
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            path = "/gradio_api/call/shout"
            for _ in range(5):
                event = (await client.post(path, json={"data": ["aye"]})).json()["event_id"]
                assert '["AYE"]' in (await client.get(f"{path}/{event}")).text
        assert list(blocks._queue.pending_event_ids_session) == [event]  # until the next call

    loops.run(called())


def test_events_past_the_queue_take_turns() -> None:
    under_way: list[int] = []

    async def look() -> int:
        under_way.append(1)
        at_once = len(under_way)
        await asyncio.sleep(0.01)
        under_way.pop()
        return at_once

    async def most(queue: bool) -> int:
        with Blocks() as blocks:
            gr.events.api(look, api_name="look", queue=queue)
        (function,) = blocks.fns.values()
        all_done = await asyncio.gather(*(blocks.process_api(function, []) for _ in range(9)))
        return max(int(done["data"][0]) for done in all_done)

    assert loops.run(most(queue=False)) == 4
    assert loops.run(most(queue=True)) == 9
