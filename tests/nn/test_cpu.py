"""What a processor can do is read from Linux's description of it."""

import pytest

from textlstm.nn.cpu import cpu_flags


@pytest.mark.parametrize("word", ["flags\t", "Features"])
def test_the_flags_are_the_words_of_their_line(word, tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\n{word}: fpu avx2\nbugs : amx_bf16\nflags : later\n")
    assert cpu_flags(cpuinfo) == {"fpu", "avx2"}


def test_a_processor_that_nothing_describes_has_no_flags(tmp_path):
    assert cpu_flags(tmp_path / "missing") == frozenset()
    (tmp_path / "cpuinfo").write_text("processor : 0\n")
    assert cpu_flags(tmp_path / "cpuinfo") == frozenset()
