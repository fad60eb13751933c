"""GeoCLIP as it is served, compared with what the package itself predicts, picture by picture."""

import pytest
import torch
from geoclip import GeoCLIP

from globe.data.encoding import png
from globe.data.images import data_url
from globe.demo.tiny_geoclip import build_tiny_clip
from globe.demo.tiny_segmenter import toy_scene
from globe.geo.distance import distance_km
from globe.witness.coordinates import CITY_KM, load_geoclip
from globe.witness.wanted import Wanted


@pytest.fixture(scope="module")
def package(tiny_witnesses):
    return GeoCLIP.from_pretrained(str(tiny_witnesses.coordinates), cache_dir=tiny_witnesses.hub_cache, local_files_only=True)


@pytest.mark.parametrize("seed", range(4))
def test_the_position_is_the_packages_own_and_the_confidence_is_all_that_it_believes_to_be_in_that_city(
    witnesses, package, tmp_path, seed
):
    image = png(toy_scene(seed)[0])
    (tmp_path / "scene.png").write_bytes(image)
    positions, probabilities = package.predict(str(tmp_path / "scene.png"), top_k=len(package.gps_gallery))
    best = positions[0].tolist()
    near = [
        probability
        for place, probability in zip(positions.tolist(), probabilities.tolist(), strict=True)
        if distance_km(*best, *place) <= CITY_KM
    ]
    assert len(near) > 1, "the gallery has several positions of each city"
    answer = witnesses.post("/coordinates", {"model": "tiny-geoclip", "image": data_url(image)})
    assert (answer["lat_deg"], answer["lon_deg"]) == tuple(best)
    assert answer["confidence"] == pytest.approx(sum(near), rel=1e-3)
    assert answer["confidence"] > 1.5 * near[0]


def test_a_clip_folder_takes_the_place_of_the_hubs_and_the_rest_is_the_packages_own_weights(tmp_path):
    from transformers import CLIPModel

    build_tiny_clip(tmp_path / "clip-vit", seed=5)
    wanted = Wanted("coordinates", str(tmp_path / "clip-vit"))
    assert wanted.name == Wanted("coordinates", "geoclip").name == "geoclip"
    model = load_geoclip(wanted)
    own = CLIPModel.from_pretrained(tmp_path / "clip-vit").state_dict()
    loaded = model.image_encoder.CLIP.state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in own.items())
    assert float(model.logit_scale.detach().exp()) == pytest.approx(39.687, abs=0.01), "as trained, and not the 14.3 of the start"
    assert model.gps_gallery.shape == (100_000, 2)
