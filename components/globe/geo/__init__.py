"""Places on Earth: names, positions, distances, and the one verdict "is this the right place?".

Modules (import them directly; none imports torch, pandas or numpy at import time):

* :mod:`globe.geo.verdict`    whether a named place is the right one
* :mod:`globe.geo.places`     country and city names to places (:mod:`globe.geo.match` is what they are found to be)
* :mod:`globe.geo.countries`  country names, in any spelling and language
* :mod:`globe.geo.nearest`    positions to places
* :mod:`globe.geo.distance`   geodesic kilometres, the field's thresholds and GeoScore
* :mod:`globe.geo.gazetteer`  the offline gazetteer (GeoNames data, one memory-mapped file; :mod:`globe.geo.build` makes it)
* :mod:`globe.geo.online`     online geocoders through geopy, cached and rate-limited (a choice, never a default)
"""
