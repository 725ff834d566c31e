"""What engines say of themselves becomes figures in the terms of a need."""

from nodes.engines.accounts import copied_bytes, items_in_load, items_in_log
from nodes.snapshot import EngineLoad, MemoryItem

LLAMACPP = """\
0.00.292.540 I load_tensors:   CPU_Mapped model buffer size =    92.00 MiB
0.00.292.541 I load_tensors:   CPU_REPACK model buffer size =    60.50 MiB
0.00.296.333 I llama_context:        CPU  output buffer size =     0.25 MiB
0.00.296.438 I llama_kv_cache:        CPU KV buffer size =    22.50 MiB
0.00.311.387 I llama_kv_cache: size =   22.50 MiB (   512 cells,  30 layers,  2/2 seqs), K (f16):   11.25 MiB
0.00.312.000 I llama_memory_recurrent:        CPU RS buffer size =     4.00 MiB
0.00.318.098 I sched_reserve:        CPU compute buffer size =     3.75 MiB
"""
MIB = 1 << 20


def test_llamacpp_tells_each_buffer_in_its_log() -> None:
    assert items_in_log("llamacpp", LLAMACPP) == (
        MemoryItem(("weights",), 92 * MIB),  # what was laid out anew is no weight more
        MemoryItem(("compute buffers",), 4 * MIB),  # and what it calls output
        MemoryItem(("kv cache",), round(22.5 * MIB)),
        MemoryItem(("recurrent state",), 4 * MIB),
    )


def test_weights_that_were_laid_out_anew_are_told_apart() -> None:
    assert copied_bytes(LLAMACPP) == round(60.5 * MIB)


def test_mlx_tells_the_most_that_all_its_arrays_took() -> None:
    (item,) = items_in_load(EngineLoad(arrays_peak_bytes=250))

    assert item.size_bytes == 250
    assert set(item.terms) == {"weights", "kv cache", "recurrent state", "compute buffers"}


def test_vllm_tells_its_cache() -> None:
    assert items_in_load(EngineLoad(cache_bytes=3 * MIB)) == (MemoryItem(("kv cache",), 3 * MIB),)


def test_an_engine_that_says_nothing_has_no_figures() -> None:
    assert items_in_load(EngineLoad()) == ()
    assert items_in_log("vllm", LLAMACPP) == ()
    assert items_in_log("llamacpp", "") == ()
