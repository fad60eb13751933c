"""Where a key goes: to the hosts that its owner means, and never in the clear through a network of others.

Plain http is read by everyone on the way, so a key goes over https, or stays on this machine or in the cluster: to loopback, to a
Service (`NAME`, `NAME.NAMESPACE.svc`, and in a pod `NAME.NAMESPACE`, if there is such a Service), or to a private address
(10/8, 172.16/12, 192.168/16, fc00::/7), which is how pods and machines of one's own network are reached and which no router
passes on. A name without dots is a Service there, a machine of one's own network here.

Who may name the URL decides the rest. Somebody who types URL and key into one shell means what they type. In a run on a cluster,
the URL comes from whoever fills in the form, and the key from a secret of somebody else; there a key goes only to the hosts that
the same secret names beside it (GLOBE_TEACHER_HOSTS, GLOBE_API_HOSTS: `api.example.org,gateway.ml.svc:8000`), each exactly as it
stands there; without a port, the scheme's own is meant. Where the variable is set, it holds in any shell.

No client of ours follows a redirect with a key. A proxy that the environment names is whoever wrote the environment's own.
"""

import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from functools import cache

from globe.console import tell_once

FORM_VARIABLE = "GLOBE_URLS_FROM_FORM"
"""Set in the tasks of a run on a cluster: URLs come from the run's form, so hosts must be named."""
_URL = re.compile(r"((?i:https?))://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(?:[/?#][!-\[\]-~]*)?")
"""What every client reads alike: no name before the host, no host that is not ASCII, no backslash. Nothing else can be named."""
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""As the last part of a host, it makes an address of it: 134744072 is 8.8.8.8."""
_PRIVATE = [
    ipaddress.ip_network(text) for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
]
THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
"""Hosts that no proxy can reach for us."""
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Key:
    """A key, by the names of the environment variables that hold it and the hosts that it is for."""

    variable: str
    hosts_variable: str


TEACHER_KEY = Key("GLOBE_TEACHER_API_KEY", "GLOBE_TEACHER_HOSTS")
"""For the teachers' servers."""
SERVER_KEY = Key("GLOBE_API_KEY", "GLOBE_API_HOSTS")
"""For a hosted server that is evaluated or asked where a photo was taken."""


def key_for(url: str, key: Key) -> str:
    """The key to send to a URL; empty if there is none, or if it does not belong there, which is then told on stderr.

    Args:
        url: Where a request goes.
        key: Which key.
    """
    value = os.environ.get(key.variable, "").strip()
    withheld = why_withheld(url, key)
    if withheld:
        tell_once(withheld)
    return "" if withheld else value


def why_withheld(url: str, key: Key) -> str:
    """Why a key that is there is not sent to a URL, in one line with what to do; empty if it is sent, or is not there."""
    if not os.environ.get(key.variable, "").strip():
        return ""
    if not may_carry_secrets(url):
        return f"{key.variable} is not sent to {url}: {IN_THE_CLEAR}"
    named = hosts_of(key)
    if (named is None and FORM_VARIABLE not in os.environ) or _endpoint(url) in (named or ()):
        return ""
    return (
        f"{key.variable} is not sent to {url}: {key.hosts_variable} does not name that host; whoever owns the key may add "
        f"{_written(url)} there (a further key of the same secret, hosts separated by commas)"
    )


IN_THE_CLEAR = "whoever is on the way could read it; give an https:// address (http:// is for this machine and the cluster)"


def hosts_of(key: Key) -> frozenset[tuple[str, int]] | None:
    """The hosts, with ports, that a key is for; None if nobody has named any. One without a port has http's and https's."""
    text = os.environ.get(key.hosts_variable)
    if text is None:
        return None
    found: set[tuple[str, int]] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        for scheme in _PORTS:
            if endpoint := _endpoint(f"{scheme}://{part}"):
                found.add(endpoint)
    return frozenset(found)


def may_carry_secrets(url: str) -> bool:
    """Whether what is sent to a URL stays between us and its host: over https, or inside this machine or the cluster."""
    return url[:8].lower() == "https://" or is_inside(url)


def is_inside(url: str) -> bool:
    """Whether a URL's host is this machine, or is reached through its own network alone."""
    found = _URL.fullmatch(url)
    if not found:
        return False
    host = found[2].lower().strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _is_inner_name(host.split("."))
    return any(address in network for network in _PRIVATE if network.version == address.version)


def _endpoint(url: str) -> tuple[str, int] | None:
    found = _URL.fullmatch(url)
    return (found[2].lower(), int(found[3] or _PORTS[found[1].lower()])) if found else None


def _written(url: str) -> str:
    """A URL's host as it is written into the list."""
    found = _URL.fullmatch(url)
    if not found:
        return "it in its plain form (ASCII, nothing but host and port)"
    host, port = found[2].lower(), found[3]
    return f"{host}:{port}" if port and int(port) != _PORTS[found[1].lower()] else host


def _is_inner_name(labels: list[str]) -> bool:
    if _NUMBER.fullmatch(labels[-1]) or not all(_NAME.fullmatch(label) for label in labels):
        return False
    if len(labels) == 2:
        return _is_service(".".join(labels))
    service, domain = len(labels) == 1, labels[2:]
    return service or domain in (["svc"], ["svc", "cluster", "local"])


@cache
def _is_service(host: str) -> bool:
    """Whether a name of two parts, which may be a domain's as well, is a Service: only the cluster's own resolver knows .svc."""
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        return False
    try:
        return bool(socket.getaddrinfo(f"{host}.svc", None))
    except OSError:
        return False
