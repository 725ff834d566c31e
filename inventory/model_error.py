"""The one error of all model readers: bytes from outside that do not make a model."""


class ModelFileError(Exception):
    """A file that is not what its format demands. Handled by whoever asked for it; the text is for the operator."""

    def __init__(self, path: str, reason: str, kind: str = "model file", offset: int | None = None) -> None:
        place = "" if offset is None else f" (at byte {offset})"
        super().__init__(f"{path}: not a usable {kind}: {reason}{place}")
        self.path, self.reason, self.offset = path, reason, offset


class FolderError(ModelFileError):
    """A folder of safetensors, settings and a tokenizer that does not add up, or that would run its own code."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason, "model folder")
