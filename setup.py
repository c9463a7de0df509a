"""Copy the migrations into a wheel, beside the code that runs them. All other settings are in pyproject.toml.

They stay in the root folder of the repository, where `alembic` looks for them. As a top-level package of a wheel, their
folder would have the name of the package alembic.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithMigrations(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:  # then the code finds the folder of the repository
            return
        target = Path(self.build_lib, "app/core/database/migration_scripts")
        shutil.copytree("alembic", target / "alembic", ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        shutil.copy("alembic.ini", target)


setup(cmdclass={"build_py": BuildWithMigrations})
