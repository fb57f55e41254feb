"""What `make local` prints when its account is ready."""

from local_aws.tools.lifecycle import NEXT_COMMANDS, announcement

EXPORTS = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_DEFAULT_REGION": "us-east-1"}


def test_make_local_says_that_its_account_is_lost_and_what_to_try_next() -> None:
    text = announcement(EXPORTS, None, develop=True)

    assert "The account is lost when this process ends." in text
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:4566\nexport AWS_DEFAULT_REGION=us-east-1" in text
    assert ".venv/bin/latchkey init mediatailor\n.venv/bin/latchkey status\n" in text
    assert text.index("The account is lost") < text.index("export ") < text.index(NEXT_COMMANDS[0])


def test_an_account_for_tests_ends_with_the_exports() -> None:
    lines = announcement(EXPORTS, None, develop=False).splitlines()

    assert lines == ["local AWS ready", *(f"export {name}={value}" for name, value in EXPORTS.items())]


def test_what_sam_cli_lacks_is_named() -> None:
    assert "Start Docker" in announcement(EXPORTS, "Start Docker", develop=True)
