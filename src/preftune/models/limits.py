"""How many tokens a model takes."""

from transformers import PreTrainedConfig

from preftune.errors import ConfigError

DEFAULT_MAX_TOKENS = 1024


def token_limit(asked: int | None, config: PreTrainedConfig) -> int:
    """Most tokens of prompt + response: as asked, else 1,024 or the model's positions if fewer.

    Raises:
        ConfigError: more are asked for than the model has positions (PT301).
    """
    positions: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    if asked and positions and asked > positions:
        raise ConfigError(
            "PT301",
            f"rendering.max_tokens is {asked:,}, the model has {positions:,} positions.",
            where="configuration",
            why="tokens beyond them have no meaning for the model.",
            fix=f"set it to {positions:,} or less.",
        )
    return asked or min(DEFAULT_MAX_TOKENS, positions or DEFAULT_MAX_TOKENS)
