"""The visual things that a reasoning may claim to see, and the colours and other words that stand around them.

A word belongs here when it names something that a photo can show and a person could point at. Words for ideas ("style",
"climate"), for places and for the picture itself ("photo", "background") do not. The elements that curation's teachers list
and a row's own entities are looked for beside these.
"""

from __future__ import annotations

from functools import lru_cache

from globe.entities.words import plural, singular

_NOUNS = """
airplane airport alley animal antenna apartment aqueduct arcade arch archway arena avenue awning balcony bamboo banana banner
barn barrel barrier basilica bay beach beacon bear bell bench bicycle billboard bin bird birch blossom boardwalk boat bollard
bottle boulder boulevard bougainvillea box branch brick bridge brook bucket buffalo building bungalow buoy bus bush bust
butterfly button cabin cable cactus cafe camel campfire canal candle cannon canoe canopy canyon car caravan cart castle cat
cathedral cattle cave cedar cemetery chair chalet chapel chimney church citadel clay cliff clock cloud coach coast coastline
cobble cobblestone coconut colonnade column concrete condominium cone corn cottage courtyard cow crane crater creek crop cross
crosswalk crowd cruise curb curtain cypress dam deck deer desert dock dog dome donkey door doorway dress drum duck dune dust
eagle earth elephant embankment entrance escalator eucalyptus estuary facade factory farm farmhouse farmland fence fern ferry
field fir fireplace fjord flag flagpole flower flowerpot fog food footbridge footpath forest fort fortress fountain fruit
funicular gable garage garden gate gateway geyser glacier goat gondola gorge graffiti grape grass grassland grave gravel
gravestone grove guardrail gutter harbor hat headland headscarf heather hedge helicopter helmet highway hill hillside horse
hospital hotel house houseboat hut hydrant ice iceberg igloo inscription island ivy jeep jetty jungle kangaroo kayak kiosk kite
lagoon lake lamp lamppost landmark lane lantern lavender leaf letter lettering library lifeguard lighthouse lily lion llama lock
log logo loincloth mailbox mall mangrove mansion maple market marketplace marsh mast meadow mill minaret minibus mist monastery
monkey monorail monument moped moss mosaic mosque moor motorcycle motorway mountain mountaintop mud mural museum mushroom neon
nave oak oasis obelisk ocean office olive orchard ornament outcrop overpass paddy pagoda palace palm pampa papaya park parasol
parking path pavement pavilion peak pebble pedestrian pennant people person pergola petal phone pier pigeon pillar pine pipe
pitch plain plane plant plantation planter plaque plate plateau plaza pole pond poppy port porch portico post poster pot pottery
promenade pub puddle pump pyramid quay rail railing railroad railway rainbow rainforest ramp rampart ravine reed reef restaurant
rice rickshaw ridge river riverbank riverbed road roadside rock roof rose roundabout rowhouse ruin runway sail sailboat sand
sandal sandstone sari scaffolding school scooter sculpture sea seagull seal seashore shack shade sheep shell shelter shingle
ship shop shopfront shore shoreline shrine shrub shutter sign signpost skull sky skyline skyscraper slope snow snowfield soil
spire square stadium staircase stairway stair stall statue station steeple step steppe stone store storefront stork stove stream
street streetcar streetlamp streetlight stripe stucco stupa suitcase summit sun sunset sunrise surfboard swamp swan synagogue
table tank tanker taxi temple tent terrace terracotta theater thatch throne tile timber toll tomb torii totem tower track
tractor traffic trail train tram tramway tree trellis trolley truck trunk tuk tulip tunnel turbine turret umbrella uniform
university valley van vase vegetation vehicle veil veranda viaduct villa vine vineyard volcano wagon walkway wall warehouse
watchtower water waterfall waterfront wave well wharf wheat wheel willow windmill window windowsill wire wood woodland workshop
yacht yard yurt zebra script arabic cyrillic hangul kanji hiragana katakana devanagari hebrew character asphalt haze rain
lightning kimono turban hijab poncho sombrero kilt
""".split()  # noqa: SIM905
_SYNONYMS = {
    "bike": "bicycle", "cab": "taxi", "harbour": "harbor", "motorbike": "motorcycle", "pavillion": "pavilion", "rooftop": "roof",
    "sidewalk": "pavement", "signage": "sign", "signboard": "sign", "theatre": "theater", "verandah": "veranda",
}  # fmt: skip
_MEANINGS = {singular(word): singular(word) for word in _NOUNS} | _SYNONYMS
NOUNS = {form: meaning for word, meaning in _MEANINGS.items() for form in (word, plural(word))}
"""Every form of a known visual word -> the one word that stands for it."""

COLOURS = frozenset(
    """
red orange yellow green blue purple violet pink brown black white grey gray beige golden gold silver turquoise teal ochre
crimson maroon pale reddish whitewashed cream tan dark bright
""".split()  # noqa: SIM905
)
_NO_COLOUR_OF_THEIR_OWN = ("pale", "dark", "bright")
_SAME_COLOUR = {
    "gray": "grey",
    "gold": "golden",
    "reddish": "red",
    "violet": "purple",
    "whitewashed": "white",
    "teal": "turquoise",
}
SHADES = {c: frozenset[str]() if c in _NO_COLOUR_OF_THEIR_OWN else frozenset((_SAME_COLOUR.get(c, c),)) for c in COLOURS}
"""What each of these words says of a thing's colour; nothing for "dark"."""

SIDES = frozenset(("left", "right"))

CLAUSE_WORDS = frozenset(
    "but however although though yet while whereas because only just merely".split()  # noqa: SIM905
)
"""Words that end a clause, and with it what a negation or a colour says."""

FUNCTION_WORDS = frozenset(
    """
a an the and or with of on in at by to for from is are was were has have it its there this that these those some many few
several their near under over behind beside along
""".split()  # noqa: SIM905
)
"""Words between things, after which a colour said before no longer belongs to the next one."""

VAGUE_WORDS = frozenset("style type like old new large small big".split())  # noqa: SIM905
"""Words that tell no thing from another."""


@lru_cache(maxsize=65536)
def noun_of(word: str) -> str:
    """The one word that stands for all forms and spellings of a noun: ``"sidewalks"`` and ``"pavement"`` give the same."""
    return NOUNS.get(word) or NOUNS.get(singular(word)) or singular(word)
