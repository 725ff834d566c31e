"""Coding agents as clients: Codex, Claude Code, opencode. What each must be told to speak with potluck."""

from cli.connect_setup import Entries, Places, ServedModel, Setup, Target, extra_ca, too_small

ANSWER_TOKENS = 8192  # what an agent may ask for in one answer, where the context is large
CODEX_TOKENS, CLAUDE_TOKENS, OPENCODE_TOKENS = 9_000, 20_000, 8_000  # as the versions of tests/clients say it


def codex(target: Target, places: Places) -> Setup:
    """It speaks the responses dialect only, and reads variables from .env beside its configuration."""
    provider = {
        "name": "potluck",
        "base_url": target.base_url,
        "wire_api": "responses",
        "env_key": "POTLUCK_API_KEY",
    }
    window = target.model.context_tokens
    config = {
        "model": target.model.name,
        "model_provider": "potluck",
        **({"model_context_window": window} if window else {}),
        "model_providers": {"potluck": provider},
    }
    variables = {"POTLUCK_API_KEY": target.key, **({"SSL_CERT_FILE": target.ca} if target.ca else {})}
    return Setup(
        files=(
            Entries(f"{places.codex}/.env", "env", variables, secret=True),
            Entries(f"{places.codex}/config.toml", "toml", config, secret=False),
        ),
        notes=(
            "Codex warns that it has no metadata for this model and goes on without",
            *too_small(target, CODEX_TOKENS, "Codex"),
        ),
    )


def claude(target: Target, places: Places) -> Setup:
    """It speaks the messages dialect; its small tasks would go to a model that nobody here serves."""
    name, context = target.model.name, target.model.context_tokens
    variables = {
        "ANTHROPIC_BASE_URL": target.root_url,
        "ANTHROPIC_AUTH_TOKEN": target.key,
        "ANTHROPIC_MODEL": name,
        "ANTHROPIC_DEFAULT_OPUS_MODEL": name,
        "ANTHROPIC_DEFAULT_SONNET_MODEL": name,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": name,
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(_answer_tokens(target.model)),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        **({"CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(context)} if context else {}),  # when to sum up; 200,000 otherwise
        **dict(extra_ca(target)),
    }
    return Setup(
        files=(Entries(f"{places.claude}/settings.json", "json", {"env": variables}, secret=True),),
        notes=too_small(target, CLAUDE_TOKENS, "Claude Code"),
    )


def opencode(target: Target, places: Places) -> Setup:
    """It speaks chat completions, keeps keys in a file of their own, and asks a second model for titles."""
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "potluck",
        "options": {"baseURL": target.base_url},
        "models": {model.name: _opencode_model(model) for model in target.models},
    }
    chosen = f"potluck/{target.model.name}"
    config = {
        "$schema": "https://opencode.ai/config.json",
        "model": chosen,
        "small_model": chosen,
        "provider": {"potluck": provider},
    }
    login = {"potluck": {"type": "api", "key": target.key}}
    return Setup(
        files=(
            Entries(f"{places.opencode_data}/auth.json", "json", login, secret=True),
            Entries(f"{places.opencode_config}/opencode.json", "json", config, secret=False),
        ),
        environment=extra_ca(target),
        notes=too_small(target, OPENCODE_TOKENS, "opencode"),
    )


def _opencode_model(model: ServedModel) -> dict[str, object]:
    context = model.context_tokens
    limit = {"limit": {"context": context, "output": _answer_tokens(model)}} if context else {}
    return {"name": f"{model.name} (potluck)", "tool_call": True, **limit}


def _answer_tokens(model: ServedModel) -> int:
    """A quarter of the context, or the conversation has no room."""
    return ANSWER_TOKENS if model.context_tokens is None else max(1, min(ANSWER_TOKENS, model.context_tokens // 4))
