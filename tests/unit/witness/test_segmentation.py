"""A segmentation model as it is served, compared with what was drawn and with the library's own map."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

from globe.data.encoding import png
from globe.data.images import data_url
from globe.demo.tiny_segmenter import CLASSES, toy_scene
from globe.witness.segmentation import SHARE_FLOOR, Segmentation

UNSEEN = range(1_000_000, 1_000_006)


@pytest.fixture(scope="module")
def library(tiny_witnesses):
    processor = AutoImageProcessor.from_pretrained(tiny_witnesses.segmentation)
    return processor, AutoModelForSemanticSegmentation.from_pretrained(tiny_witnesses.segmentation).eval()


def ask(witnesses, picture):
    return witnesses.post("/segmentation", {"model": "tiny-segmenter", "image": data_url(png(picture))})["shares"]


def test_the_classes_are_all_that_the_model_can_tell(witnesses):
    assert witnesses.get("/segmentation/classes") == {"model": "tiny-segmenter", "classes": list(CLASSES)}


@pytest.mark.parametrize("seed", UNSEEN)
def test_the_shares_are_those_of_what_was_drawn(witnesses, seed):
    picture, truth = toy_scene(seed)
    shares = ask(witnesses, picture)
    drawn = dict(zip(CLASSES, (np.bincount(truth.ravel(), minlength=len(CLASSES)) / truth.size).tolist(), strict=True))
    assert {name for name, share in drawn.items() if share > 0.1} <= shares.keys()
    assert {name: shares.get(name, 0.0) for name in CLASSES} == pytest.approx(drawn, abs=0.12)


@pytest.mark.parametrize("seed", UNSEEN)
def test_the_shares_are_counted_on_the_librarys_own_map_and_what_is_next_to_nothing_is_left_out(witnesses, library, seed):
    picture, _ = toy_scene(seed)
    processor, model = library
    with torch.no_grad():
        outputs = model(**processor(images=picture, return_tensors="pt"))
    (own_map,) = processor.post_process_semantic_segmentation(outputs)
    counted = {name: (own_map == number).float().mean().item() for number, name in enumerate(CLASSES)}
    shares = ask(witnesses, picture)
    assert shares == pytest.approx({name: share for name, share in counted.items() if share >= SHARE_FLOOR}, abs=1e-6)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_a_batch_answers_as_one_by_one_whatever_the_pictures_sizes(tiny_witnesses):
    witness = Segmentation(tiny_witnesses.wanted("segmentation"), "cpu")
    pictures = [witness.prepare(toy_scene(seed)[0].resize((90 + seed, 50), Image.Resampling.NEAREST)) for seed in range(5)]
    pictures.insert(2, torch.nn.functional.pad(pictures[0], (0, 32)))  # of another size, as some processors make them
    alone = [answer for picture in pictures for answer in witness.judge([picture])]
    together = witness.judge(pictures)
    assert len(together) == len(pictures)
    for one, other in zip(alone, together, strict=True):
        assert one["shares"] == pytest.approx(other["shares"], abs=1e-6)
