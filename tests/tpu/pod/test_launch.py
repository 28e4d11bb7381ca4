"""The exact text of every launch, and what is refused before anything is rented."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT

from tpu.__main__ import main

Golden = Callable[[str, Any], None]

PLACE = ["--project", "my-project", "--zone", "us-east5-a", "--bucket", "gs://my-bucket/studies"]
NFS = ["--shared", "10.0.0.2:/records"]
GKE = ["--cluster", "my-cluster", "--image", "us-docker.pkg.dev/my-project/my-repo/windtunnel:1"]
LAUNCHES = {
    "launch_vm": ["vm", "quickstart", "--accelerator", "v6e-8"],
    "launch_queued": [
        *("queued", "lr_transfer", "--accelerator", "v5litepod-16", *NFS, "--spot"),
        *("--set", "scale=gpu", "--set", "optimizer.beta2=0.9, 0.99", "--part", "held_out"),
        *("--service-account", "runs@my-project.iam.gserviceaccount.com"),
    ],
    "launch_shape": ["queued", "isoflop", "--accelerator", "v5p:4x4x16", *NFS, "--name", "big"],
    "launch_gke": ["gke", "isoflop", "--accelerator", "v5p-128", *NFS, *GKE],
}
VERBS = ("state", "logs", "fetch", "delete")


def _text(capsys: pytest.CaptureFixture[str], verb: str, words: list[str]) -> list[str]:
    assert main([verb, *words, *PLACE, "--dry-run"]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def _studies_are_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies and their settings are tested with the studies."""
    monkeypatch.setattr("experiments.studies.load", lambda name, assignments: None)


@pytest.mark.parametrize("name", LAUNCHES)
def test_the_text_of_a_launch(
    name: str, golden: Golden, capsys: pytest.CaptureFixture[str]
) -> None:
    golden(name, _text(capsys, "launch", LAUNCHES[name]))


def test_the_text_of_what_follows(golden: Golden, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = ["--cluster", "my-cluster"]
    kinds = {"vm": [], "queued": [], "gke": cluster}
    golden(
        "launch_verbs",
        {
            f"{verb} {kind}": _text(capsys, verb, [kind, "lr_transfer", *more])
            for verb in VERBS
            for kind, more in kinds.items()
        },
    )


def test_what_a_host_runs_survives_both_shells(capsys: pytest.CaptureFixture[str]) -> None:
    """The metadata entry, parted as gcloud parts it, is again the words that were given."""
    *_, create = _text(capsys, "launch", LAUNCHES["launch_queued"])
    (metadata,) = (w for w in shlex.split(create) if w.startswith("--metadata="))
    _, mark, text = metadata.split("^")
    entries = dict(entry.split("=", 1) for entry in text.split(mark))
    assert entries["windtunnel-folder"] == "gs://my-bucket/studies/lr_transfer"
    assert entries["windtunnel-shared"] == "10.0.0.2:/records"
    assert shlex.split(entries["windtunnel-host"]) == [
        *("gs://my-bucket/studies/lr_transfer", "--shared", "/shared", "--", "lr_transfer"),
        *("--set", "scale=gpu", "--set", "optimizer.beta2=0.9, 0.99", "--part", "held_out"),
    ]


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["vm", "quickstart", "--accelerator", "v9-8"], "no TPU is called 'v9'"),
        (["vm", "quickstart", "--accelerator", "v6e-8", "--bucket", "my-bucket"], "gs://BUCKET"),
        (["vm", "quickstart", "--accelerator", "v6e-8", "--bucket", "gs://"], "gs://BUCKET"),
        (["vm", "quickstart", "--accelerator", "v6e-8", "--zone", "us-east5"], "us-east5-a"),
        (["vm", "quickstart", "--accelerator", "v6e-8", "--name", "Mine"], "small letters"),
        (["vm", "quickstart", "--accelerator", "v6e-16", *NFS], "rent a slice by queued or gke"),
        (["queued", "quickstart", "--accelerator", "v6e-16"], "--shared SERVER:/SHARE"),
        (["queued", "quickstart", "--accelerator", "v6e-16", "--shared", "here"], "10.0.0.2:/"),
        (["queued", "quickstart", "--accelerator", "tpu7x-8"], "of gke alone"),
        (["queued", "quickstart", "--accelerator", "v6e-8", "--image", "i"], "of gke alone"),
        (["vm", "quickstart", "--accelerator", "v6e-8", "--cluster", "c"], "of gke alone"),
        (["gke", "quickstart", "--accelerator", "v6e-8", "--image", "i"], "--cluster"),
        (["gke", "quickstart", "--accelerator", "v6e-8", "--cluster", "c"], "--image"),
        (["gke", "quickstart", "--accelerator", "v6e-8", *GKE, "--spot"], "node pools"),
        (["vm", "/tmp/mine.py", "--accelerator", "v6e-8"], "top of the repository"),
    ],
)
def test_bad_input(words: list[str], remedy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The last of two values counts, so each case replaces one that is right."""
    assert main(["launch", *PLACE, *words, "--dry-run"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert remedy in err
    assert err.count("\n") == 1


def test_a_missing_bucket_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["launch", "vm", "quickstart", "--accelerator", "v6e-8", *PLACE[:4]]) == 2
    assert "--bucket" in capsys.readouterr().err


def _programs(folder: Path, monkeypatch: pytest.MonkeyPatch, gcloud: str) -> None:
    """A PATH with git and a gcloud of our own."""
    script = folder / "gcloud"
    script.write_text(f"#!/bin/sh\n{gcloud}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_command_that_fails_is_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _programs(tmp_path, monkeypatch, 'echo "ran $3"; [ "$2" = storage ] || exit 3')
    words = ["vm", "quickstart", *PLACE]
    assert main(["delete", *words]) == 3
    assert "ran tpu-vm" in capfd.readouterr().out


def test_answers_as_json_hold_commands_codes_and_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _programs(tmp_path, monkeypatch, 'echo "ACTIVE {$3}"; [ "$2" = storage ] || exit 3')
    words = ["vm", "quickstart", *PLACE, "--json"]
    assert main(["state", *words, "--dry-run"]) == 0
    (planned,) = json.loads(capfd.readouterr().out)["commands"]
    assert main(["state", *words]) == 3
    (done,) = json.loads(capfd.readouterr().out)["commands"]
    assert done == {**planned, "exit_code": 3, "output": "ACTIVE {tpu-vm}\n"}
    launch = [*LAUNCHES["launch_vm"], *PLACE, "--json", "--dry-run"]
    assert main(["launch", *launch]) == 0
    assert "tpu-vm create" in json.loads(capfd.readouterr().out)["commands"][-1]["command"]


def test_without_the_programs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["state", "queued", "quickstart", *PLACE]) == 2
    assert capsys.readouterr().err.startswith("error: gcloud: not found here; install")


def test_what_is_not_committed_is_not_launched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _programs(tmp_path, monkeypatch, "exit 1")
    (tmp_path / "tpu/pod").mkdir(parents=True)
    (tmp_path / "tpu/pod/startup.sh").write_text("")
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    assert main(["launch", "vm", "quickstart", "--accelerator", "v6e-8", *PLACE]) == 2
    assert "not committed" in capsys.readouterr().err


def test_a_host_is_set_up_from_the_top_of_the_repository(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text(f"#!/bin/sh\npwd >> {tmp_path}/places\n")
    python.chmod(0o755)
    setup = ROOT / "tpu" / "pod" / "setup.sh"
    place = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["bash", setup, tmp_path / "venv"], check=True, env=place, cwd=tmp_path)
    assert set((tmp_path / "places").read_text().split()) == {str(ROOT)}
