"""Nothing the stand-in does is nameless, and it knows nothing of the relay."""

import ast
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import relay.demo.discord
from relay.demo.discord import PROVENANCE, Code, Form, Kind, Limits
from relay.demo.discord.codes import MESSAGES
from relay.demo.discord.provenance import BEHAVIOURS

FOLDER = Path(relay.demo.discord.__file__).parent
MODULES = sorted(FOLDER.glob("*.py"))


def named() -> set[str]:
    """Every code, limit and fault by the name the table should know it by."""
    names = {f"{family.__name__}.{member.name}" for family in (Code, Form, Kind) for member in family}
    names |= {f"Limits.{one.name}" for one in fields(Limits)}
    for module in MODULES:
        for node in ast.parse(module.read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                names |= {name} if name.startswith("MAX_") else set()
    return names


def test_every_code_limit_and_fault_says_where_it_is_known_from() -> None:
    assert set(PROVENANCE) - set(BEHAVIOURS) == named()
    assert all(origin.reference for origin in PROVENANCE.values())


def test_every_code_has_its_words() -> None:
    assert set(MESSAGES) == set(Code)


@pytest.mark.parametrize("module", [path for path in MODULES if path.name != "codes.py"], ids=lambda path: path.name)
def test_no_module_answers_with_a_number_that_has_no_name(module: Path) -> None:
    numbers = {code.value for code in Code if code}
    found = [node.value for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Constant)]
    assert not [value for value in found if type(value) is int and value in numbers]
    assert not [value for value in found if isinstance(value, str) and value in set(Form)]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_the_stand_in_imports_the_standard_library_aiohttp_and_itself(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            own = name.startswith("relay.demo.discord")
            assert own or name.split(".")[0] in sys.stdlib_module_names | {"aiohttp"}, name
