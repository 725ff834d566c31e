"""Wire profiles: complete, and honest about the weakest engine."""

from typing import get_args

from nodes.snapshot import EngineKind
from nodes.wire import WIRE


def test_every_engine_kind_has_a_profile_of_its_own_name() -> None:
    assert {kind: profile.kind for kind, profile in WIRE.items()} == {kind: kind for kind in get_args(EngineKind)}


def test_every_engine_lists_its_model_and_either_chats_or_makes_vectors_alone() -> None:
    for kind, profile in WIRE.items():
        if kind == "encoder":
            assert profile.endpoints == {"models", "embeddings"}
        else:
            assert profile.endpoints >= {"models", "chat", "completions"}


def test_an_engine_without_a_secret_has_no_paths_that_are_open_in_spite_of_it() -> None:
    for profile in WIRE.values():
        assert profile.auth == "bearer" or not profile.open_paths


def test_a_field_that_cancels_in_the_prompt_names_the_chunks_it_costs() -> None:
    for profile in WIRE.values():
        assert (profile.prompt_cancel_field is None) == (profile.progress_key is None)
