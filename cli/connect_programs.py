"""Editors, web interfaces and libraries as clients: what each must be told to speak with potluck."""

from cli.connect_setup import Entries, Places, ServedModel, Setup, Target, only_ca

EDITOR_ANSWER_TOKENS = 4096
UNKNOWN_CONTEXT_TOKENS = 8192  # for editors that insist on a number


def openwebui(target: Target, places: Places) -> Setup:
    """Variables of its server; it would otherwise look for Ollama, and fetch an embedding model from the internet."""
    variables = {
        "ENABLE_OPENAI_API": "true",
        "OPENAI_API_BASE_URL": target.base_url,
        "OPENAI_API_KEY": target.key,
        "ENABLE_OLLAMA_API": "false",
        "DEFAULT_MODELS": target.model.name,
        "RAG_EMBEDDING_ENGINE": "openai",
        "RAG_OPENAI_API_BASE_URL": target.base_url,
        "RAG_OPENAI_API_KEY": target.key,
        "OFFLINE_MODE": "true",
        **dict(only_ca(target)),
    }
    path = f"{places.potluck}/openwebui.env"
    return Setup(
        files=(Entries(path, "env", variables, secret=True),),
        notes=(
            f"start it with these: `set -a; . {path}; open-webui serve`, or `docker run --env-file {path} …`",
            "it keeps what it was first started with: change a connection later under Admin Settings, Connections",
        ),
    )


def vscode(target: Target, places: Places) -> Setup:
    """The built-in Custom Endpoint, which asks for every model's limits."""
    group = {
        "name": "potluck",
        "vendor": "customendpoint",
        "apiKey": target.key,
        "apiType": "chat-completions",
        "models": [_vscode_model(model, target.base_url) for model in target.models],
    }
    trust = (f"VS Code trusts what the system trusts: add {target.ca} there",) if target.ca else ()
    return Setup(
        files=(Entries(f"{places.vscode}/chatLanguageModels.json", "json", [group], secret=True),),
        notes=("needs VS Code 1.122 or later; then choose the model in the chat's picker", *trust),
    )


def continue_dev(target: Target, places: Places) -> Setup:
    trust = {"requestOptions": {"caBundlePath": target.ca}} if target.ca else {}
    models = [
        {
            "name": f"{model.name} (potluck)",
            "provider": "openai",
            "model": model.name,
            "apiBase": target.base_url,
            "apiKey": target.key,
            "roles": ["chat", "edit", "apply"],
            "capabilities": ["tool_use"],
            **trust,
        }
        for model in _chosen_first(target)
    ]
    config = {"name": "Local", "version": "1.0.0", "schema": "v1", "models": models}
    return Setup(files=(Entries(f"{places.continue_dev}/config.yaml", "yaml", config, secret=True),))


def llm(target: Target, places: Places) -> Setup:
    models = [
        {
            "model_id": f"potluck/{model.name}",
            "model_name": model.name,
            "api_base": target.base_url,
            "api_key_name": "potluck",
            "supports_tools": True,
            "supports_schema": True,
        }
        for model in target.models
    ]
    return Setup(
        files=(
            Entries(f"{places.llm}/keys.json", "json", {"potluck": target.key}, secret=True),
            Entries(f"{places.llm}/extra-openai-models.yaml", "yaml", models, secret=False),
        ),
        environment=only_ca(target),
        notes=(f"ask with: llm -m potluck/{target.model.name} 'Hello'",),
    )


def langchain(target: Target, places: Places) -> Setup:
    """A program says it by itself; there is no file."""
    lines = (
        "from langchain_openai import ChatOpenAI",
        "",
        f"model = ChatOpenAI(model={target.model.name!r}, base_url={target.base_url!r}, api_key={target.key!r})",
        'print(model.invoke("Hello").content)',
    )
    return Setup(environment=only_ca(target), snippet="\n".join(lines))


def _vscode_model(model: ServedModel, base_url: str) -> dict[str, object]:
    context = model.context_tokens or UNKNOWN_CONTEXT_TOKENS
    answer = max(1, min(EDITOR_ANSWER_TOKENS, context // 4))
    return {
        "id": model.name,
        "name": f"{model.name} (potluck)",
        "url": f"{base_url}/chat/completions",
        "toolCalling": True,
        "vision": False,
        "maxInputTokens": max(1, context - answer),
        "maxOutputTokens": answer,
    }


def _chosen_first(target: Target) -> tuple[ServedModel, ...]:
    """Continue starts with the first of its list."""
    return (target.model, *(model for model in target.models if model != target.model))
