"""The answer grammar: what models write is read, what they did not answer is not invented."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from globe.answer.parse import Answer, parse
from globe.answer.render import render

THINK = "<think>red roofs</think>"


@pytest.mark.parametrize(
    ("text", "country", "city"),
    [
        ("<answer>country: France\ncity: Paris</answer>", "France", "Paris"),
        ("<answer>\n\n  Country: France\n\n\n  City: Paris\n\n</answer>", "France", "Paris"),
        ("<ANSWER>COUNTRY: FRANCE\nCITY: PARIS</ANSWER>", "FRANCE", "PARIS"),
        ("<answer>**Country:** France\n**City:** Paris</answer>", "France", "Paris"),
        ("<answer>**Country**: **France**\n**City**: *Paris*</answer>", "France", "Paris"),
        ("<answer>- Country: France\n- City: Paris</answer>", "France", "Paris"),
        ("<answer>* country: France\n* city: Paris</answer>", "France", "Paris"),
        ("<answer>1. Country: France\n2. City: Paris</answer>", "France", "Paris"),
        ("<answer>### Country: France\n### City: Paris</answer>", "France", "Paris"),
        ("<answer>country: France, city: Paris</answer>", "France", "Paris"),
        ("<answer>Country: France; City: Paris</answer>", "France", "Paris"),
        ("<answer>city: Paris, country: France</answer>", "France", "Paris"),
        ("<answer>country: Mexico city: Mexico City</answer>", "Mexico", "Mexico City"),
        ("<answer>country：法国\ncity：巴黎</answer>", "法国", "巴黎"),
        ("<answer>国家：日本\n城市：東京</answer>", "日本", "東京"),
        ("<answer>country: Россия\ncity: Санкт-Петербург</answer>", "Россия", "Санкт-Петербург"),
        ("<answer>country: مصر\ncity: القاهرة</answer>", "مصر", "القاهرة"),
        ('<answer>country: "Côte d\'Ivoire"\ncity: `Abidjan`</answer>', "Côte d'Ivoire", "Abidjan"),
        ("<answer>country: United States\ncity: Washington, D.C.</answer>", "United States", "Washington, D.C."),
        ("<answer>country: France\r\ncity: Paris\r\n</answer>", "France", "Paris"),
        ("<answer>country: France<br>city: Paris</answer>", "France", "Paris"),
        ("< answer >country: France\ncity: Paris</ answer>", "France", "Paris"),
        ("<answer>country: France\ncity: Paris", "France", "Paris"),
        ("\n\nCountry: France\nCity: Paris", "France", "Paris"),
        ("<answer>_Country:_ France\n__City__: __Paris__</answer>", "France", "Paris"),
        ('<answer>{"country": "France", "city": "Paris"}</answer>', "France", "Paris"),
        ("<answer>```json\n{'country': 'France', 'city': 'Paris'}\n```</answer>", "France", "Paris"),
        ("<answer>(Country: France, City: Paris)</answer>", "France", "Paris"),
        ("<answer>\\boxed{country: France, city: Paris}</answer>", "France", "Paris"),
        (
            "<answer>country: France (French Republic), city: Paris (Île-de-France)</answer>",
            "France (French Republic)",
            "Paris (Île-de-France)",
        ),
        ("<answer><country>France</country><city>Paris</city></answer>", "France", "Paris"),
        ("<answer><li>Country: <b>France</b></li><li>City: <b>Paris</b></li></answer>", "France", "Paris"),
        (
            "<answer>Country: [France](https://x.example/France)\nCity: [Paris](https://x.example/Paris)</answer>",
            "France",
            "Paris",
        ),
        ("<answer>Country:\n\nFrance\n\nCity:\n\nParis</answer>", "France", "Paris"),
        ("<answer>\ufeffcountry: \u200bFrance\u200e\n\u200bcity: Paris\u200b</answer>", "France", "Paris"),
        ("<answer>Country name: France\nCity name: Paris</answer>", "France", "Paris"),
        ("<answer>Land: Deutschland\nStadt: München</answer>", "Deutschland", "München"),
        ("<answer>البلد: مصر\nالمدينة: القاهرة</answer>", "مصر", "القاهرة"),
        ("<answer>ประเทศ: ไทย\nเมือง: เชียงใหม่</answer>", "ไทย", "เชียงใหม่"),
    ],
)
def test_it_reads_what_models_write(text: str, country: str, city: str) -> None:
    answer = parse(THINK + text)
    assert (answer.reasoning, answer.country, answer.city) == ("red roofs", country, city)
    assert not answer.missing
    assert not answer.ambiguous


def test_a_whole_answer_is_complete_and_one_cut_off_is_not() -> None:
    assert parse(render("roofs", "France", "Paris")).complete
    assert not parse("<think>roofs</think><answer>country: France\ncity: Pa").complete
    assert not parse("<think>roofs<answer>country: France\ncity: Paris</answer>").complete
    assert parse("<think>roofs<answer>country: France\ncity: Paris</answer>").country == "France"


@pytest.mark.parametrize("rest", ["<", "</", "</a", "</answ", "</answer", "</ answer "])
def test_a_close_tag_that_was_cut_off_is_no_part_of_the_city(rest: str) -> None:
    answer = parse(f"{THINK}<answer>country: France\ncity: Paris{rest}")
    assert (answer.country, answer.city, answer.complete) == ("France", "Paris", False)


def test_reasoning_that_goes_on_after_an_answer_within_it_and_is_cut_off_gives_none() -> None:
    text = "<think>maybe <answer>country: Spain\ncity: Madrid</answer>"
    answer = parse(f"{text} but no, the signs are")
    assert (answer.country, answer.city, answer.missing) == (None, None, ("answer", "country", "city"))
    assert parse(f"{text}\n<|im_end|>").city == "Madrid"


@pytest.mark.parametrize(
    "text", ["<answer>country_code: FR</answer>", "<answer>subcountry: France</answer>", "<answer>country_</answer>"]
)
def test_a_longer_word_that_holds_a_key_is_no_key(text: str) -> None:
    assert parse(THINK + text).country is None


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", ("reasoning", "answer", "country", "city")),
        ("<think>a</think>", ("answer", "country", "city")),
        ("<think>a</think><answer></answer>", ("country", "city")),
        ("<think>a</think><answer>country: France</answer>", ("city",)),
        ("<think>a</think><answer>country:\ncity: Paris</answer>", ("country",)),
        ("<think>a</think><answer>country: France\ncity:\n</answer>", ("city",)),
        ("<think></think><answer>country: France\ncity: Paris</answer>", ("reasoning",)),
        ("<answer>country: France\ncity: Paris</answer>", ("reasoning",)),
    ],
)
def test_it_says_what_is_missing(text: str, missing: tuple[str, ...]) -> None:
    answer = parse(text)
    assert answer.missing == missing
    assert not answer.complete


def test_an_empty_country_does_not_swallow_the_city_line() -> None:
    answer = parse("<think>a</think><answer>country:\ncity: Paris</answer>")
    assert (answer.country, answer.city) == (None, "Paris")


@pytest.mark.parametrize(
    "text",
    [
        "<think>It could be country: Spain, city: Madrid",
        "<think>country: Spain\ncity: Madrid</think>",
        "<think>first <answer>country: Spain\ncity: Madrid</answer> or so</think>",
        "I first thought of country: Spain, city: Madrid but no.",
        "country: Spain\ncity: Madrid</think>",
    ],
)
def test_the_reasoning_is_never_taken_for_the_answer(text: str) -> None:
    answer = parse(text)
    assert answer.country is None
    assert answer.city is None


def test_an_answer_inside_the_reasoning_does_not_hide_the_real_one() -> None:
    answer = parse("<think>not <answer>country: Spain\ncity: Madrid</answer></think><answer>country: Italy\ncity: Rome</answer>")
    assert (answer.country, answer.city, answer.ambiguous) == ("Italy", "Rome", False)


@pytest.mark.parametrize(
    "text",
    [
        "<think>a</think><answer>country: A\ncity: B</answer><answer>country: C\ncity: D</answer>",
        "<think>a</think><answer>country: A\ncity: B\ncountry: C\ncity: D</answer>",
        "<think>a</think><answer>country: A\ncity: B\ncity: D</answer>",
        "<think>a</think>" + "<answer>country: A\ncity: B</answer>" * 500,
    ],
)
def test_of_several_answers_none_is_taken(text: str) -> None:
    answer = parse(text)
    assert answer.ambiguous
    assert (answer.country, answer.city, answer.complete) == (None, None, False)


def test_a_region_line_is_read_beside_the_others() -> None:
    answer = parse("<think>a</think><answer>Country: United States\nState: Texas\nCity: Paris</answer>")
    assert (answer.country, answer.region, answer.city) == ("United States", "Texas", "Paris")


def test_a_number_at_the_end_of_a_line_is_no_list_mark_of_the_next() -> None:
    answer = parse(f"{THINK}<answer>city: District 9\ncountry: Posten № 1\n2. region: x</answer>")
    assert (answer.city, answer.country, answer.region) == ("District 9", "Posten № 1", "x")


GRAMMAR = st.lists(
    st.sampled_from(
        ["<think>", "</think>", "<answer>", "</answer>", "country:", "city:", "\n", "**", "France", "Paris", ",", "- ", "：", " "]
    )
    | st.text(max_size=5),
    max_size=30,
).map("".join)


@given(GRAMMAR | st.text())
def test_no_text_raises_and_a_complete_answer_lacks_nothing(text: str) -> None:
    answer = parse(text)
    assert isinstance(answer, Answer)
    if answer.complete:
        assert answer.reasoning
        assert answer.country
        assert answer.city
        assert not answer.missing


@pytest.mark.parametrize("value", [None, 3, b"<answer>", ["a"]])
def test_what_is_no_text_has_no_answer(value: object) -> None:
    assert parse(value) == Answer()  # type: ignore[arg-type]


def test_an_answer_is_closed_by_its_close_tag_alone() -> None:
    assert parse("<answer>country: Kenya</answer>").closed
    assert not parse("<think>a</think><answer>country: Kenya\ncity: Nai").closed
    assert not parse("country: Kenya\ncity: Nairobi").closed
