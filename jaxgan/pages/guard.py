"""Refuses requests that other pages make through the user's browser, also through a name that resolves to this machine."""

import ipaddress
import socket
from collections.abc import Iterable, Mapping
from typing import Any

_POLICY = "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# Sent with every answer: nothing of it is kept, framed, embedded elsewhere or mixed with what another address serves.
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_HERE = ("localhost", "127.0.0.1", "[::1]")


def names(host: str) -> set[str]:
    """Returns the names by which a page that listens at an address may be called; "*" stands for any numeric address.

    A page that tricks a browser into calling this machine by a name of its own (DNS rebinding) sends that name. An address in
    numbers cannot be pointed elsewhere, so it is allowed where more than this machine is listened to.
    """
    if is_loopback(host):
        return {*_HERE, bracketed(host)}
    return {*_HERE, bracketed(host).lower(), socket.gethostname().lower(), socket.getfqdn().lower(), "*"}


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches a host."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bracketed(host: str) -> str:
    """Returns a host as addresses hold it: an IPv6 one in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def refusal(headers: Mapping[str, str], allowed: Iterable[str], *, path: str) -> str | None:
    """Returns why a request is refused, in one line, or None.

    Args:
        headers: of the request, by names in small letters.
        allowed: what `names` returns.
        path: that is asked for; the page itself may be opened by a link on any other.
    """
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
    if name.lower() not in allowed and not ("*" in allowed and _is_address(name)):
        return f"host: {host[:80]!r} is not the name of this page"
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        return f"origin: {origin[:80]!r} is another page"
    site = headers.get("sec-fetch-site", "none")
    opened = path == "/" and headers.get("sec-fetch-mode") == "navigate"
    if site not in ("none", "same-origin") and not opened:
        return f"sec-fetch-site: {site[:20]!r}, but only this page may ask"
    return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


class Guard:
    """An ASGI application that lets another see only requests of its own page."""

    def __init__(self, app: Any, allowed: Iterable[str]) -> None:
        self._app, self._allowed = app, frozenset(allowed)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers 403 to a request that is refused, and adds `HEADERS` to every answer."""
        if scope["type"] != "http":
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        twice = sum(name == "host" for name, _ in pairs) != 1
        why = "host: it must be given once" if twice else refusal(dict(pairs), self._allowed, path=scope["path"])
        if why is None:
            await self._app(scope, receive, with_headers)
            return
        start = {"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain; charset=utf-8")]}
        await with_headers(start)
        await send({"type": "http.response.body", "body": f"{why}\n".encode("utf-8", "replace")})
