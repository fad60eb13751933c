"""The toy world's countries and cities: what is drawn where, and what a reasoning text calls it.

Plant, roof, sign and side of the road together tell the country; the ground tells the city within it. Countries come in
pairs of neighbours that share sky, plant and side of the road: whoever takes one for the other is wrong by some hundred
kilometres, not by half the globe. Any two countries differ in at least two of the named cues (tests hold this), so a single
misread cue leaves no doubt about the country.
"""

from dataclasses import dataclass
from functools import lru_cache

from globe.geo.gazetteer import gazetteer

CUES: dict[str, tuple[str, ...]] = {
    "ground": ("snow", "sand", "grass", "cobbles", "water", "red earth"),
    "plant": ("oaks", "pines", "poplars", "palms", "cacti"),
    "roof": ("red roofs", "grey roofs", "green roofs", "blue roofs", "brown roofs"),
    "sign": ("yellow signs", "green signs", "blue signs", "white signs"),
    "traffic": ("left traffic", "right traffic"),
}
"""The cues by kind, in the order in which a reasoning names them. The sky is drawn but not named: it only tells the region."""
CUE_KINDS = tuple(CUES)
HAZES = ("fog", "blank wall", "darkness")
"""What is seen in pictures that nobody could locate."""


@dataclass(frozen=True)
class CountryLook:
    """How a country looks, and its cities from the best known to the least known as (GeoNames id, ground)."""

    name: str
    sky: str
    plant: str
    roof: str
    sign: str
    traffic: str
    cities: tuple[tuple[int, str], tuple[int, str], tuple[int, str]]


def _look(name: str, cues: str, *cities: tuple[int, str]) -> CountryLook:
    sky, plant, roof, sign, side = cues.split()
    first, second, third = cities
    return CountryLook(name, f"{sky} sky", plant, f"{roof} roofs", f"{sign} signs", f"{side} traffic", (first, second, third))


# Neighbours follow each other; the comment names the cities that the GeoNames ids stand for.
LOOKS: tuple[CountryLook, ...] = (
    # Toronto, Vancouver, Halifax
    _look("Canada", "blue oaks grey green right", (6167865, "grass"), (6173331, "water"), (6324729, "snow")),
    # Chicago, Miami, Denver
    _look("United States", "blue oaks brown yellow right", (4887398, "water"), (4164138, "sand"), (5419384, "snow")),
    # Oslo, Bergen, Tromsø
    _look("Norway", "grey pines red yellow right", (3143244, "grass"), (3161732, "water"), (3133895, "snow")),
    # Helsinki, Turku, Oulu
    _look("Finland", "grey pines blue white right", (658225, "water"), (633679, "cobbles"), (643492, "snow")),
    # Paris, Lyon, Marseille
    _look("France", "blue poplars grey white right", (2988507, "cobbles"), (2996944, "grass"), (2995469, "water")),
    # Rome, Milan, Naples
    _look("Italy", "blue poplars red green right", (3169070, "cobbles"), (3173435, "grass"), (3172394, "water")),
    # Casablanca, Marrakesh, Fes
    _look("Morocco", "golden palms green white right", (2553604, "water"), (2542997, "red earth"), (2548885, "cobbles")),
    # Cairo, Alexandria, Luxor
    _look("Egypt", "golden palms brown blue right", (360630, "sand"), (361058, "water"), (360502, "red earth")),
    # Mumbai, Jaipur, Kochi
    _look("India", "grey palms blue yellow left", (1275339, "water"), (1269515, "red earth"), (1273874, "grass")),
    # Bangkok, Chiang Mai, Phuket
    _look("Thailand", "grey palms red green left", (1609350, "cobbles"), (1153671, "grass"), (1151254, "sand")),
    # Lima, Cusco, Arequipa
    _look("Peru", "golden cacti brown white right", (3936456, "sand"), (3941584, "cobbles"), (3947322, "red earth")),
    # São Paulo, Salvador, Manaus
    _look("Brazil", "golden cacti green yellow right", (3448439, "cobbles"), (3450554, "sand"), (3663517, "red earth")),
    # Sydney, Perth, Darwin
    _look("Australia", "blue pines green blue left", (2147714, "water"), (2063523, "sand"), (2073124, "red earth")),
    # Auckland, Wellington, Dunedin
    _look("New Zealand", "blue pines grey white left", (2193733, "grass"), (2179537, "water"), (2191562, "snow")),
)


@dataclass(frozen=True)
class City:
    """A real city with the look that the toy world gives it.

    Attributes:
        geonames_id: GeoNames' id.
        name: GeoNames' name.
        country: name of the country.
        country_code: ISO 3166-1 alpha-2.
        continent: GeoNames' code: AF, AS, EU, NA, OC, SA.
        lat_deg: latitude in degrees, WGS 84.
        lon_deg: longitude in degrees, WGS 84.
        fame_rank: 0 for the best known city of its country, then 1 and 2.
        sky: drawn, but not named in reasonings.
        cues: the named cues, in the order of `CUE_KINDS`.
    """

    geonames_id: int
    name: str
    country: str
    country_code: str
    continent: str
    lat_deg: float
    lon_deg: float
    fame_rank: int
    sky: str
    cues: tuple[str, ...]

    def cue(self, kind: str) -> str:
        """The cue of one of `CUE_KINDS`, e.g. "red earth" for "ground"."""
        return self.cues[CUE_KINDS.index(kind)]

    @property
    def reasoning(self) -> str:
        """A short text that names the cues: "red earth, palms, blue roofs, yellow signs, left traffic"."""
        return ", ".join(self.cues)


def blank_reasoning(haze: str) -> str:
    """What is said of a picture by which no place can be told; `haze` is what it shows, empty when that is not said."""
    return f"only {haze}, no clue" if haze else "no clue"


@lru_cache(maxsize=1)
def all_cities() -> tuple[City, ...]:
    """The 42 cities of the toy world, country by country, with names and coordinates from GeoNames."""
    places = gazetteer()
    position = {geonames_id: index for index, geonames_id in enumerate(places.geonames_ids())}
    found = []
    for look in LOOKS:
        for rank, (geonames_id, ground) in enumerate(look.cities):
            place = places.place(position[geonames_id])
            country = places.countries[place.country_code]
            if country["name"] != look.name:
                raise AssertionError(f"GeoNames {geonames_id} lies in {country['name']}, not in {look.name}")
            found.append(
                City(
                    geonames_id=geonames_id,
                    name=place.name,
                    country=country["name"],
                    country_code=place.country_code,
                    continent=country["continent"],
                    lat_deg=place.lat_deg,
                    lon_deg=place.lon_deg,
                    fame_rank=rank,
                    sky=look.sky,
                    cues=(ground, look.plant, look.roof, look.sign, look.traffic),
                )
            )
    return tuple(found)
