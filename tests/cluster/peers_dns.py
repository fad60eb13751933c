"""A name server for a cluster that has none: it knows headless Services, which is what a gateway asks it about its peers."""

import json
import socket
import struct
import threading
from contextlib import contextmanager

from cluster_tools import kubectl

A, IN = 1, 1


def addresses(namespace, service):
    """Addresses of a Service's ready pods, as the cluster's own name server would tell them."""
    found = json.loads(kubectl("-n", namespace, "get", "endpoints", "--field-selector", f"metadata.name={service}", "-o", "json"))
    subsets = [subset for item in found["items"] for subset in item.get("subsets") or []]
    return [address["ip"] for subset in subsets for address in subset.get("addresses") or []]


def answer(request, namespace):
    """The answer to a question: the first part of the name is the Service's."""
    labels, at = [], 12
    while length := request[at]:
        labels.append(request[at + 1 : at + 1 + length].decode())
        at += 1 + length
    question, (kind,) = request[12 : at + 5], struct.unpack(">H", request[at + 1 : at + 3])
    found = addresses(namespace, labels[0]) if kind == A else []
    records = [b"\xc0\x0c" + struct.pack(">HHIH", A, IN, 1, 4) + socket.inet_aton(ip) for ip in found]
    return request[:2] + struct.pack(">HHHHH", 0x8180, 1, len(records), 0, 0) + question + b"".join(records)


@contextmanager
def name_server(address, namespace):
    """The server, on port 53 of an address that pods reach, for the length of a `with` block."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as served:
        served.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        served.bind((address, 53))
        served.settimeout(0.2)
        over = threading.Event()

        def serve():
            while not over.is_set():
                try:
                    request, client = served.recvfrom(2048)
                    served.sendto(answer(request, namespace), client)
                except (TimeoutError, RuntimeError):
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
