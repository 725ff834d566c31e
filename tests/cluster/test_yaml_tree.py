from hypothesis import given
from hypothesis import strategies as st

from cluster.yaml_tree import parse_yaml


def messages(text: str) -> list[str]:
    return [problem.message for problem in parse_yaml(text).problems]


def test_words_and_times_stay_text() -> None:
    """`on` is a key of cluster.yaml, and YAML 1.1 reads it as true."""
    tree = parse_yaml('on: yes\nat: 22:30\nquoted: "1"\nnumber: 1\nratio: 0.9\nnothing:\ntruth: true\n')

    assert tree.value == {
        "on": "yes",
        "at": "22:30",
        "quoted": "1",
        "number": 1,
        "ratio": 0.9,
        "nothing": None,
        "truth": True,
    }


def test_every_value_knows_its_line() -> None:
    tree = parse_yaml("a:\n  b:\n    - x\n    - y\nc: 1\n")

    assert tree.line_of(("a", "b", 1)) == 4
    assert tree.line_of(("a", "b", 1, "missing")) == 4
    assert tree.line_of(("c",)) == 5


def test_a_duplicate_key_names_both_lines() -> None:
    (problem,) = parse_yaml("a: 1\nb: 2\na: 3\n").problems

    assert (problem.path, problem.line) == (("a",), 3)
    assert problem.message == "duplicate key; the first one is on line 1"


def test_what_yaml_allows_and_a_configuration_does_not_need_is_refused() -> None:
    assert messages("a: &x {b: 1}\nc:\n  <<: *x\n") == ["merge keys (<<) are not allowed; write the keys out"]
    assert messages("? [a]\n: 1\n") == ["a key must be plain text"]
    assert "tags are not allowed" in messages("a: !!python/object/apply:os.system [id]\n")[0]
    assert messages("a: 1\n---\nb: 1\n") == ["not YAML: but found another document"]


def test_an_empty_file_and_one_that_is_not_yaml_say_so() -> None:
    assert "is empty" in messages("# nothing\n")[0]
    assert messages("a: 1\n b: 2\n")[0].startswith("not YAML")
    assert messages("a: \0")[0].startswith("not YAML")


def test_text_that_expands_or_nests_without_bound_is_refused_quickly() -> None:
    rows = [f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]" for n in range(1, 9)]

    assert "more than" in messages("\n".join(["b0: &b0 [1]", *rows]))[0]
    assert "levels" in messages("[" * 100_000)[0]
    assert "more than" in messages("&loop [*loop]")[0]


@given(st.text(alphabet="ab:[]{}&*!|>-\"'\n #0,<?~", max_size=60))
def test_no_text_makes_the_parser_raise(text: str) -> None:
    parse_yaml(text)
