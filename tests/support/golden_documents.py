"""What a gateway says of its documents: one space with a file that was read, and one that could not be."""

from cluster.erasure import Holding
from router.erasing.wire import ErasureObject, ErasureObjects, HoldingObjects, ReplayObject
from router.knowledge.objects import (
    ContentPage,
    DifferenceObject,
    FileCounts,
    FileMore,
    HitMore,
    LastError,
    Place,
    SearchHit,
    SearchPage,
    StoreDeleted,
    StoreFileList,
    StoreFileObject,
    StoreList,
    StoreMore,
    StoreObject,
    TextPart,
    UsualObject,
    VersionList,
    VersionObject,
)
from router.knowledge.wire import OtherChunking
from support.golden_fleet import NOW_S

SPACE = "vs_" + "5" * 32
MORE = StoreMore(
    "bge-m3", "school", ["key:4f1c"], ["group:class-7", "key:9a20"], "Editorial Norte, for class 7 only",
    ["read", "read_whole", "change", "share"],
)  # fmt: skip
STORE = StoreObject(
    id=SPACE, created_at=int(NOW_S) - 86400, name="school", description="timetables and [letters] of class 7",
    usage_bytes=3 << 20, file_counts=FileCounts(0, 1, 1, 0, 2), status="completed", expires_at=None,
    last_active_at=int(NOW_S), metadata={}, potluck=MORE,
)  # fmt: skip


def _file(number: int, name: str, error: LastError | None) -> StoreFileObject:
    return StoreFileObject(
        id="file-" + str(number) * 32, usage_bytes=0 if error else 3 << 20, created_at=int(NOW_S),
        vector_store_id=SPACE, status="failed" if error else "completed", last_error=error,
        chunking_strategy=OtherChunking(), attributes={},
        potluck=FileMore(name, 0 if error else 2, 0 if error else 14, "/srv/school"),
    )  # fmt: skip


FILES = [
    _file(1, "timetable[7].xlsx", None),
    _file(2, "letters/broken.pdf", LastError("invalid_file", "page 3 of it is damaged; export it again, as PDF")),
]
HITS = SearchPage(
    search_query=["when is maths"],
    data=[
        SearchHit(
            file_id=FILES[0].id, filename="timetable[7].xlsx", score=1.0, attributes={},
            content=[TextPart("Monday 08:00: maths, room [7]\nMonday 08:50: English")],
            potluck=HitMore(2, Place("cell", "Week!B7"), True, "cosine 0.71, 100% of the words"),
        )
    ],
)  # fmt: skip
OLD, NEW = (
    VersionObject(1, NOW_S - 86400, NOW_S - 3600, "Timetable", 14, 3 << 20, {}),
    VersionObject(2, NOW_S - 3600, None, "Timetable", 14, 3 << 20, {"term": "spring"}),
)
HELD = (Holding("documents", "files", 2), Holding("records", "requests", 41))
ERASURE = ErasureObject(
    id="era_" + "3" * 16, state="done", begun_at=NOW_S - 60, done_at=NOW_S - 58, holdings=HELD, trouble="",
    outside=("/srv/school/letters/ana.pdf",),
)  # fmt: skip
ANSWERS: dict[str, object] = {
    "GET /v1/vector_stores": StoreList(data=[STORE], first_id=SPACE, last_id=SPACE, has_more=False),
    "POST /v1/vector_stores": STORE,
    f"POST /v1/vector_stores/{SPACE}": STORE,
    f"DELETE /v1/vector_stores/{SPACE}": StoreDeleted(id=SPACE),
    f"GET /v1/vector_stores/{SPACE}/files": StoreFileList(
        data=FILES, first_id=FILES[0].id, last_id=FILES[1].id, has_more=False
    ),
    f"GET /v1/vector_stores/{SPACE}/files/{FILES[0].id}/content": ContentPage(
        data=[TextPart("Monday 08:00: maths, room [7]"), TextPart("Tuesday 08:00: \x1b[31mred")]
    ),
    f"POST /v1/vector_stores/{SPACE}/search": HITS,
    f"GET /v1/vector_stores/{SPACE}/files/{FILES[0].id}/versions": VersionList(data=[OLD, NEW]),
    f"GET /v1/vector_stores/{SPACE}/files/{FILES[0].id}/diff": DifferenceObject(
        filename="timetable[7].xlsx",
        old=OLD,
        new=NEW,
        added=1,
        removed=1,
        text="@@ cell Week!B7 @@\n-Monday 08:00: Spanish, room [7]\n+Monday 08:00: maths, room [7]\n",
    ),
    "POST /api/v1/privacy/preview": HoldingObjects(HELD),
    "POST /api/v1/privacy/erase": ERASURE,
    "GET /api/v1/privacy/erasures": ErasureObjects((ERASURE,)),
    "POST /api/v1/privacy/replay": ReplayObject(1),
    "POST /api/v1/rag/usual": UsualObject(
        vector_store_id=SPACE, models=["qwen3-14b"], keys=["9a20"], readers=["everyone", "key:9a20"]
    ),
}
