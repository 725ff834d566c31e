"""Metadata beside files: read with their types, from the nearest place, and what is wrong is told with its line."""

import pytest

from rag.parsing.sidecar import SidecarError, is_sidecar, metadata_of


def test_a_table_tells_attributes_of_files_below_its_folder() -> None:
    table = b"file;author;year;public;room\nacta.docx;Ana;2025;true;007\nsub/plan.pdf;;2024.5;no;\n"

    assert metadata_of({"school/metadata.csv": table}) == {
        "school/acta.docx": {"author": "Ana", "year": 2025.0, "public": True, "room": "007"},
        "school/sub/plan.pdf": {"year": 2024.5, "public": "no"},
    }


def test_what_stands_nearer_to_a_file_wins() -> None:
    listing = {
        "metadata.csv": b"file,author,year\nsub/a.pdf,Ana,2024\n",
        "sub/metadata.json": b'{"a.pdf": {"author": "Luis", "pages": 3}}',
        "sub/a.pdf.metadata.json": b'{"author": "Eva"}',
        "sub/a.pdf": b"%PDF-",
    }

    assert metadata_of(listing) == {"sub/a.pdf": {"author": "Eva", "year": 2024.0, "pages": 3.0}}


def test_sidecars_are_no_files_to_be_found() -> None:
    paths = ("metadata.csv", "a/metadata.json", "a/b.pdf.metadata.json", "a/my-metadata.csv")

    assert [is_sidecar(path) for path in paths] == [True, True, True, False]


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        ("metadata.csv", b"", "metadata.csv, line 1: it is empty"),
        ("metadata.csv", b"name,author\na.pdf,Ana\n", 'line 1: the first column must be named "file"'),
        ("metadata.csv", b"file,author,author\n", "line 1: every column needs a name of its own"),
        ("metadata.csv", b"file,author\na.pdf,Ana\nb.pdf,Eva,x\n", "line 3: it has 3 cells, and there are 2 columns"),
        ("metadata.csv", b"file,author\n\n../b.pdf,Eva\n", "line 3: '../b.pdf' is no path below this folder"),
        ("metadata.csv", b"file,author\n/etc/passwd,Eva\n", "line 2: '/etc/passwd' is no path"),
        ("metadata.csv", b'file,author\na.pdf,"Ana\n', "this is not CSV"),
        ("metadata.csv", b"file,a\na.pdf," + b"x" * 600, "line 2: a is longer than 512"),
        ("metadata.csv", bytes(100), "no text"),
        ("metadata.json", b"{\n\n,}", "metadata.json, line 3: this is not JSON"),
        ("metadata.json", b"[]", "must be an object"),
        ("metadata.json", b'{"a.pdf": 3}', "of 'a.pdf' it tells no attributes"),
        ("metadata.json", b"[" * 100_000, "nested too deeply"),
        ("a.pdf.metadata.json", b'{"a": [1]}', "a must be text, a number, true or false"),
        ("a.pdf.metadata.json", b'{"a": NaN}', "a is no number"),
        ("a.pdf.metadata.json", b"{" + b",".join(b'"k%d": 1' % at for at in range(17)) + b"}", "at most 16"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(path: str, content: bytes, told: str) -> None:
    with pytest.raises(SidecarError) as raised:
        metadata_of({path: content})

    assert told in str(raised.value)
