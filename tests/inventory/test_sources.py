"""Model sources as people write them."""

import pytest

from inventory.sources import FileSource, HubSource, ModelSource, PackagedSource, SourceError, parse_source


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("packaged:smollm2", PackagedSource("smollm2")),
        ("file:~/models/a b.gguf", FileSource("~/models/a b.gguf")),
        ("hf:Qwen/Qwen3-8B-GGUF", HubSource("Qwen/Qwen3-8B-GGUF")),
        ("hf:Qwen/Qwen3-8B-GGUF:Q4_K_M", HubSource("Qwen/Qwen3-8B-GGUF", quantisation="Q4_K_M")),
        ("hf:a/b@main:Q8_0", HubSource("a/b", revision="main", quantisation="Q8_0")),
        ("hf:a/b.c/d/e.gguf", HubSource("a/b.c", file="d/e.gguf")),
        ("hf:a/b@0123abc/e-00001-of-00002.gguf", HubSource("a/b", "0123abc", "e-00001-of-00002.gguf")),
    ],
)
def test_a_source_is_read_and_written_the_same(text: str, source: ModelSource) -> None:
    assert parse_source(text) == source
    assert str(source) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("smollm2", "write packaged:NAME"),
        ("file:", "write packaged:NAME"),
        ("http://a/b", "http: is unknown"),
        ("hf:Qwen", "write hf:ORG/REPO"),
        ("hf:a/b/c.safetensors", "write hf:ORG/REPO"),
        ("hf:a/b/../c.gguf", "plain relative"),
        ("hf:a/b//c.gguf", "plain relative"),
        ("hf:a/..:Q4", "two dots"),
        ("hf:a/b@x/y@z.gguf:Q4", "write hf:ORG/REPO"),
    ],
)
def test_what_is_no_source_says_how_to_write_one(text: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        parse_source(text)
