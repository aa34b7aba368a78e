"""Endpoints on the loopback that answer in every way, behind a real server; prints its port.

Run as a program: ``python http_endpoints.py FOLDER``. Requests that change something leave a line in FOLDER/log.
"""

import gzip
import json
import socket
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

FOLDER = Path(sys.argv[1])


async def echo(request: Request) -> Response:
    """Say what was asked, and log it."""
    body = await request.body()
    said = {
        "method": request.method,
        "path": request.scope["raw_path"].decode(),
        "query": request.url.query,
        "headers": dict(request.headers),
        "body": json.loads(body) if body else None,
        "port": request.client.port if request.client else 0,
    }
    with (FOLDER / "log").open("a") as log:
        log.write(f"{request.method} {said['path']}\n")
    return JSONResponse(said, headers={"set-cookie": "session=1"})


async def status(request: Request) -> Response:
    code = int(request.path_params["code"])
    headers = {"retry-after": request.query_params["after"]} if "after" in request.query_params else {}
    return Response("the reason\nis this" if code != 204 else b"", code, headers)


async def redirect(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"], int(request.query_params.get("code", "302")))


async def circle(_: Request) -> Response:
    return RedirectResponse("/circle", 302)


async def large(request: Request) -> Response:
    size = int(request.query_params["bytes"])

    async def chunks() -> AsyncGenerator[bytes, None]:
        for _ in range(size // 65_536):
            yield b"x" * 65_536
        yield b"x" * (size % 65_536)

    headers = {"content-length": str(size)} if "told" in request.query_params else {}
    return StreamingResponse(chunks(), headers=headers)


async def packed(request: Request) -> Response:
    data = gzip.compress(b"x" * int(request.query_params["bytes"]))
    if "cut" in request.query_params:
        data = data[:-4]
    return Response(data, headers={"content-encoding": request.query_params.get("as", "gzip")})


async def slow(request: Request) -> Response:
    await anyio.sleep(float(request.query_params["seconds"]))
    return JSONResponse({"slow": True})


async def slow_error(request: Request) -> Response:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"busy"
        await anyio.sleep(20)

    return StreamingResponse(chunks(), 503)


async def text(request: Request) -> Response:
    return Response(request.query_params["say"], media_type=request.query_params.get("type", "text/plain"))


METHODS = ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"]
ROUTES = {
    "/echo/{rest:path}": echo,
    "/status/{code:int}": status,
    "/redirect": redirect,
    "/circle": circle,
    "/large": large,
    "/packed": packed,
    "/slow": slow,
    "/slow-error": slow_error,
    "/text": text,
}


def main() -> None:
    app = Starlette(routes=[Route(path, function, methods=METHODS) for path, function in ROUTES.items()])
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(100)
    print(listening.getsockname()[1], flush=True)  # noqa: T201  # for whoever started it
    uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listening])


if __name__ == "__main__":
    main()
