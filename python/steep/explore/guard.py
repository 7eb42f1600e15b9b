"""Which requests are answered: those of the page that this server has served, and no others.

A web page on another site may send requests to 127.0.0.1, and a host name may be pointed there (DNS rebinding). So the
address that the browser names, the origin of the page that asks, and a random token in the path all have to be right.
The token is in the path and not in a cookie, since browsers send cookies to all ports of a host.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Guard:
    """The address of a server and its token.

    Attributes:
        port: its port.
        token: the first part of every path.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def accepted(self) -> tuple[str, ...]:
        """What a request may name as the host."""
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """Why a request is refused, "" if it is not.

        Args:
            method: GET or POST.
            path: its path.
            headers: its headers.

        Returns:
            A sentence.
        """
        host, origin = headers.get("Host", ""), headers.get("Origin")
        if host not in self.accepted:
            return "the request names another host"
        if origin != f"http://{host}" and (origin is not None or method == "POST"):
            return "the request comes from another origin"
        if headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            return "the request comes from another site"
        first = path.split("?")[0].split("/")[1:2]
        if not first or not secrets.compare_digest(first[0].encode(), self.token.encode()):
            return "the address lacks the token that steep explore printed"
        return ""
