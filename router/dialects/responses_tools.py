"""The tools of a Responses request, and the choice among them, as those of a chat."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from router.dialects.chat import ChatBody, Function, NamedFunction, NamedTool, Tool
from router.dialects.common import Closed, JsonObject
from router.dialects.file_search_tool import (
    FileSearchChoice,
    FileSearchTool,
    RankingOptions,
    nothing_to_choose,
    one_only,
    search_by,
)
from router.dialects.responses_answer import (
    AllowedSaid,
    ChoiceSaid,
    FileSearchChosen,
    FileSearchSaid,
    HybridSaid,
    NamedSaid,
    NamespaceSaid,
    RankingSaid,
    ToolSaid,
)
from router.dialects.responses_input import full_name
from router.dialects.responses_items import ToolNames
from router.errors import invalid
from router.file_search import FOUND, LEFT_ALONE, FileSearch

MOST_TOOLS = 128  # those in namespaces among them

Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")]


class FunctionTool(Closed, tag_field="type", tag="function"):
    name: Name
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class NamespaceTool(Closed, tag_field="type", tag="namespace"):
    name: Name
    tools: Annotated[list[FunctionTool], Meta(max_length=MOST_TOOLS)]
    description: str = ""


class WebSearchTool(msgspec.Struct, tag_field="type", tag="web_search"):
    """Dropped, with all that it says."""


Offer = FunctionTool | NamespaceTool | WebSearchTool | FileSearchTool


class NamedChoice(Closed, tag_field="type", tag="function"):
    name: Name
    namespace: Name | None = None

    @property
    def full_name(self) -> str:
        return full_name(self.namespace, self.name)


class AllowedChoice(Closed, tag_field="type", tag="allowed_tools"):
    tools: Annotated[list[NamedChoice | FileSearchChoice], Meta(min_length=1, max_length=128)]
    mode: Literal["auto", "required"] = "auto"


Choice = Literal["none", "auto", "required"] | NamedChoice | FileSearchChoice | AllowedChoice


def names_of(offers: Sequence[Offer]) -> ToolNames:
    return {
        full_name(offer.name, tool.name): (offer.name, tool.name)
        for offer in offers
        if isinstance(offer, NamespaceTool)
        for tool in offer.tools
    }


def offer_tools(chat: ChatBody, offers: Sequence[Offer], choice: Choice | None) -> None:
    """Functions only. Raises ApiError 400 for too many, or a choice that nothing was offered for."""
    tools: list[Tool] = []
    for offer in offers:
        if isinstance(offer, FunctionTool):
            tools.append(_tool(offer, None))
        elif isinstance(offer, NamespaceTool):
            tools += [_tool(tool, offer.name) for tool in offer.tools]
    if len(tools) > MOST_TOOLS:
        raise invalid(f"`tools` offers {len(tools)} functions; the limit is {MOST_TOOLS}", "tools", "too_large")
    names = {tool.function.name for tool in tools}
    if isinstance(choice, NamedChoice):
        _check_offered(choice, names, "tool_choice.name")
        chat.tool_choice = NamedTool(NamedFunction(choice.full_name))
    elif isinstance(choice, AllowedChoice):
        tools = _allowed(choice, tools, names)
        chat.tool_choice = "required" if choice.mode == "required" and not _searches(choice.tools) else None
    elif choice == "required" and _searches(offers):
        pass  # a search is what it requires
    elif choice == "required" and not tools:
        raise invalid("there is no function among `tools` to require", "tool_choice")
    elif tools and choice != "auto" and not isinstance(choice, FileSearchChoice):
        chat.tool_choice = choice
    chat.tools = list(tools) or None


def search_of(offers: Sequence[Offer], choice: Choice | None, results: bool) -> FileSearch | None:
    """What is asked of documents; None where the client says nothing of them. Raises ApiError 400."""
    offered = [(at, offer) for at, offer in enumerate(offers) if isinstance(offer, FileSearchTool)]
    allowed = choice.tools if isinstance(choice, AllowedChoice) else (choice,)
    if not offered:
        if any(isinstance(one, FileSearchChoice) for one in allowed):
            raise nothing_to_choose()
        return None
    one_only(len(offered))
    ((at, offer),) = offered
    search = search_by(offer, f"tools[{at}]", results)
    left_alone = choice == "none" or (isinstance(choice, AllowedChoice) and not _searches(choice.tools))
    return LEFT_ALONE if left_alone else search


def _allowed(choice: AllowedChoice, tools: Sequence[Tool], names: set[str]) -> list[Tool]:
    """Raises ApiError 400 for one that was not offered."""
    functions = [(at, one) for at, one in enumerate(choice.tools) if isinstance(one, NamedChoice)]
    for at, one in functions:
        _check_offered(one, names, f"tool_choice.tools[{at}].name")
    allowed = {one.full_name for _, one in functions}
    return [tool for tool in tools if tool.function.name in allowed]


def _searches(tools: Sequence[Offer | NamedChoice | FileSearchChoice]) -> bool:
    return any(isinstance(one, FileSearchTool | FileSearchChoice) for one in tools)


def tools_said(offers: Sequence[Offer]) -> list[ToolSaid | NamespaceSaid | FileSearchSaid]:
    said: list[ToolSaid | NamespaceSaid | FileSearchSaid] = []
    for offer in offers:
        if isinstance(offer, FunctionTool):
            said.append(_said(offer))
        elif isinstance(offer, NamespaceTool):
            said.append(NamespaceSaid(offer.name, offer.description, [_said(tool) for tool in offer.tools]))
        elif isinstance(offer, FileSearchTool):
            said.append(_search_said(offer))
    return said


def choice_said(choice: Choice | None) -> ChoiceSaid:
    if isinstance(choice, AllowedChoice):
        return AllowedSaid(choice.mode, [_one_said(one) for one in choice.tools])
    if isinstance(choice, NamedChoice | FileSearchChoice):
        return _one_said(choice)
    return choice or "auto"


def _one_said(choice: NamedChoice | FileSearchChoice) -> NamedSaid | FileSearchChosen:
    return NamedSaid(choice.name) if isinstance(choice, NamedChoice) else FileSearchChosen()


def _search_said(tool: FileSearchTool) -> FileSearchSaid:
    ranking = tool.ranking_options or RankingOptions()
    weights = ranking.hybrid_search
    said = RankingSaid(
        ranking.ranker or "auto",
        ranking.score_threshold or 0.0,
        msgspec.UNSET if weights is None else HybridSaid(weights.embedding_weight, weights.text_weight),
    )
    return FileSearchSaid(tool.vector_store_ids or [], tool.max_num_results or FOUND, tool.filters, said)


def _tool(tool: FunctionTool, namespace: str | None) -> Tool:
    return Tool(Function(full_name(namespace, tool.name), tool.description, tool.parameters, tool.strict))


def _said(tool: FunctionTool) -> ToolSaid:
    return ToolSaid(tool.name, tool.description, tool.parameters, tool.strict)


def _check_offered(choice: NamedChoice, names: set[str], param: str) -> None:
    if choice.full_name not in names:
        raise invalid(f"there is no function `{choice.name}` among `tools`", param)
