"""The tools of a Responses request, and the choice among them, as those of a chat."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from router.dialects.chat import ChatBody, Function, NamedFunction, NamedTool, Tool
from router.dialects.common import Closed, JsonObject
from router.dialects.responses_answer import AllowedSaid, NamedSaid, NamespaceSaid, ToolSaid
from router.dialects.responses_input import full_name
from router.dialects.responses_items import ToolNames
from router.errors import invalid

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


Offer = FunctionTool | NamespaceTool | WebSearchTool


class NamedChoice(Closed, tag_field="type", tag="function"):
    name: Name
    namespace: Name | None = None

    @property
    def full_name(self) -> str:
        return full_name(self.namespace, self.name)


class AllowedChoice(Closed, tag_field="type", tag="allowed_tools"):
    tools: Annotated[list[NamedChoice], Meta(min_length=1, max_length=128)]
    mode: Literal["auto", "required"] = "auto"


Choice = Literal["none", "auto", "required"] | NamedChoice | AllowedChoice


def names_of(offers: Sequence[Offer]) -> ToolNames:
    return {
        full_name(offer.name, tool.name): (offer.name, tool.name)
        for offer in offers
        if isinstance(offer, NamespaceTool)
        for tool in offer.tools
    }


def offer_tools(chat: ChatBody, offers: Sequence[Offer], choice: Choice | None) -> None:
    """Raises ApiError 400 for too many, or a choice that nothing was offered for."""
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
        chat.tool_choice = NamedTool("function", NamedFunction(choice.full_name))
    elif isinstance(choice, AllowedChoice):
        for at, one in enumerate(choice.tools):
            _check_offered(one, names, f"tool_choice.tools[{at}].name")
        allowed = {one.full_name for one in choice.tools}
        tools = [tool for tool in tools if tool.function.name in allowed]
        chat.tool_choice = "required" if choice.mode == "required" else None
    elif choice == "required" and not tools:
        raise invalid("there is no function among `tools` to require", "tool_choice")
    elif tools and choice != "auto":
        chat.tool_choice = choice
    chat.tools = tools or None


def tools_said(offers: Sequence[Offer]) -> list[ToolSaid | NamespaceSaid]:
    said: list[ToolSaid | NamespaceSaid] = []
    for offer in offers:
        if isinstance(offer, FunctionTool):
            said.append(_said(offer))
        elif isinstance(offer, NamespaceTool):
            said.append(NamespaceSaid(offer.name, offer.description, [_said(tool) for tool in offer.tools]))
    return said


def choice_said(choice: Choice | None) -> Literal["none", "auto", "required"] | NamedSaid | AllowedSaid:
    if isinstance(choice, NamedChoice):
        return NamedSaid(choice.name)
    if isinstance(choice, AllowedChoice):
        return AllowedSaid(choice.mode, [NamedSaid(one.name) for one in choice.tools])
    return choice or "auto"


def _tool(tool: FunctionTool, namespace: str | None) -> Tool:
    return Tool("function", Function(full_name(namespace, tool.name), tool.description, tool.parameters, tool.strict))


def _said(tool: FunctionTool) -> ToolSaid:
    return ToolSaid(tool.name, tool.description, tool.parameters, tool.strict)


def _check_offered(choice: NamedChoice, names: set[str], param: str) -> None:
    if choice.full_name not in names:
        raise invalid(f"there is no function `{choice.name}` among `tools`", param)
