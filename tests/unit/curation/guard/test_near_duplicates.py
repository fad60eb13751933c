import io

import imagehash
import numpy as np
import pytest
from generated_photos import jpeg, photo
from PIL import Image, ImageDraw, ImageEnhance

from globe.curation.guard import near_duplicates
from globe.curation.guard.near_duplicates import HASH_BITS, NearDuplicates, perceptual_hash, plan_tables
from globe.data.images import load_image

ROWS = (0, 1, 1_000, 15_000, 1_000_000, 100_000_000)


def png(picture):
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def bits_between(one, other):
    return (one ^ other).bit_count()


def all_pairs(hashes, given, bits):
    """Independent of the index: every hash against every one given."""
    distances = np.bitwise_count(hashes[:, None] ^ given[None])
    return {(int(a), int(b)): int(distances[a, b]) for a, b in zip(*np.nonzero(distances <= bits), strict=True)}


def found_pairs(index, hashes):
    return {(int(a), int(b)): int(bits) for a, b, bits in zip(*index.within(hashes), strict=True)}


def changed(rng, hashes, bits, pieces=((0, HASH_BITS),)):
    """Hashes of which so many bits are changed in each piece, given by its first bit and its length."""
    result = hashes.copy()
    for number in range(len(result)):
        for count, (first, length) in zip(bits, pieces, strict=True):
            for bit in rng.choice(length, count, replace=False):
                result[number] ^= np.uint64(1) << np.uint64(first + bit)
    return result


def hardest(rng, hashes, plan):
    """Hashes at the radius that only one of the tables can find; for each table the same number of them."""
    pieces = [(one.first_bit + turn * one.piece_bits, one.piece_bits) for one in plan for turn in range(one.count)]
    flips = [one.flips for one in plan for _ in range(one.count)]
    for found_by, given in enumerate(np.array_split(hashes, len(pieces))):
        yield changed(rng, given, [count + (number != found_by) for number, count in enumerate(flips)], pieces)


def test_a_hash_is_that_of_imagehash_with_the_first_sign_as_the_highest_bit():
    for number in range(5):
        small = photo(number, (64, 48))
        assert perceptual_hash(png(small)) == int(str(imagehash.phash(small)), 16)


def test_a_jpeg_that_is_decoded_small_has_the_hash_of_the_whole_one_to_within_two_bits():
    for number in range(20):
        data = jpeg(photo(number))
        whole = int(str(imagehash.phash(load_image(data))), 16)
        assert bits_between(perceptual_hash(data), whole) <= 2


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda picture: jpeg(picture, 30), id="saved again"),
        pytest.param(lambda picture: jpeg(picture.resize((240, 180))), id="smaller"),
        pytest.param(lambda picture: jpeg(ImageEnhance.Brightness(picture).enhance(0.7)), id="darker"),
        pytest.param(lambda picture: jpeg(picture.convert("L")), id="grey"),
        pytest.param(lambda picture: jpeg(picture.crop((6, 5, 634, 475))), id="cropped"),
        pytest.param(lambda picture: jpeg(picture.rotate(1)), id="turned"),
    ],
)
def test_a_changed_copy_differs_in_fewer_bits_than_any_other_picture(change):
    pictures = [photo(number) for number in range(12)]
    hashes = [perceptual_hash(jpeg(picture)) for picture in pictures]
    for number, picture in enumerate(pictures):
        changed = perceptual_hash(change(picture))
        distances = [bits_between(changed, other) for other in hashes]
        assert distances[number] <= 8
        assert min(distances[:number] + distances[number + 1 :]) > 12


@pytest.mark.parametrize("colour", ["black", "white", (90, 120, 200)])
def test_a_picture_of_one_colour_has_no_hash_whatever_its_file(colour):
    flat = Image.new("RGB", (640, 480), colour)
    assert perceptual_hash(jpeg(flat)) is None
    assert perceptual_hash(png(flat)) is None
    speck = flat.copy()
    ImageDraw.Draw(speck).point((5, 5), "red")
    assert perceptual_hash(jpeg(speck, 40)) is None


@pytest.mark.parametrize("data", [b"", b"no picture", jpeg(photo(0))[:2000]])
def test_what_cannot_be_decoded_has_no_hash(data):
    assert perceptual_hash(data) is None


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("bits", range(17))
def test_each_plan_covers_the_radius_and_no_more(bits, rows):
    plan = plan_tables(bits, rows)
    assert sum(one.count * (one.flips + 1) for one in plan) == bits + 1
    ends = [one.first_bit + one.count * one.piece_bits for one in plan]
    assert [one.first_bit for one in plan] == [0, *ends][: len(plan)]
    assert ends[-1] <= HASH_BITS


@pytest.mark.parametrize("rows", [2_000, 1_000_000], ids=["planned for 2,000", "planned for 1,000,000"])
@pytest.mark.parametrize("bits", [0, 1, 4, 5, 6, 8, 11])
def test_all_near_pairs_are_found_and_no_others(monkeypatch, bits, rows):
    planned = plan_tables(bits, rows)
    monkeypatch.setattr(near_duplicates, "plan_tables", lambda wanted, given: planned if wanted == bits else [])
    rng = np.random.default_rng(bits)
    given = rng.integers(0, 2**64, 2_000, np.uint64)
    one_bit = np.uint64(1) << np.arange(64, dtype=np.uint64)
    given[-200:] = one_bit[rng.integers(0, 64, 200)] | one_bit[rng.integers(0, 64, 200)]  # these share most of their pieces
    near = [changed(rng, given[:200], [distance]) for distance in (0, bits // 2, bits, bits + 1)]
    far = rng.integers(0, 2**64, 500, np.uint64)
    hashes = np.concatenate([*hardest(rng, given[:1_000], planned), *near, far, one_bit, np.zeros(1, np.uint64)])
    unique, first = np.unique(given, return_index=True)
    expected = {(a, int(first[b])): distance for (a, b), distance in all_pairs(hashes, unique, bits).items()}
    assert set(expected.values()) >= {0, bits}
    assert found_pairs(NearDuplicates(given, bits), hashes) == expected


def test_the_nearest_is_the_first_of_those_with_the_fewest_bits():
    rng = np.random.default_rng(0)
    given = rng.integers(0, 2**64, 300, np.uint64)
    given[200:] = given[:100]
    hashes = changed(rng, given[:150], [3])
    hashes[:20] = rng.integers(0, 2**64, 20, np.uint64)
    distances = np.bitwise_count(hashes[:, None] ^ given[None]).astype(int)
    expected = np.where(distances.min(1) <= 4, distances.argmin(1), -1)
    assert (expected[:20] == -1).all()
    assert NearDuplicates(given, 4).nearest(hashes).tolist() == expected.tolist()


@pytest.mark.parametrize(("given", "hashes"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_is_found_where_nothing_is(given, hashes):
    index = NearDuplicates(np.arange(given, dtype=np.uint64), 4)
    assert index.nearest(np.arange(hashes, dtype=np.uint64)).tolist() == [-1] * (hashes if not given else 0)
