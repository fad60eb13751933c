"""Which checkpoint is the best, from what the trainer logged."""

from globe.training.measured import best_first, held_out_figures, in_one_line, measurements, value_at

HISTORY = [
    {"step": 0, "eval_accuracy": 0.9, "eval_format": 1.0},
    {"step": 1, "reward": 1.0},
    {"step": 2, "eval_accuracy": 0.5, "eval_format": 0.1},
    {"step": 2, "reward": 1.1},
    {"step": 4, "eval_accuracy": 0.6},
    {"step": 6, "eval_accuracy": 0.6},
    {"step": 7, "eval_accuracy": 0.4},
    {"step": 7, "train_runtime": 3.0},
]


def test_the_best_is_the_highest_and_of_equals_the_earlier_one_and_never_what_the_training_started_from():
    assert best_first(HISTORY) == [4, 6, 2, 7]
    assert best_first(HISTORY[:4]) == [2]
    assert best_first(HISTORY[:1]) == []


def test_of_equals_the_one_whose_answers_keep_the_format_is_better_though_it_came_later():
    kept, lost = {"eval_accuracy": 0.6, "eval_format": 0.98}, {"eval_accuracy": 0.6, "eval_format": 0.2}
    assert best_first([{"step": 2, **lost}, {"step": 4, **kept}, {"step": 6, **lost}, {"step": 8, **kept}]) == [4, 8, 2, 6]


def test_a_training_that_was_not_measured_has_no_best():
    assert best_first([{"step": 1, "reward": 1.0}, {"step": 1, "eval_format": 1.0}]) == []
    assert held_out_figures([{"step": 1, "reward": 1.0}], 1, 0) == {}
    assert in_one_line({}) == ""


def test_a_training_that_is_rewarded_by_distance_is_measured_by_it():
    assert measurements([{"step": 3, "eval_distance": 0.25, "eval_format": 1.0}]) == [(3, 0.25)]


def test_the_figures_say_what_is_published_and_what_came_last():
    figures = held_out_figures(HISTORY, 6, 512)
    assert figures == {
        "eval_reward": "accuracy",
        "eval_rows": 512,
        "eval_start": 0.9,
        "eval_best": 0.6,
        "eval_last": 0.4,
        "best_step": 6,
    }
    said = "; held-out accuracy 0.900 -> 0.600 at step 6 (the best, which is published), 0.400 at the last"
    assert in_one_line(figures) == said
    assert value_at(HISTORY, 3) is None
