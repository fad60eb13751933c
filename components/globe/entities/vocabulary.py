"""The visual things that a reasoning may claim to see: words, their plurals, colours, negations.

A word belongs here when it names something that a photo can show and a person could point at. Words for ideas ("style",
"climate"), for places and for the picture itself ("photo", "background") do not. A row's own entities are added to it
when that row is judged.
"""

from __future__ import annotations

_NOUNS = """
airplane airport alley animal antenna apartment aqueduct arcade arch archway arena avenue awning balcony bamboo banana banner
barn barrel barrier basilica bay beach beacon bear bell bench bicycle bike billboard bin bird birch blossom boardwalk boat
bollard bottle boulder boulevard bougainvillea box branch brick bridge brook bucket buffalo building bungalow buoy bus bush
bust butterfly button cab cabin cable cactus cafe café camel campfire canal candle cannon canoe canopy canyon car caravan
cart castle cat cathedral cattle cave cedar cemetery chair chalet chapel chimney church citadel city_wall clay cliff clock
cloud coach coast coastline cobble cobblestone coconut colonnade column concrete condominium cone corn cottage courtyard cow
crane crater creek crop cross crosswalk crowd cruise curb curtain cypress dam deck deer desert dock dog dome donkey door
doorway dress drum duck dune dust eagle earth elephant embankment entrance escalator eucalyptus estuary facade façade factory
farm farmhouse farmland fence fern ferry field fir fireplace fjord flag flagpole flower flowerpot fog food footbridge
footpath forest fort fortress fountain fruit funicular gable garage garden gate gateway geyser glacier goat gondola gorge
graffiti grape grass grassland grave gravel gravestone grove guardrail gutter harbor harbour hat headland headscarf heather
hedge helicopter helmet highway hill hillside horse hospital hotel house houseboat hut hydrant ice iceberg igloo inscription
island ivy jeep jetty jungle kangaroo kayak kiosk kite lagoon lake lamp lamppost landmark lane lantern latitude_sign lavender
leaf letter lettering library lifeguard lighthouse lily lion llama lock log logo loincloth mailbox mall mangrove mansion
maple market marketplace marsh mast meadow mill minaret minibus mist monastery monkey monorail monument moped moss mosaic
mosque moor motorbike motorcycle motorway mountain mountaintop mud mural museum mushroom neon nave oak oasis obelisk ocean
office olive orange_tree orchard ornament outcrop overpass paddy pagoda palace palm pampa papaya park parasol parking path
pavement pavilion pavillion peak pebble pedestrian pennant people person pergola petal phone pier pigeon pillar pine pipe
pitch plain plane plant plantation planter plaque plate plateau plaza pole pond poppy port porch portico post poster pot
pottery power_line promenade pub puddle pump pyramid quay rail railing railroad railway rainbow rainforest ramp rampart
ravine reed reef restaurant rice rickshaw ridge river riverbank riverbed road roadside rock roof rooftop rose roundabout
rowhouse ruin runway sail sailboat sand sandal sandstone sari scaffolding school scooter sculpture sea seagull seal seashore
shack shade sheep shell shelter shingle ship shop shopfront shore shoreline shrine shrub shutter sidewalk sign signage
signboard signpost skull sky skyline skyscraper slope snow snowfield soil spire square stadium staircase stairway stair stall
statue station steeple step steppe stone store storefront stork stove stream street streetcar streetlamp streetlight stripe
stucco stupa suitcase summit sun sunset sunrise surfboard swamp swan synagogue table tank tanker taxi temple tent terrace
terracotta theater theatre thatch throne tile timber toll tomb torii totem tower town_hall track tractor traffic trail train
tram tramway tree trellis trolley truck trunk tuk tulip tunnel turbine turret umbrella uniform university valley van vase
vegetation vehicle veil veranda verandah viaduct villa vine vineyard volcano wagon walkway wall warehouse watchtower water
waterfall waterfront wave well wharf wheat wheel willow windmill window windowsill wire wood woodland workshop yacht yard
yurt zebra license_plate script arabic cyrillic hangul kanji hiragana katakana devanagari hebrew thai_script
chinese_character character asphalt fog haze rain lightning bollards kimono turban hijab poncho sombrero kilt
""".split()  # noqa: SIM905

COLOURS = frozenset(
    """
red orange yellow green blue purple violet pink brown black white grey gray beige golden gold silver turquoise teal ochre
crimson maroon pale reddish whitewashed cream tan dark bright
""".split()  # noqa: SIM905
)
_COLOUR_GROUPS = {
    "gray": "grey",
    "gold": "golden",
    "reddish": "red",
    "violet": "purple",
    "whitewashed": "white",
    "teal": "turquoise",
}
_NEUTRAL = frozenset({"pale", "dark", "bright"})
"""Said of colours, never a colour of their own."""

NEGATORS = frozenset(
    """
no not without none never neither nor lack lacks lacking lacked absence absent missing isn't aren't wasn't weren't don't
doesn't didn't can't cannot couldn't won't wouldn't hasn't haven't hadn't shouldn't mustn't ain't nothing unlike isnt arent
wasnt werent dont doesnt didnt cant couldnt rather instead opposed hardly nowhere excluding except devoid zero
""".split()  # noqa: SIM905
)
BACKWARD = frozenset(("absent", "missing", "nowhere"))
"""Negators that reach back too: "palm trees are absent"."""

DENIERS = frozenset(("not", "cannot", "never", *(word for word in NEGATORS if word.endswith(("n't", "nt")) and word != "absent")))
SEEN = frozenset(("visible", "seen", "present", "there", "evident", "apparent"))
"""A denier with such a word after it in its clause reaches back too: "palm trees are not visible"."""

ONLY_BEFORE = {"rather": "than", "instead": "of", "opposed": "to"}
"""Negators only before a second word: "rather than a mosque" negates the mosque, "rather dry" negates nothing."""

SPECIAL_NEGATORS = BACKWARD | ONLY_BEFORE.keys()
SIDES = frozenset(("left", "right"))
CLAUSE_WORDS = frozenset(["but", "however", "although", "though", "yet", "while", "whereas", "because", "only"])
"""Words that end a negation's reach."""

BREAKS = frozenset(
    """
and or with of on in at by the a an is are was were near under over behind beside along to from have has it
""".split()  # noqa: SIM905
)
"""Function words after which a colour said before no longer belongs to the next thing."""

_IRREGULAR = {
    "leaf": "leaves", "person": "persons", "people": "peoples", "shelf": "shelves", "loaf": "loaves", "wolf": "wolves",
    "calf": "calves", "man": "men", "woman": "women", "child": "children", "goose": "geese", "sheep": "sheep", "cactus": "cacti",
}  # fmt: skip


def singular(word: str) -> str:
    """The singular of an English noun, by rule: ``"churches"`` gives ``"church"``; other words stay themselves."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return _SINGULARS.get(word, word)
    if word in _SINGULARS:
        return _SINGULARS[word]
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    return word[:-1]


def plural(word: str) -> str:
    """The plural of an English noun, by rule."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and len(word) > 2 and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


_SINGULARS = {p: s for s, p in _IRREGULAR.items()}
NOUNS: dict[str, str] = {}
"""Every form of a known visual word -> its singular."""
for _word in _NOUNS:
    if "_" not in _word:
        _base = singular(_word)
        NOUNS[_base] = NOUNS[plural(_base)] = _base
_SPELLINGS = {
    "harbour": "harbor",
    "theatre": "theater",
    "façade": "facade",
    "café": "cafe",
    "pavillion": "pavilion",
    "verandah": "veranda",
}
for _british, _american in _SPELLINGS.items():
    NOUNS[_british] = NOUNS[plural(_british)] = _american
_SAME = {
    "motorbike": "motorcycle",
    "bike": "bicycle",
    "cab": "taxi",
    "signage": "sign",
    "signboard": "sign",
    "rooftop": "roof",
    "sidewalk": "pavement",
}
for _word, _meaning in _SAME.items():
    NOUNS[_word] = NOUNS[plural(_word)] = _meaning


def colour(word: str) -> str | None:
    """The colour a word says, spellings unified; None for shades such as "dark"."""
    return None if word in _NEUTRAL else _COLOUR_GROUPS.get(word, word)
