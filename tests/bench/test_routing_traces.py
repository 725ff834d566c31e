"""The three formats of recorded requests."""

import json
from pathlib import Path

import msgspec
import pytest

from bench.routing.traces import read_trace


def test_mooncake_lines_are_requests_with_their_prefixes(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    rows = [
        {"timestamp": 0, "input_length": 1100, "output_length": 500, "hash_ids": [0, 1, 2]},
        {"timestamp": 3000, "input_length": 600, "output_length": 10, "hash_ids": [0, 3]},
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    workload = read_trace(path, seed=1, stretch=10.0)

    first, second = (session.turns[0] for session in workload.sessions)
    assert first.prompt_chain == (0, 1)  # whole blocks of 512
    assert second.prompt_chain == (0,)
    assert len(first.whole_chain) == 3
    assert 30.0 <= workload.sessions[1].start_s <= 60.0


def test_azure_rows_are_requests_without_prefixes(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:05.9799600,110,27\n"
    )
    workload = read_trace(path, seed=1, stretch=6.0)

    assert [session.turns[0].prompt_tokens for session in workload.sessions] == [4808, 110]
    assert [session.start_s for session in workload.sessions] == [0.0, 12.0]


def test_rows_of_one_session_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    rows: list[dict[str, object]] = [
        {"potluck_trace": 1, "block_tokens": 128},
        {"at_s": 1.0, "prompt_tokens": 300, "output_tokens": 20, "session": "s", "model": "8b", "blocks": [1, 2]},
        {"at_s": 0.5, "prompt_tokens": 10, "output_tokens": 5},
        {"after_s": 3.0, "prompt_tokens": 400, "output_tokens": 20, "session": "s", "blocks": [1, 2, 3]},
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    workload = read_trace(path, seed=1)

    alone, talk = workload.sessions
    assert workload.block_tokens == 128
    assert (alone.name, len(alone.turns)) == (None, 1)
    assert (talk.name, talk.model, [turn.after_s for turn in talk.turns]) == ("s", "8b", [0.0, 3.0])


def test_a_row_with_a_field_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"potluck_trace": 1}\n{"prompt_tokens": 1, "output_tokens": 1, "promt": 2}\n')

    with pytest.raises(msgspec.ValidationError, match="promt"):
        read_trace(path, seed=1)
