"""GET /v1/models: our one model, and nothing of the machine that it is on."""

from engine_double import MAX_MODEL_LEN, engine_double
from gateway_here import gateway_here
from model_folders import model

from globe.asking.client import find_model


def test_there_is_one_model_and_its_folder_is_nobodys_business(tmp_path):
    with engine_double() as engine, gateway_here(engine_url=engine.url, checkpoint=str(model(tmp_path / "m"))) as gateway:
        (card,) = gateway.get("/v1/models").json["data"]
        assert card.keys() == {"id", "object", "created", "owned_by", "max_model_len"}
        assert (card["id"], card["max_model_len"]) == ("globe", MAX_MODEL_LEN)
        found = find_model(f"{gateway.url}/v1")
        assert (found.name, found.max_model_len, found.root) == ("globe", MAX_MODEL_LEN, "")


def test_clients_on_its_own_machine_may_be_told_the_folder(tmp_path):
    with (
        engine_double() as engine,
        gateway_here(engine_url=engine.url, checkpoint=str(model(tmp_path / "m")), show_checkpoint=True) as gateway,
    ):
        assert find_model(f"{gateway.url}/v1").root == str(tmp_path / "m")


def test_it_is_listed_while_the_engine_is_down():
    with gateway_here(ready=False, engine_url="http://127.0.0.1:9") as gateway:
        (card,) = gateway.get("/v1/models").json["data"]
        assert "max_model_len" not in card
