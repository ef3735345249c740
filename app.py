"""Start Verbatim: read the flags, load the model, serve the page.

What the page shows and does is in ui/; how a question is answered is in qa/.
"""

from __future__ import annotations

import argparse
import errno
import importlib.util
import inspect
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from qa import catalog, engines
from qa.errors import InputError, QAError
from qa.terminal import Parser
from ui import zero_gpu
from ui.limits import PUBLIC_REQUESTS_A_MINUTE, REQUESTS_A_QUESTION, VISITORS_KEPT, Limits

_VARIABLES = """\
environment variables:
  QA_FLAGS       flags that stand before those given, for hosts that can pass none
  QA_PREINSTALL  models to fetch before serving, where they are not installed: names, separated
                 by commas; --model may be one of them
  QA_MIRROR      folder or address to fetch models from instead of their publisher's
  QA_MODELS_DIR  folder to keep models in, looked into first
  GRADIO_ROOT_PATH  path below which a reverse proxy offers the app, such as /verbatim
  GRADIO_TEMP_DIR   folder for files while they are being opened, instead of the system's
"""
_OWN_ADDRESSES = ("127.0.0.1", "::1", "localhost")  # where no other computer comes in
# Where proxies of a network of their own are.
_PRIVATE_NETWORKS = (
    *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
    *("::1", "fc00::/7"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped. Returns the exit code: 0 stopped, 1 could not be done, 2 bad usage."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args([*os.environ.get("QA_FLAGS", "").split(), *given])
    # Gradio would otherwise tell its makers that it was started.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # And after each event add up how long the last 10,000 took, for a page that is not served.
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(sys.maxsize)
    try:
        if options.mcp and options.auth:
            raise InputError("--mcp asks nobody to log in; leave it or --auth out.")
        if options.mcp and importlib.util.find_spec("mcp") is None:
            raise QAError('--mcp needs one more library: pip install "mcp<2".')
        _check_address(options.host, options.port)
        _serve(options)
    except InputError as error:
        return _complain(error, 2)
    except (QAError, OSError) as error:
        return _complain(error, 1)
    except MemoryError:
        return _complain("There is not enough memory; close other programs.", 1)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python app.py",
        description="Ask a text a question in the browser and see the exact words that answer it.",
        epilog=_VARIABLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--host",
        default=os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1",
        help="address to listen on, 0.0.0.0 to let other computers in "
        "(GRADIO_SERVER_NAME, else 127.0.0.1)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=os.environ.get("GRADIO_SERVER_PORT") or os.environ.get("PORT"),
        help="port to listen on (GRADIO_SERVER_PORT, PORT, else the first free one from 7860)",
    )
    parser.add_argument(
        "--share", action="store_true", help="also serve on a public link, through Gradio's servers"
    )
    parser.add_argument(
        "--auth",
        type=_auth,
        metavar="USER:PASSWORD",
        help="ask visitors to log in (not with --mcp)",
    )
    parser.add_argument(
        "--model",
        default=catalog.DEFAULT,
        help="the model that answers first: name, alias or folder (%(default)s)",
    )
    parser.add_argument(
        "--engine",
        metavar="E",
        help=engines.HELP,
    )
    _add_limits(parser)
    parser.add_argument(
        "--mcp",
        action="store_true",
        help="also offer the endpoints as tools to MCP clients, at /gradio_api/mcp/ (needs: "
        'pip install "mcp<2")',
    )
    parser.add_argument(
        "--no-fetch",
        action="store_true",
        help="let visitors neither fetch nor remove models (always so where other computers are "
        "let in: with another --host, with --share, on a Hugging Face Space)",
    )
    parser.add_argument(
        "--log",
        action="store_true",
        help="write a line of JSON to standard error for every request to answer: when, how "
        "long, what came of it; nothing of what was asked",
    )
    return parser


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("limits (the defaults suit two cores and 16 GB)")
    usual = Limits()

    def add(flag: str, what: str, default: int, says: str) -> None:
        limits.add_argument(
            flag,
            type=_number_of(what),
            default=default,
            metavar="N",
            help=f"{says} (%(default)s)",
        )

    add("--max-chars", "characters", usual.characters, "refuse passages of more than N characters")
    add(
        "--max-file-mb",
        "megabytes",
        usual.file_bytes // 1_000_000,
        "refuse files of more than N megabytes, all that are opened at once together",
    )
    add("--max-questions", "questions", usual.questions, "refuse more than N questions at once")
    add("--at-once", "passages", usual.reading, "read N passages at a time, the others in turn")
    add("--max-queue", "requests", usual.waiting, "let N requests wait, refuse the next")
    add("--time-limit", "seconds", usual.seconds, "end what takes longer than N seconds")
    limits.add_argument(
        "--rate-limit",
        type=_number_of("requests", least=0),
        metavar="N",
        help="let a visitor make N requests a minute, of which a question on the page takes up to "
        f"{REQUESTS_A_QUESTION}; 0: as many as they like ({PUBLIC_REQUESTS_A_MINUTE} with --share "
        "and on a Hugging Face Space, else 0)",
    )


def _limits(options: argparse.Namespace) -> Limits:
    rate = options.rate_limit
    if rate is None and _is_public(options):
        rate = PUBLIC_REQUESTS_A_MINUTE
    return Limits(
        characters=options.max_chars,
        file_bytes=options.max_file_mb * 1_000_000,
        questions=options.max_questions,
        seconds=options.time_limit,
        waiting=options.max_queue,
        reading=options.at_once,
        requests_a_minute=rate or None,
    )


def _is_public(options: argparse.Namespace) -> bool:
    """Say whether anybody can visit."""
    return bool(options.share or os.environ.get("SPACE_ID"))


def _may_fetch(options: argparse.Namespace) -> bool:
    """Say whether visitors may fetch, remove and add models: only who sits at this computer."""
    return options.host in _OWN_ADDRESSES and not (options.no_fetch or _is_public(options))


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def _number_of(what: str, least: int = 1) -> Callable[[str], int]:
    """Return the type of a flag that takes a number of something."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {what}")
        return int(text)

    return number


def _auth(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError("give a name and a password as USER:PASSWORD")
    return user, password


def _check_address(host: str, port: int | None) -> None:
    """Raise QAError where this address cannot be listened on, at this or, where it is None, at any
    port; Gradio would say so late and at length."""
    at = f"{host} port {port}" if port else host
    try:
        family, *_, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except UnicodeError as error:
        raise QAError(f"{host} is no address; choose another with --host.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"Port {port} is in use; choose another with --port."
        else:
            why = str(error.strerror).partition(" (")[0]
            reason = f"{at} cannot be listened on ({why}); choose another with --host or --port."
        raise QAError(reason) from error


def _serve(options: argparse.Namespace) -> None:
    # Imported only here: mistakes are told at once, and a bad model before Gradio takes its time.
    from ui.readers import Readers

    _preinstall()
    limits = _limits(options)
    readers = Readers(options.model, limits, options.engine)
    _prepare_environment(options)
    zero_gpu.announce()
    with _without_stub_files():
        import gradio  # noqa: F401

    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware

    from ui import gate, log, page, theme
    from ui.closing import Closing

    if options.log:
        log.start()
    closing = Closing()
    closing.heed_signals()
    blocks = page.build(readers, may_fetch=_may_fetch(options))
    blocks.queue(api_open=False)  # nothing is answered past the queue
    _, local_url, share_url = blocks.launch(
        server_name=f"[{options.host}]" if ":" in options.host else options.host,
        server_port=options.port,
        share=options.share,
        auth=options.auth,
        theme=theme.theme(),
        css_paths=sorted(page.HERE.glob("*.css")),
        head=page.head(),
        favicon_path=page.HERE / "favicon.svg",
        footer_links=[],
        run_history=False,  # would keep what visitors ask in their browsers
        enable_monitoring=False,
        mcp_server=options.mcp,
        app_kwargs={
            "middleware": [Middleware(gate.Gate, limits=limits, closing=closing)],
            "routes": [gate.health(readers, closing)],
            "exception_handlers": {HTTPException: gate.explain},
        },
        max_file_size=limits.file_bytes,
        state_session_capacity=VISITORS_KEPT,
        ssr_mode=False,
        quiet=True,
        prevent_thread_lock=True,
    )
    sys.stdout.write(f"Verbatim is at {share_url or local_url} (Ctrl+C stops it)\n")
    sys.stdout.flush()
    closing.wait(blocks, readers)


def _prepare_environment(options: argparse.Namespace) -> None:
    """Set what Gradio and its server read from the environment when they are imported."""
    if ":" in options.host:
        # Before it listens, Gradio tries the port on this address, and by IPv4 only.
        os.environ["GRADIO_SERVER_NAME"] = "0.0.0.0"  # noqa: S104 - nothing listens there
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise QAError(
            "There is no folder for temporary files; name one that can be written with TMPDIR."
        ) from error
    if os.environ.get("SPACE_ID"):
        # There, visitors come through proxies that say who they are. The last address that is not
        # a proxy's counts: those before it are what the visitor claims.
        os.environ.setdefault("FORWARDED_ALLOW_IPS", ",".join(_PRIVATE_NETWORKS))


def _preinstall() -> None:
    """Fetch what QA_PREINSTALL names. What cannot be had is said, and the rest is served."""
    if not os.environ.get("QA_PREINSTALL"):
        return
    from qa import store

    said = False

    def report(progress: store.Progress) -> None:
        """Say, once, why it takes its time."""
        nonlocal said
        if not said:
            sys.stderr.write("Fetching the models that QA_PREINSTALL names\n")
            sys.stderr.flush()
        said = True

    for error in store.preinstall(report):
        _complain(error, 1)


@contextmanager
def _without_stub_files() -> Iterator[None]:
    """Keep Gradio from rewriting its editor stubs (.pyi) at every import: more than half of the
    time that it takes. It passes over classes that come from no file, so its own are said to."""
    real = inspect.getfile

    def getfile(thing: Any) -> str:
        if type(thing).__module__ == "gradio.component_meta":
            raise OSError("no stub file wanted")
        return real(thing)

    inspect.getfile = getfile  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.getfile = real


def _complain(error: Exception | str, code: int) -> int:
    sys.stderr.write(f"{error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
