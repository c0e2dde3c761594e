from pathlib import Path
from typing import Any
from rich.console import Console
async def run(folder: Path, config: Path, console: Console) -> dict[str, Any]: ...
