"""The commands that the pages show are there, and take the options that they are shown with."""

import configparser
import importlib
import re
import shlex
from pathlib import Path

import pytest

from experiments import cli
from experiments.command import Parser
from experiments.config_options import override
from wsgcn_jax.settings import load_config

ROOT = Path(__file__).parents[1]
PAGES = [
    page
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if page.name != "faults.md"  # it shows wrong ones
]
BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"(?:^|\s)(?:python -m experiments\.(\w+)|wsgcn ([a-z][\w-]*)(?![\w|-]))(.*)")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
PLACEHOLDERS = ("NAME", "COMMAND")


class Parsed(Exception):
    """Options were taken; the command itself does not start."""


@pytest.fixture
def stops_after_its_options(monkeypatch):
    original = Parser.parse_known_args

    def parse(self, args=None, namespace=None):
        raise Parsed(*original(self, args, namespace))

    monkeypatch.setattr(Parser, "parse_known_args", parse)


def _shown(page):
    """Command lines of a page: those in blocks, and those in a text, which may be cut short."""
    text = page.read_text()
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.partition("  #")[0], True
    for span in SPAN.findall(BLOCK.sub("", text)):
        yield span, " --" in span


def _commands():
    for page in PAGES:
        for line, is_whole in _shown(page):
            for module, script, rest in COMMAND.findall(line):
                if (module or script) not in PLACEHOLDERS:
                    yield page.name, module, script, rest, is_whole and "..." not in rest


def _check_options(main, words):
    """Parses as the command does, and then the keys of its configuration."""
    with pytest.raises(Parsed) as parsed:
        main(words)
    options, keys = parsed.value.args
    if keys or getattr(options, "config", None):
        override(load_config(options.config or "default"), keys)


def test_commands_take_the_options_they_are_shown_with(stops_after_its_options, capsys):
    seen = set()
    for page, module, script, rest, is_whole in _commands():
        assert not script or script in cli.COMMANDS, f"{page}: wsgcn {script}"
        seen.add(name := module or script.replace("-", "_"))
        command = importlib.import_module(f"experiments.{name}")
        words = shlex.split(re.sub(r"[\[\]]", "", rest).partition("&&")[0].rstrip('"'))
        try:
            if is_whole:
                _check_options(command.main, words)
        except SystemExit:
            pytest.fail(f"{page}: {name} {rest}: {capsys.readouterr().err}")
    assert {"train", "pseudo_label", "predict", "evaluate", "benchmark", "results"} <= seen


def test_targets_and_extras_that_pages_name_are_there():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for page in PAGES:
        shown = [line for line, _ in _shown(page)]
        for line in shown:
            for target in re.findall(r"^make ([a-z][\w-]*)", line):
                assert target in targets, f"{page.name}: make {target}"
            for extras in re.findall(r"-e \"?\.\[([\w,-]+)\]", line):
                assert set(extras.split(",")) <= set(setup["options.extras_require"]), line


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in LINK.findall(page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
