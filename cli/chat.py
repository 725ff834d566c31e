"""`potluck chat`: talk to a model from the terminal, through the gateway like any other client."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import StateDir, paths_of
from cli.output import talk

if TYPE_CHECKING:
    from cli.endpoint import Endpoint


def chat(
    model: Annotated[str | None, typer.Argument(help="A model's name; the first one served otherwise.")] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", help="Ask once and leave.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1)] = 512,
    state_dir: StateDir = None,
) -> None:
    """Chat with a model. Without --prompt, a conversation until end of input (Ctrl-D)."""
    from cli.endpoint import local_endpoint

    endpoint = local_endpoint(paths_of(state_dir))
    chosen = model or first_model(endpoint)
    if prompt is not None:
        say(endpoint, chosen, [{"role": "user", "content": prompt}], max_tokens)
    else:
        converse(endpoint, chosen, max_tokens)


def converse(endpoint: "Endpoint", model: str, max_tokens: int) -> None:
    history: list[dict[str, str]] = []
    talk(f"{model}: end with Ctrl-D")
    while True:
        try:
            line = input("> ")
        except EOFError:
            return
        if line.strip():
            history.append({"role": "user", "content": line})
            history.append({"role": "assistant", "content": say(endpoint, model, history, max_tokens)})


def say(endpoint: "Endpoint", model: str, messages: list[dict[str, str]], max_tokens: int) -> str:
    """Stream one answer to stdout and return it whole."""
    pieces: list[str] = []
    for piece in stream_chat(endpoint, model, messages, max_tokens):
        typer.echo(piece, nl=False)
        pieces.append(piece)
    typer.echo()
    return "".join(pieces)


def stream_chat(endpoint: "Endpoint", model: str, messages: list[dict[str, str]], max_tokens: int) -> Iterator[str]:
    """Text pieces of one streamed answer. Raises GatewayRefusedError, also for an error event inside the stream."""
    import json

    import httpx2

    from cli.endpoint import GatewayRefusedError, refusal_of

    body = {"model": model, "messages": messages, "max_tokens": max_tokens, "stream": True}
    headers = {"authorization": f"Bearer {endpoint.api_key}"}
    with (
        httpx2.Client(timeout=httpx2.Timeout(10.0, read=600.0), trust_env=False) as client,
        client.stream("POST", f"{endpoint.base_url}/chat/completions", json=body, headers=headers) as response,
    ):
        if response.status_code != 200:
            raise refusal_of(response.status_code, response.read())
        for line in response.iter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            event = json.loads(line.removeprefix("data: "))
            if "error" in event:
                raise GatewayRefusedError(500, event["error"]["message"])
            for choice in event["choices"]:
                yield choice["delta"].get("content") or ""


def first_model(endpoint: "Endpoint") -> str:
    """The name of the first model that the gateway lists. Raises GatewayRefusedError when it lists none."""
    import httpx2

    from cli.endpoint import GatewayRefusedError, refusal_of

    headers = {"authorization": f"Bearer {endpoint.api_key}"}
    response = httpx2.get(f"{endpoint.base_url}/models", headers=headers, timeout=10.0, trust_env=False)
    if response.status_code != 200:
        raise refusal_of(response.status_code, response.content)
    names: list[str] = [model["id"] for model in response.json()["data"]]
    if not names:
        raise GatewayRefusedError(404, "no model is configured; see `potluck models` and cluster.yaml")
    return names[0]
