"""A page to try a trained model with pictures of one's own.

python -m pipeline.cli.demo [--model data/models/final] [--port 8765]
"""

import argparse
import errno
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pipeline.common.errors import UserError, exit_cleanly

MODEL, DATA, HOST, PORT = Path("data/models/final"), Path("data"), "127.0.0.1", 8765
LOCAL = ("127.0.0.1", "localhost", "::1")
MOST_CONNECTIONS = 128
SECONDS_TO_END = 5
"""That a request under way has, once the server is asked to stop."""

Part = TypeVar("Part")


def demo(
    model: Path = MODEL,
    data: Path = DATA,
    host: str = HOST,
    port: int = PORT,
    browser: bool = True,
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        model: a model folder, or an id on the Hugging Face Hub.
        data: of the run that made the model, for examples and training stories; what is not there
            is left out.
        host: address to listen at; another than this machine's own lets others in.
        port: 0 for any that is free.
        browser: whether to open the page, where there is a browser.

    Raises:
        UserError: the port is taken, or the model cannot be loaded.
    """
    with listen(host, port) as listener:
        serve(listener, model, data, host, browser)


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections; raises UserError if there can be none."""
    if not 0 <= port < 65536:
        raise UserError(f"{port} is no port: give --port one from 0 to 65535")
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


def serve(listener: socket.socket, model: Path, data: Path, host: str, browser: bool) -> None:
    """Load a model and serve the page on a socket that listens already."""
    # Seconds that a taken port need not wait for.
    import uvicorn

    from pipeline.demo.server import Demo, make_app
    from pipeline.demo.stories import Examples, TrainingFrames
    from pipeline.predict.storyteller import Storyteller

    teller = Storyteller.from_pretrained(model)
    fingerprints = {name: teller.clip.fingerprint(name) for name in ("image", "text")}
    examples = _if_there("examples", lambda: Examples(data, teller.k))
    training = _if_there(
        "nearest training stories", lambda: TrainingFrames(data, teller.k, fingerprints)
    )
    app = make_app(Demo(teller, data, examples, training), host)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=SECONDS_TO_END,
    )
    shown, port = host if host not in ("0.0.0.0", "::") else "localhost", listener.getsockname()[1]
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
    print(f"{address} is ready; Ctrl-C ends it", flush=True)
    if host not in LOCAL:
        print("everyone who reaches this machine can use it there", file=sys.stderr)
    if browser and has_screen():
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    uvicorn.Server(config).run(sockets=[listener])


def has_screen() -> bool:
    """Whether a browser would have a window, rather than take over the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _if_there(what: str, read: Callable[[], Part]) -> Part | None:
    try:
        return read()
    except UserError as error:
        print(f"no {what}: {error}", file=sys.stderr)
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a page to try a trained model.")
    parser.add_argument("--model", type=Path, default=MODEL, help="a model folder or Hub id")
    parser.add_argument("--data", type=Path, default=DATA, help="of the run that made the model")
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--no-browser", dest="browser", action="store_false")
    demo(**vars(parser.parse_args()))


if __name__ == "__main__":
    exit_cleanly(main)
