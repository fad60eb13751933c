from globe.curation.teachers.figures import TeacherFigures
from globe.curation.teachers.replies import Record
from globe.curation.teachers.teacher import Teacher


def record(status="ok", attempts=1, replica=""):
    return Record(id="p", teacher="m", key="00", status=status, attempts=attempts, replica=replica)


def figures_of(teacher, *records):
    figures = TeacherFigures(teacher)
    for one in records:
        figures.add(one)
    return figures.figures()


def test_every_question_is_counted_once_by_how_it_ended():
    records = [record(), record(attempts=3), record("malformed", 2), record("timeout", 3), record("failed")]
    assert figures_of(Teacher("vlm", "m", "http://h/v1"), *records) == {
        **{"asked": 5, "answered": 2, "malformed": 1, "timeouts": 1, "failed": 1},
        "retries": 5,
    }


def test_of_several_servers_each_ones_replies_are_told_those_of_one_that_is_gone_too():
    teacher = Teacher("vlm", "m", "http://h/v1", ("http://o/v1",))
    told = figures_of(teacher, record(replica="http://h/v1"), record(replica="http://gone/v1"), record("failed"))
    assert told["replies"] == {"http://h/v1": 1, "http://o/v1": 0, "http://gone/v1": 1}


def test_a_server_that_said_something_unusable_before_a_failure_gave_no_reply():
    teacher = Teacher("vlm", "m", "http://h/v1", ("http://o/v1",))
    servers = ("http://h/v1", "http://h/v1", "http://o/v1", "http://o/v1")
    ended = ("ok", "timeout", "malformed", "failed")
    told = figures_of(teacher, *(record(status, 2, server) for status, server in zip(ended, servers, strict=True)))
    assert told["replies"] == {"http://h/v1": 1, "http://o/v1": 1}
    assert sum(told["replies"].values()) == told["answered"] + told["malformed"]
