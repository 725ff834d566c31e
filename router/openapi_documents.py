"""What the doors to documents take and give, for the gateway's OpenAPI document. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from router.knowledge.answer import AnswerObject
from router.knowledge.objects import (
    ContentPage,
    DifferenceObject,
    FileBatchObject,
    FolderDeleted,
    FolderList,
    FolderObject,
    SearchPage,
    StoreDeleted,
    StoreFileDeleted,
    StoreFileList,
    StoreFileObject,
    StoreList,
    StoreObject,
    UsualObject,
    VersionList,
)
from router.knowledge.wire import (
    AgainBody,
    AttributesBody,
    BatchOfFilesBody,
    FileBody,
    FolderBody,
    QuestionBody,
    SearchBody,
    StoreBody,
    StoreChangeBody,
    UsualBody,
)

Row = tuple[str, type | None, type, str, Mapping[str, str]]
"""Summary, body, answer, what the answer is, and errors besides those that any route may give."""

_NAMED = {"404": "NotFound", "409": "InUse"}
_ASKED = {**_NAMED, "413": "TooLarge"}
_SEARCHED = {**_ASKED, "429": "Limited"}
_STORE = "/v1/vector_stores/{vector_store_id}"
_FILE = f"{_STORE}/files/{{file_id}}"
_BATCH = f"{_STORE}/file_batches/{{batch_id}}"
_FOLDERS = "/api/v1/rag/folders"
DOCUMENT_ROUTES: Mapping[str, Row] = MappingProxyType(
    {
        "POST /v1/vector_stores": ("A store for documents.", StoreBody, StoreObject, "The store.", _ASKED),
        "GET /v1/vector_stores": ("The stores that this key may see.", None, StoreList, "The list.", {}),
        f"GET {_STORE}": ("One of them.", None, StoreObject, "The store.", _NAMED),
        f"POST {_STORE}": ("Change what it is called.", StoreChangeBody, StoreObject, "The store.", _ASKED),
        f"DELETE {_STORE}": ("Remove it with all that was read into it.", None, StoreDeleted, "It is gone.", _NAMED),
        f"POST {_STORE}/search": ("What its files say about something.", SearchBody, SearchPage, "Found.", _SEARCHED),
        f"POST {_STORE}/files": ("Read a file into it.", FileBody, StoreFileObject, "As it stands.", _ASKED),
        f"GET {_STORE}/files": ("Its files.", None, StoreFileList, "The list.", _NAMED),
        f"GET {_FILE}": ("One of them.", None, StoreFileObject, "As it stands.", _NAMED),
        f"POST {_FILE}": ("Give it other attributes.", AttributesBody, StoreFileObject, "As it stands.", _ASKED),
        f"DELETE {_FILE}": ("Take it out of the store.", None, StoreFileDeleted, "It is gone.", _NAMED),
        f"GET {_FILE}/content": ("What was read of it.", None, ContentPage, "Its chunks.", _NAMED),
        f"GET {_FILE}/versions": ("Its versions.", None, VersionList, "The oldest first.", _NAMED),
        f"GET {_FILE}/diff": ("What changed between two.", None, DifferenceObject, "A unified diff.", _NAMED),
        f"POST {_STORE}/file_batches": (
            "Read several files into it.",
            BatchOfFilesBody,
            FileBatchObject,
            "How they stand.",
            _ASKED,
        ),
        f"GET {_BATCH}": ("How they stand.", None, FileBatchObject, "The batch.", _NAMED),
        f"POST {_BATCH}/cancel": ("Read no more of them.", None, FileBatchObject, "The batch.", _NAMED),
        f"GET {_BATCH}/files": ("Files of a batch.", None, StoreFileList, "The list.", _NAMED),
        f"POST {_FOLDERS}": ("Read a folder of this machine.", FolderBody, FolderObject, "The folder.", _ASKED),
        f"GET {_FOLDERS}": ("Folders that are read.", None, FolderList, "The list.", {}),
        f"DELETE {_FOLDERS}/{{folder_id}}": (
            "Watch it no more.",
            None,
            FolderDeleted,
            "It is watched no more.",
            _NAMED,
        ),
        "/api/v1/rag/search": (
            "What files say about something: the passages, and why.",
            QuestionBody,
            AnswerObject,
            "The answer.",
            _SEARCHED,
        ),
        "/api/v1/rag/retry": ("Read a file again.", AgainBody, StoreFileObject, "As it stands.", _ASKED),
        "/api/v1/rag/usual": ("Who looks into a store unasked.", UsualBody, UsualObject, "As it is set.", _ASKED),
    }
)
