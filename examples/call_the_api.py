"""Ask a running Verbatim over HTTP, with Gradio's own client.

Start the app with `python app.py`; then, in another terminal, from the top of the repository:

    python -m examples.call_the_api
    python -m examples.call_the_api http://127.0.0.1:7860/
"""

import argparse
import os
import sys
from pathlib import Path

# Read when the client is imported. Without them it asks huggingface.co for a list and reports its
# use there, and sends a Hugging Face token saved on this computer to the URL.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"

import httpx
from gradio_client import Client  # type: ignore[import-untyped]
from gradio_client.exceptions import AppError  # type: ignore[import-untyped]


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask a running Verbatim over HTTP.")
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:7860/")
    url = parser.parse_args().url
    if not url.startswith(("http://", "https://")):
        parser.error("the URL must begin with http:// or https://")
    passage = Path(__file__).with_name("lighthouse.txt").read_text(encoding="utf-8")

    try:
        result = Client(url, verbose=False).predict(
            question="When did the light first shine?",
            passage=passage,
            model="minilm-l6-squad-int8",  # may be left out, as may top_k
            top_k=3,
            api_name="/answer",
        )
    except AppError as error:  # what the page would say: a blank passage, an unknown model
        sys.exit(error.message)
    except (httpx.HTTPError, ValueError) as error:
        sys.exit(f"No Verbatim answers at {url}; start it with `python app.py` ({error}).")

    for answer in result["answers"]:
        print(f"{answer['score']:.3f}  {answer['text']}  [{answer['start']}:{answer['end']}]")
    print(f"{result['model']}: {result['tokens']} tokens, windows: {result['windows']}")


if __name__ == "__main__":
    main()
