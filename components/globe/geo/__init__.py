"""Answers, place names and distances: the one definition that curation, rewards, serving and evaluation share.

Modules (import them directly; none imports torch, pandas or numpy at import time):

* :mod:`globe.answer.parse`     prompt, renderer and parser of a model's answer
* :mod:`globe.geo.gazetteer`  the offline gazetteer (GeoNames data, one memory-mapped file)
* :mod:`globe.geo.places`     country and city names to places
* :mod:`globe.geo.distance`   geodesic kilometres and the scores made from them
* :mod:`globe.geo.online`     online geocoders through geopy, cached and rate-limited (a choice, never a default)
"""
