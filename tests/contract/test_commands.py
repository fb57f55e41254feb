"""Every command that a document shows would run: its target, subcommand, options, parameters and files exist."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.contract.artifacts import ROOT
from tests.contract.commands import check, is_mentioned, mention, shell_blocks, statements
from tests.contract.documents import CURRENT, Document

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):(?!=)", MAKEFILE, re.MULTILINE))
BLOCKS = [(block, text) for document in CURRENT for block, text in shell_blocks(document)]
SHOWN = [(f"{block}: {' '.join(words)[:60]}", words) for block, text in BLOCKS for words in statements(text)]
MENTIONED = [(document, code) for document in CURRENT for code in sorted(set(document.code)) if is_mentioned(code)]


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, socket_disabled: None) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.mark.parametrize("words", [words for _, words in SHOWN], ids=[name for name, _ in SHOWN])
def test_a_command_in_a_block_would_run(words: list[str], tmp_path: Path) -> None:
    check(words, tmp_path)


@pytest.mark.parametrize(("document", "code"), MENTIONED, ids=[f"{document}: {code[:60]}" for document, code in MENTIONED])
def test_a_command_in_a_sentence_exists(document: Document, code: str) -> None:
    mention(code)


@pytest.mark.parametrize(
    "line",
    [
        "make no-such-target",
        "make deploy NO_SUCH_VARIABLE=1",
        "sam local no-such-command",
        "sam local invoke CreateKeyFunction --no-such-option",
        "sam local invoke NoSuchFunction",
        "sam local invoke CreateKeyFunction -e events/functions/no_such_event.json",
        "sam deploy --config-env no-such-environment",
        "aws dynamodb no-such-operation",
        "aws dynamodb get-item --no-such-option value",
        "aws dynamodb get-item --table-name $TABLE",
        'aws dynamodb get-item --table-name $TABLE --key \'{"id": {"NoSuchType": "one"}}\'',
        "aws lambda invoke --function-name NAME --payload fileb://no/such/file answer.json",
        "aws sqs receive-message --queue-url $(aws sqs no-such-operation)",
        "aws cloudformation describe-stack-resource --stack-name $STACK --logical-resource-id NoSuchResource",
        "python -m local_aws.no_such_module",
        "python -m pytest tests/no_such_folder",
        "no-such-program",
        "latchkey no-such-command",
        "latchkey onboard",
        "latchkey status --no-such-option",
        "latchkey plan ACCESS --for no-such-verb",
    ],
)
def test_a_command_that_would_not_run_is_found(line: str, tmp_path: Path) -> None:
    [first, *_] = statements(line)

    with pytest.raises((AssertionError, ModuleNotFoundError)):
        check(first, tmp_path)


def test_shell_text_is_taken_apart() -> None:
    text = """
        $ make demo # don't stop
        NAME=$(aws sts get-caller-identity --query 'Account') && sam build \\
            --config-env local > out.txt 2>&1
        cat <<'END'
        make nothing
END
        echo "two
        lines"; FOO=bar make test | less
    """.replace("        ", "")

    assert [*statements(text)] == [
        ["aws", "sts", "get-caller-identity", "--query", "Account"],
        ["make", "demo"],
        ["sam", "build", "--config-env", "local"],
        ["cat"],
        ["echo", "two\nlines"],
        ["make", "test"],
        ["less"],
    ]


def test_what_ci_runs_are_targets() -> None:
    run = set(re.findall(r"^\s*(?:\S+\) )?make ([a-z-]+)", (ROOT / ".ci/run").read_text(), re.MULTILINE))

    assert {"lint", "test"} <= run <= TARGETS


def test_every_target_without_a_file_is_phony() -> None:
    [phony] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)

    assert set(phony.split()) == TARGETS


@pytest.mark.parametrize("arguments", [["help"], []], ids=["make help", "make"])
def test_help_lists_every_target_with_a_sentence(arguments: list[str]) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments], check=True, cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    listed = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert set(listed) == TARGETS
