"""The chat template of a model folder: in a file of its own, else among the tokenizer's settings."""

from collections.abc import Mapping

import msgspec

from inventory.config_facts import refuse_code
from inventory.model_error import FolderError

TEMPLATE, TOKENIZER_CONFIG, OLD_TEMPLATE = "chat_template.jinja", "tokenizer_config.json", "chat_template.json"


class _NamedTemplate(msgspec.Struct, frozen=True):
    name: str
    template: str


class _TokenizerConfig(msgspec.Struct, frozen=True):
    chat_template: str | list[_NamedTemplate] | None = None
    auto_map: msgspec.Raw = msgspec.Raw(b"null")


def chat_template(path: str, texts: Mapping[str, bytes]) -> str | None:
    """`texts` are contents by name, `path` their folder. Raises FolderError, also for a tokenizer with code."""
    settings = _tokenizer_config(path, TOKENIZER_CONFIG, texts)
    if TEMPLATE in texts:
        try:
            return texts[TEMPLATE].decode()
        except UnicodeDecodeError:
            raise FolderError(f"{path}/{TEMPLATE}", "it is not UTF-8") from None
    for found in (settings.chat_template, _tokenizer_config(path, OLD_TEMPLATE, texts).chat_template):
        if isinstance(found, str):
            return found
        if found:
            return next((named.template for named in found if named.name == "default"), None)
    return None


def _tokenizer_config(path: str, name: str, texts: Mapping[str, bytes]) -> _TokenizerConfig:
    if name not in texts:
        return _TokenizerConfig()
    try:
        settings = msgspec.json.decode(texts[name], type=_TokenizerConfig)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FolderError(f"{path}/{name}", f"it is not proper JSON of its kind: {error}") from None
    if bytes(settings.auto_map) != b"null":
        refuse_code("auto_map", f"{path}/{name}")
    return settings
