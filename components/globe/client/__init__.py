"""A client for a GLOBE gateway, in plain and in asynchronous Python.

    from globe.client import Globe

    with Globe("https://globe.example.org") as globe:        # the key: GLOBE_API_KEY, or key=...
        place = globe.locate("photo.jpg", n=5)
    print(place.city, place.country, place.radius_km)

A photo's metadata never leaves: it is decoded here, turned upright, scaled to what models see, and encoded anew. A key goes over
https, or to this machine or a private network, and nowhere else (`globe.keys`); no redirect is followed. When the gateway says
"not now" (429, 503), it is asked again after the time that it asks for, as long as `timeout_s` allows.
"""

from globe.client.answers import Alternative, Event, Located, Progress, Reasoning, Refused, Unavailable, WronglyAsked
from globe.client.asynchronous import AsyncGlobe
from globe.client.plain import Globe

__all__ = [
    "Alternative",
    "AsyncGlobe",
    "Event",
    "Globe",
    "Located",
    "Progress",
    "Reasoning",
    "Refused",
    "Unavailable",
    "WronglyAsked",
]
