"""Metadata of the distribution ``katcp``; the settings of the tools are in ``pyproject.toml``."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def read_version() -> str:
    """Return ``__version__`` out of the text, since an import would need the dependencies."""
    text = (HERE / "katcp" / "_version.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__\s*(?::\s*\w+\s*)?=\s*"([^"]+)"', text, re.MULTILINE)
    if match is None:
        raise RuntimeError("katcp/_version.py has no __version__")
    return match.group(1)


UVLOOP = ['uvloop>=0.19; sys_platform != "win32"']

# All that `python -bb -m pytest` needs from a checkout, and nothing from outside Python.
TEST = [
    "pytest>=8,<10",
    "pytest-tornasync>=0.6.0.post2",
    "hypothesis>=6.100",
    "aiokatcp>=2.2",
    "async-solipsism>=0.7",
    "nbclient>=0.10",
    "ipykernel>=6.29",
    "trustme>=1.1",
    "jsonschema>=4.18",
    "openapi-spec-validator>=0.7",
    "playwright>=1.45",  # drives the Chromium of the system, where there is one
    "pytest-cov>=5",
    "coverage[toml]>=7.4",
]

LINT = [
    "ruff>=0.9",
    "mypy>=1.14",
    "import-linter>=2.5",
    "codespell>=2.3",
    "types-psutil",
    "tomli>=2",  # mypy reads the code as Python 3.10 does
    "types-PyYAML",
]

# There are wheels for Linux only.
FUZZ = ['atheris>=2.3; sys_platform == "linux" and platform_machine == "x86_64"']

DOCS = [
    "sphinx>=7.3",
    "furo>=2024.8.6",
    "myst-nb>=1.1",
]

setup(
    name="katcp",
    version=read_version(),
    description="Serve, inspect and talk to devices over the control protocol KATCP",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="BSD-3-Clause",
    keywords="katcp telescope control monitoring device protocol tornado asyncio",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Framework :: AsyncIO",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Astronomy",
        "Topic :: System :: Distributed Computing",
        "Typing :: Typed",
    ],
    packages=find_packages(include=["katcp", "katcp.*"]),
    package_data={
        "katcp": ["py.typed"],
        "katcp.device_files": ["*.schema.json"],
        "katcp.snapshots": ["*.schema.json"],
        "katcp.web": ["openapi.json", "static/*", "static/vendor/*"],
    },
    python_requires=">=3.10",
    install_requires=[
        "tornado>=6.4,<7",
        "katcp-codec>=0.2",
        "future>=1.0",
        "click>=8",
        "prompt_toolkit>=3",
        "rich>=13",
        # The next one brings a kernel that is compiled when it is installed.
        "plotext>=5.2.8,<6",
        "PyYAML>=6",
        'tomli>=2; python_version < "3.11"',
        "psutil>=5.9",
        "prometheus-client>=0.20",
    ],
    extras_require={
        "uvloop": UVLOOP,
        "test": TEST,
        "lint": LINT,
        "docs": DOCS,
        "fuzz": FUZZ,
        "dev": [*UVLOOP, *TEST, *LINT, *DOCS, "pre-commit>=3.5", "pre-commit-hooks>=4.5"],
    },
    entry_points={
        "console_scripts": [
            "katcp-server = katcp.apps.server:main",
            "katcp-cli = katcp.apps.cli:main",
        ],
    },
    zip_safe=False,
)
