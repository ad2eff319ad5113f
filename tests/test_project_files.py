"""What a contributor, a citation manager and the continuous integration read is valid and names what there is."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import dermdata
from conftest import REPOSITORY
from dermdata.urls import HOMEPAGE

SCHEMAS = {
    "vendor.citation-file-format": ["CITATION.cff"],
    "vendor.github-workflows": [
        ".github/workflows/ci.yml",
        ".github/workflows/live-check.yml",
        ".github/workflows/release.yml",
    ],
    "custom.github-workflows-require-timeout": [
        ".github/workflows/ci.yml",
        ".github/workflows/live-check.yml",
    ],
    "vendor.github-issue-forms": [".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/dataset.yml"],
    "vendor.github-issue-config": [".github/ISSUE_TEMPLATE/config.yml"],
}


def text_of(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def read(name: str) -> Any:
    return yaml.safe_load(text_of(name))


def project() -> Any:
    return tomllib.loads(text_of("pyproject.toml"))["project"]


def judge(capsys: pytest.CaptureFixture[str], schema: str, paths: list[Path]) -> tuple[int, str]:
    """The exit code of check-jsonschema, and what it says; in this process, which imports it once for all schemas."""
    from check_jsonschema import main

    with pytest.raises(SystemExit) as ended:
        main(["--builtin-schema", schema, "--force-filetype", "yaml", *map(str, paths)])
    return int(ended.value.code or 0), "".join(capsys.readouterr())


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_file_is_valid(schema: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the schema that its reader publishes."""
    code, told = judge(capsys, schema, [REPOSITORY / name for name in SCHEMAS[schema]])
    assert code == 0, told


def test_a_file_that_is_not_valid_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A citation file without authors."""
    bad = tmp_path / "CITATION.cff"
    bad.write_text(re.sub(r"authors:\n.*\n", "", text_of("CITATION.cff")), encoding="utf-8")
    code, told = judge(capsys, "vendor.citation-file-format", [bad])
    assert code == 1
    assert "'authors' is a required property" in told


def test_every_file_of_github_has_its_schema() -> None:
    found = {str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob(".github/**/*.yml")}
    assert found == {name for names in SCHEMAS.values() for name in names} - {"CITATION.cff"}


# ------------------------------------------------------------------ one fact, one answer


def test_the_citation_says_what_the_package_says() -> None:
    cited = read("CITATION.cff")
    assert cited["version"] == dermdata.__version__
    assert cited["license"] == project()["license"]
    assert cited["authors"] == project()["authors"]
    assert cited["keywords"] == project()["keywords"]
    assert cited["repository-code"] == project()["urls"]["Source"]


def test_the_index_gets_its_addresses() -> None:
    assert project()["urls"]["Homepage"] == HOMEPAGE  # what hosts are told
    assert set(project()["urls"]) == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}


def test_the_changelog_has_the_form_that_it_names() -> None:
    """Unreleased first, then versions with their dates, the newest first; known kinds of change; an address each."""
    page = text_of("CHANGELOG.md")
    versions = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    dated = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d", one) for one in versions[1:]]
    numbers = [tuple(map(int, one.groups())) for one in dated if one]
    assert len(numbers) == len(dated)
    assert numbers == sorted(set(numbers), reverse=True)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", page, re.MULTILINE)) <= kinds
    for one in versions:
        assert f"\n{one.partition(' - ')[0]}: https://" in page


# ------------------------------------------------------------------ continuous integration


def test_every_python_that_the_package_names_is_tested() -> None:
    named = {one.rpartition(" ")[2] for one in project()["classifiers"] if re.search(r":: 3\.\d+$", one)}
    matrix = read(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert named <= set(matrix["python"])
    assert {one["os"] for one in matrix["include"]} == set(matrix["os"])


def test_the_suites_of_the_workflow_exist() -> None:
    """A folder that was renamed would end the job, but only there."""
    matrix = read(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    for suite in matrix["include"]:
        for word in suite["tests"].split():
            assert (REPOSITORY / word.removeprefix("--ignore=")).exists(), word


@pytest.mark.parametrize("name", SCHEMAS["vendor.github-workflows"])
def test_a_workflow_may_do_as_little_as_possible(name: str) -> None:
    """No right by default, none to write but those that publishing and a pull request need, and no secret at all."""
    workflow = read(name)
    assert workflow["permissions"] == {}
    assert "secrets." not in text_of(name)
    rights = {
        (job, right, level)
        for job, what in workflow["jobs"].items()
        for right, level in what.get("permissions", {}).items()
        if (right, level) != ("contents", "read")
    }
    assert rights <= {
        ("publish", "id-token", "write"),
        ("propose", "contents", "write"),
        ("propose", "pull-requests", "write"),
    }


def test_the_job_that_may_write_runs_no_code_of_ours() -> None:
    """What hosts answer is read by a job without rights; each action is a commit, not a tag that can be moved."""
    jobs = read(".github/workflows/live-check.yml")["jobs"]
    assert jobs["ask"]["permissions"] == {"contents": "read"}
    script = " ".join(step.get("run", "") for step in jobs["propose"]["steps"])
    assert not re.search(r"\b(dermdata|python|pip)\b", script)
    used = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert [one for one in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", one)] == []


@pytest.mark.parametrize("name", SCHEMAS["vendor.github-workflows"])
def test_no_step_runs_what_an_event_says(name: str) -> None:
    """`${{ … }}` inside `run` is pasted into the script before the shell reads it."""
    steps = [step for job in read(name)["jobs"].values() for step in job.get("steps", [])]
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []


# ------------------------------------------------------------------ what CONTRIBUTING.md names


def test_every_path_of_the_contributors_page_exists() -> None:
    """Those between backticks that have a slash, NAME standing for any, and those that commands are given."""
    page = text_of("CONTRIBUTING.md")
    roots = "|".join(sorted(path.name for path in REPOSITORY.iterdir() if path.is_dir()))
    paths = re.findall(rf"(?<![\w/.])(?:{re.escape('.')}?(?:{roots}))/[\w./-]*", page)
    assert len(paths) > 20
    for path in paths:
        if not path.startswith(".venv/"):
            assert list(REPOSITORY.glob(path.rstrip("/.").replace("NAME", "*"))), path


def test_every_target_of_the_contributors_page_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", text_of("CONTRIBUTING.md"), re.MULTILINE))
    assert named >= {"demo", "test", "check", "docs"}
    assert named <= targets


def test_every_tool_of_the_hooks_is_installed_for_development() -> None:
    tools = {hook["entry"].split()[0] for hook in read(".pre-commit-config.yaml")["repos"][0]["hooks"]}
    known = {".venv/bin/ruff": "ruff", ".venv/bin/mypy": "mypy", ".venv/bin/lint-imports": "import-linter"}
    assert tools == set(known)
    extra = {re.split(r"[\[><=]", one)[0] for one in project()["optional-dependencies"]["dev"]}
    assert extra >= set(known.values())
