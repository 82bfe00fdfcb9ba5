"""`storycache demo`: a page to try a trained model with pictures of one's own."""

import errno
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from pipeline.cli.predict import (
    DEFAULT_MODEL,
    ClipOption,
    DecoderOption,
    ModelOption,
    check_trained,
)
from pipeline.common.errors import UserError

LOCAL = ("127.0.0.1", "localhost", "::1")
MOST_CONNECTIONS = 128
SECONDS_TO_END = 5
"""That a request under way has, once the server is asked to stop."""

Part = TypeVar("Part")


def command(
    model: ModelOption = DEFAULT_MODEL,
    data: Annotated[
        Path,
        typer.Option(help="Of the run that made it, for examples; what is not there is left out."),
    ] = Path("data"),
    host: Annotated[
        str, typer.Option(help="Address to listen at; another than the default lets others in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8765,
    browser: Annotated[bool, typer.Option(help="Open the page, where there is a browser.")] = True,
    clip: ClipOption = None,
    decoder: DecoderOption = None,
) -> None:
    """Try a model on a page of this machine: pictures and captions in, the next caption out.

    Nothing leaves the machine, and pictures are not kept. Ctrl-C ends it.
    """
    check_trained(model)
    with listen(host, port) as listener:
        # Seconds that a taken port need not wait for.
        import uvicorn

        from pipeline.demo.server import Demo, make_app
        from pipeline.demo.stories import Examples, TrainingFrames
        from pipeline.predict.storyteller import Storyteller

        teller = Storyteller.from_pretrained(model, clip=clip, decoder=decoder)
        fingerprints = {name: teller.clip.fingerprint(name) for name in ("image", "text")}
        examples = if_there("examples", lambda: Examples(data, teller.k))
        training = if_there(
            "nearest training stories", lambda: TrainingFrames(data, teller.k, fingerprints)
        )
        config = uvicorn.Config(
            make_app(Demo(teller, data, examples, training), host),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=SECONDS_TO_END,
        )
        address = address_of(host, listener.getsockname()[1])
        print(f"{address} is ready; Ctrl-C ends it", flush=True)
        if host not in LOCAL:
            print("everyone who reaches this machine can use it there", file=sys.stderr)
        if browser and has_screen():
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections; raises UserError if there can be none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port} is taken already: give another one by --port") from None
        raise UserError(
            f"{host}, port {port} cannot be listened at ({error.strerror}): give another --host or "
            "--port"
        ) from None


def address_of(host: str, port: int) -> str:
    """What to open in a browser for a server that listens there."""
    name = "localhost" if host in ("0.0.0.0", "::") else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def has_screen() -> bool:
    """Whether a browser would have a window, rather than take over the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def if_there(what: str, read: Callable[[], Part]) -> Part | None:
    """What `read` gives; where it cannot, None, and on stderr what is missing and why."""
    try:
        return read()
    except UserError as error:
        print(f"no {what}: {error}", file=sys.stderr)
        return None
