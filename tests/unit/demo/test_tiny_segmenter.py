"""The tiny SegFormer. What it tells apart once it is served is tried by tests/unit/witness/test_segmentation.py."""

import numpy as np

from globe.demo.tiny_segmenter import CLASSES, COLOURS, SIDE_PX, build_tiny_segmenter, toy_scene


def test_a_scene_has_the_colour_of_its_class_at_each_pixel():
    for seed in range(8):
        picture, truth = toy_scene(seed)
        assert picture.size == (SIDE_PX, SIDE_PX)
        colours = np.array([COLOURS[name] for name in CLASSES])
        distances = np.abs(np.asarray(picture)[:, :, None].astype(int) - colours).sum(axis=-1)
        assert (distances.argmin(axis=-1) == truth).mean() > 0.999


def test_scenes_differ_by_their_seed_alone_and_together_show_all_classes():
    scenes = [toy_scene(seed) for seed in range(16)]
    assert np.array_equal(np.asarray(scenes[5][0]), np.asarray(toy_scene(5)[0]))
    assert len({picture.tobytes() for picture, _ in scenes}) == len(scenes)
    assert set(np.unique([truth for _, truth in scenes])) == set(range(len(CLASSES)))


def test_the_same_seed_trains_the_same_weights_and_another_one_others(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        build_tiny_segmenter(tmp_path / name, seed=seed, steps=3)
    first, again, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert first == again
    assert first != other
