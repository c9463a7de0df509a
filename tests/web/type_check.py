"""Check the types of the page: its scripts against the OpenAPI document, with the TypeScript compiler.

Run it as `python -m tests.web.type_check`. The types of the document are generated into a temporary folder.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from app.api.operations.page import FOLDER
from tests.clients.tools import RUN_SECONDS, Tools
from tests.support.in_process_server import openapi_document

OPTIONS: dict[str, Any] = {
    "allowJs": True,
    "checkJs": True,
    "strict": True,
    "noEmit": True,
    "target": "esnext",
    "module": "esnext",
    "moduleResolution": "bundler",
    "lib": ["esnext", "dom", "dom.iterable", "dom.asynciterable"],
    "types": [],
}


def faults(page: Path, folder: Path, document: dict[str, Any]) -> str:
    """Return what the compiler says of the scripts in `page`. The document's types are written into `folder`."""
    tools = Tools()
    (folder / "openapi.json").write_text(json.dumps(document))
    tools.run_node(
        "openapi-typescript", "openapi.json", "--default-non-nullable=false", "-o", "openapi.d.ts", folder=folder
    )
    options = OPTIONS | {"paths": {"openapi": [str(folder / "openapi.d.ts")]}}
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "include": [f"{page}/**/*"]}))
    command = [tools.folder / "node_modules" / ".bin" / "tsc", "--project", folder, "--pretty", "false"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
    return found.stdout + found.stderr


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        found = faults(FOLDER, Path(name), openapi_document())
    sys.stdout.write(found)
    sys.exit(bool(found))
