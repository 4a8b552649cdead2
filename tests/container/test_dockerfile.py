"""The Dockerfile, checked piece by piece: no engine is needed for that."""

import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
BIN = Path(sys.prefix) / "bin"
# What a checkout may lack, and the Dockerfile copies only where it is there.
OPTIONAL = {"weights*"}


@dataclass(frozen=True)
class Instruction:
    stage: int
    name: str
    value: str


def read_dockerfile() -> list[Instruction]:
    """The instructions, with continued lines joined and global arguments filled in."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    instructions: list[Instruction] = []
    arguments: dict[str, str] = {}
    stage = 0
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not line.strip():
            continue
        name, _, value = line.strip().partition(" ")
        stage += name == "FROM"
        if name == "ARG" and stage == 0:
            key, _, default = value.partition("=")
            arguments[key] = default
        if name == "FROM":
            value = re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], value)
        instructions.append(Instruction(stage, name, value))
    return instructions


INSTRUCTIONS = read_dockerfile()
LAST_STAGE = max(instruction.stage for instruction in INSTRUCTIONS)
STAGE_NAMES = {
    i.value.split(" AS ")[1] for i in INSTRUCTIONS if i.name == "FROM" and " AS " in i.value
}


def values(name: str, stage: int | None = None) -> list[str]:
    return [i.value for i in INSTRUCTIONS if i.name == name and stage in (None, i.stage)]


def copied_patterns() -> list[str]:
    """What is copied from the build context, as the Dockerfile writes it."""
    found = []
    for value in values("COPY"):
        words = [word for word in shlex.split(value) if not word.startswith("--")]
        if "--from=" not in value:
            found += words[:-1]
    return found


def ignore_rules() -> list[tuple[bool, re.Pattern[str]]]:
    """The lines of .dockerignore: whether they take back, and what they match."""
    rules = []
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            keeps = pattern.startswith("!")
            rules.append((keeps, re.compile(go_pattern(pattern.removeprefix("!")))))
    return rules


def go_pattern(pattern: str) -> str:
    """Docker's patterns: `*` stays in one folder, `**/` is any depth; a folder has its content."""
    pieces = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*|\?|\[[^]]*\])", pattern)
    expression = (pieces.get(p, p if p.startswith("[") else re.escape(p)) for p in parts)
    return "".join(expression) + r"(?:/.*)?"


def is_sent(path: str) -> bool:
    """Whether the builder gets a file. As in Docker, the last rule that matches decides."""
    sent = True
    for keeps, pattern in ignore_rules():
        if pattern.fullmatch(path):
            sent = keeps
    return sent


def context_files(pattern: str) -> list[str]:
    """The files of the checkout below a pattern of COPY."""
    found = []
    for top in ROOT.glob(pattern):
        paths = [top] if top.is_file() else [p for p in top.rglob("*") if p.is_file()]
        found += [str(path.relative_to(ROOT)) for path in paths]
    return found


def tracked(pattern: str) -> list[str]:
    """As `context_files`, without what no checkout has: caches."""
    local = re.compile(r"(^|/)(__pycache__|\.[^/]+|[^/]+\.egg-info)(/|$)")
    return [path for path in context_files(pattern) if not local.search(path)]


def replay(command: str, folder: Path) -> Path:
    """The folder that a RUN of the first stage finds: what was copied in the lines above it."""
    for instruction in INSTRUCTIONS:
        if instruction.name == "RUN" and command in instruction.value:
            return folder
        if instruction.stage == 1 and instruction.name == "COPY":
            copy(instruction.value, folder)
    raise AssertionError(f"no RUN has {command}")


def copy(value: str, folder: Path) -> None:
    """One COPY from the build context: files keep their names, folders give their content."""
    *sources, target = shlex.split(value)
    for pattern in sources:
        for top in ROOT.glob(pattern):
            for path in filter(is_sent, context_files(str(top.relative_to(ROOT)))):
                inner = Path(path).relative_to(top.relative_to(ROOT)) if top.is_dir() else top.name
                copied = folder / target / inner
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, copied)


@pytest.fixture(scope="module")
def build_context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the export of the model finds."""
    return replay("rvm-export export", tmp_path_factory.mktemp("context"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of nothing but what is copied before it is built."""
    source = replay("pip wheel", tmp_path_factory.mktemp("source"))
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*command, "--wheel-dir", folder, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("rvm_triton-*.whl")
    return built


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        [BIN / "hadolint", "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_every_ignored_rule_has_a_reason() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    for before, line in itertools.pairwise(lines):
        if "hadolint ignore" in line:
            assert re.match(r"# \w+ .{30,}", before), f"no reason above {line!r}"


@pytest.mark.parametrize("pattern", sorted({*copied_patterns()} - OPTIONAL))
def test_what_is_copied_exists_and_is_sent(pattern: str) -> None:
    files = tracked(pattern)
    assert files
    assert [path for path in files if not is_sent(path)] == []


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".git/config",
        "tests/container/test_dockerfile.py",
        "client/rvm_client/__pycache__/cli.cpython-312.pyc",
        "model_repository/rvm_mobilenetv3/1/model.pt",
        "scripts/demo",
        "out/demo.webm",
    ],
)
def test_the_builder_is_not_sent(path: str) -> None:
    assert not is_sent(path)


def test_a_file_of_weights_is_sent() -> None:
    assert is_sent("weights/rvm_mobilenetv3.pth")


def test_base_images_are_pinned() -> None:
    for value in values("FROM"):
        image = value.split(" AS ")[0]
        if image not in STAGE_NAMES:
            assert re.search(r":\d+\.\d+[\w.-]*$", image), image
            assert "latest" not in image


def test_copies_from_stages_that_there_are() -> None:
    for value in values("COPY"):
        for stage in re.findall(r"--from=(\S+)", value):
            assert stage in STAGE_NAMES


def test_runs_as_one_user_that_is_not_root() -> None:
    (user,) = values("USER", LAST_STAGE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_no_torch_and_no_compiler_beside_the_server() -> None:
    for instruction in INSTRUCTIONS:
        if instruction.stage > 1 and instruction.name == "RUN":
            assert not re.search(
                r"torch|export\]|embedded|apt-get|gcc|build-essential", instruction.value
            )
            assert "--only-binary=:all:" in instruction.value


def test_torch_is_no_newer_than_the_servers() -> None:
    (argument,) = [value for value in values("ARG", 1) if value.startswith("TORCH_VERSION=")]
    version = tuple(map(int, argument.partition("=")[2].split(".")))
    # LibTorch 2.8.0a0 of Triton 25.07 is older than PyTorch 2.8.0.
    assert any("tritonserver:25.07-pyt-python-py3" in value for value in values("FROM"))
    assert (2, 6) <= version < (2, 8)


def test_what_is_installed_beside_the_server_has_hashes() -> None:
    (run,) = [value for value in values("RUN") if "venv --without-pip" in value]
    installed = [part for part in run.split(" && ") if " install " in part]
    assert len(installed) == 2
    assert "--require-hashes --requirement /wheels/requirements-worker.txt" in installed[0]
    assert re.search(r"--no-deps +/wheels/rvm_triton-\*\.whl", installed[1])


def test_the_worker_is_pinned_by_hashes_and_within_the_projects_ranges(wheel: Path) -> None:
    text = (ROOT / "requirements-worker.txt").read_text()
    assert "://" not in text
    pins = re.sub(r"^#.*\n|\\\n", "", text, flags=re.MULTILINE).splitlines()
    versions = {}
    for pin in pins:
        pinned, *hashes = pin.split()
        assert hashes
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", given) for given in hashes)
        parsed = Requirement(pinned)
        (specifier,) = parsed.specifier
        assert specifier.operator == "=="
        versions[canonicalize_name(parsed.name)] = specifier.version
    assert not {"torch", "nvidia-pytriton"} & versions.keys()
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        text = archive.read(metadata).decode()
    needed = [Requirement(found) for found in re.findall(r"^Requires-Dist: (.+)$", text, re.M)]
    wanted = [
        r
        for r in needed
        if not r.marker or any(r.marker.evaluate({"extra": extra}) for extra in ("worker", "web"))
    ]
    assert len(wanted) > 10
    for requirement in wanted:
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_wheel_has_what_the_container_runs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = archive.read(
            next(name for name in names if name.endswith("entry_points.txt"))
        ).decode()
    assert {"rvm_client/worker/handler.py", "rvm_client/server/guard.py"} <= names
    assert "rvm_client/web/static/stacked-alpha-video.js" in names
    assert "rvm-serve" in entry_points
    for model in ("rvm_mobilenetv3", "rvm_mobilenetv3_yuv"):
        assert f"rvm_export/data/{model}/config.pbtxt" in names
        assert f"rvm_export/data/{model}/warmup/downsample_ratio_0.25" in names


def test_the_export_runs_from_the_build_context(build_context: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(build_context / 'export')!r})\n"
        "import rvm_export.cli\n"
        "rvm_export.cli.main(['export', '--help'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=build_context
    )
    assert done.returncode == 0, done.stderr
    for model in ("rvm_mobilenetv3", "rvm_mobilenetv3_yuv"):
        packaged = build_context / "export" / "rvm_export" / "data" / model
        assert {path.name for path in packaged.iterdir()} == {"config.pbtxt", "warmup"}
    run = next(value for value in values("RUN", 1) if value.startswith("rvm-export"))
    for option in re.findall(r"--[a-z0-9-]+", run):
        assert option in done.stdout


@pytest.mark.parametrize(
    ("chosen", "weights"),
    [
        ("", None),
        ("official", ["--weights", "official"]),
        ("my_own.pth", ["--weights", "official", "--checkpoint", "weights/my_own.pth"]),
    ],
)
def test_the_second_network_is_made_where_it_is_asked_for(
    tmp_path: Path, chosen: str, weights: list[str] | None
) -> None:
    """The line itself; a program in place of `rvm-export` says what it was called with."""
    program = tmp_path / "rvm-export"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    (line,) = (value for value in values("RUN", 1) if "resnet50" in value)
    environment = {"PATH": f"{tmp_path}:/bin:/usr/bin", "RESNET50": chosen, "PRECISION": "fp16"}
    done = subprocess.run(
        ["sh", "-c", line], env=environment, capture_output=True, text=True, check=True
    )
    arguments = done.stdout.split()
    assert arguments[:3] == ([] if weights is None else ["export", "--variant", "resnet50"])
    assert weights is None or arguments[-len(weights) :] == weights


def test_starts_the_worker_and_checks_triton(wheel: Path) -> None:
    (command,) = values("CMD", LAST_STAGE)
    program, option, module = json.loads(command)
    assert (program, option) == ("python", "-m")
    with zipfile.ZipFile(wheel) as archive:
        assert f"{module.replace('.', '/')}/__main__.py" in archive.namelist()
    (check,) = values("HEALTHCHECK", LAST_STAGE)
    assert "/v2/health/ready" in check
    for variable in re.findall(r"\$\{(\w+)\}", check):
        assert f"{variable}=" in " ".join(values("ENV", LAST_STAGE))
    # The shell that the check needs must be able to read it.
    shell = json.loads(check[check.index("[") :])
    assert subprocess.run([shell[0], "-n", shell[1], shell[2]]).returncode == 0


def test_the_ports_of_the_image_are_those_that_it_exposes() -> None:
    settings = " ".join(values("ENV", LAST_STAGE))
    (exposed,) = values("EXPOSE", LAST_STAGE)
    assert set(re.findall(r"_PORT=(\d+)", settings)) == set(exposed.split())


def test_no_library_may_round_float32() -> None:
    assert "NVIDIA_TF32_OVERRIDE=0" in " ".join(values("ENV", LAST_STAGE)).split()


def test_triton_gives_up_before_runpod_does() -> None:
    settings = " ".join(values("ENV", LAST_STAGE))
    limits = [
        int(re.findall(rf"{name}=(\d+)", settings)[0])
        for name in ("RVM_SERVER_READY_TIMEOUT_S", "RUNPOD_INIT_TIMEOUT")
    ]
    # What comes before and after Triton's start takes its time, too.
    assert limits[0] + 120 <= limits[1]


def test_asks_for_the_video_engines_of_the_gpu() -> None:
    settings = " ".join(values("ENV", LAST_STAGE))
    (capabilities,) = re.findall(r"NVIDIA_DRIVER_CAPABILITIES=(\S+)", settings)
    assert {"compute", "utility", "video"} <= set(capabilities.split(","))


def test_says_that_the_weights_are_gpl() -> None:
    labels = " ".join(values("LABEL", LAST_STAGE))
    assert "org.opencontainers.image.licenses" in labels
    assert "GPL-3.0" in labels
    assert "RUNPOD_INIT_TIMEOUT=" in " ".join(values("ENV", LAST_STAGE))
