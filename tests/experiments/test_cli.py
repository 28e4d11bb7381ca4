from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import records
from commands import complaints
from paths import ROOT, SUPPORT

from experiments import record, studies
from experiments.__main__ import main
from experiments.sweep import sweep as sweeps
from scaling.common import plugins

VERBS = plugins.names("experiments.cli")
PATHS = os.pathsep.join(map(str, (ROOT, SUPPORT)))

# What `windtunnel` does, in a process that must not import JAX: its workers do.
WITHOUT_JAX = """
import sys
from experiments.__main__ import main
if __name__ == "__main__":
    code = main(sys.argv[1:])
    assert "jax" not in sys.modules, "the parent process imported JAX"
    sys.exit(code)
"""


@pytest.fixture
def call(study_file, cache, tmp_path, capsys):
    """Run a command line on the study; gives (exit code, stdout, stderr)."""

    def call(verb: str, *arguments: str, study: str = study_file):
        places = (
            () if verb == "describe" else ("--out", str(tmp_path / "out"), "--cache", str(cache))
        )
        code = main([verb, study, *places, *arguments])
        return code, *capsys.readouterr()

    return call


KIND = re.compile(r"  (run|search)  +\w")  # of a study, after its name


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": PATHS}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def error(captured) -> str:
    """The one line of a mistake, the last of all."""
    code, _, err = captured
    assert code == 2
    assert [line.startswith("error: ") for line in err.splitlines()][-2:] in ([True], [False, True])
    assert "Traceback" not in err
    return err.splitlines()[-1]


def test_help_reads_well_and_has_examples(capsys):
    for verb in ([], *([name] for name in VERBS)):
        with pytest.raises(SystemExit) as ended:
            main([*verb, "--help"])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        assert "example" in text
        assert text.startswith(f"usage: windtunnel {' '.join(verb)}".strip())
        assert len(text.splitlines()) < 45


def test_list_names_every_study_and_search_with_its_question(capsys):
    assert main(["list"]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        *([name, "run"] for name in studies.files(studies.STUDY)),
        *([name, "search"] for name in studies.files(studies.SEARCH)),
    ]
    assert all(re.search(r"[?.]( |$)", line) for line in lines)
    assert len({found.start(1) for line in lines if (found := KIND.search(line))}) == 1, "aligned"
    assert lines[0].endswith(" scale tasks tokens seed")


def test_list_names_every_part_with_its_source_and_settings(capsys):
    assert main(["list", "--parts", "--json"]) == 0
    rows = {(row["kind"], row["name"]): row for row in json.loads(capsys.readouterr().out)["parts"]}
    assert rows["mixer", "gated_delta"]["settings"]["beta"] == 1
    assert rows["mixer", "attention"]["kernels"]["gpu"] == ["cudnn", "ring", "xla"]
    assert {("feed-forward", "experts"), ("router", "top_k")} <= rows.keys()
    assert all(row["source"] for row in rows.values())


def test_list_names_every_source_with_its_size_or_settings(capsys):
    assert main(["list", "--data", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["sources"]}
    assert rows["metadata"]["size"] > 1e6
    assert rows["files"]["size"] is None
    assert rows["khop"]["usage"].startswith("a generator; data.path=nodes=8&hops=4&")
    assert all(row["usage"] and row["text"].endswith(".") for row in rows.values())


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run"], ["run", "quickstart", "--part", "x"]])
def test_malformed_command_line_exits_with_2(arguments, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "see windtunnel" in said
    assert said.count("\n") == 1


def test_mistakes_are_one_line_and_exit_with_2(call, tmp_path):
    assert "did you mean 'quickstart'?" in error(call("run", study="quikstart"))
    assert "did you mean 'model.width'?" in error(call("run", "--set", "model.widht=3"))
    assert "expected int" in error(call("run", "--set", "seed=two"))
    assert "write it as name=value" in error(call("status", "--set", "seed"))
    assert "--workers 0: must be at least 1" in error(call("run", "--workers", "0"))
    assert "no such study file" in error(call("run", study="nowhere.py"))
    assert "no prediction for" in error(call("run", "--part", "held_out"))
    place = "--out gs://bucket/x: a URL; name a place of this machine"
    assert place in error(call("run", "--out", "gs://bucket/x"))
    assert "--part 'held': did you mean 'held_out'?" in error(call("run", "--part", "held"))
    assert "declare data.epochs=" in error(call("run", "--set", "budget.tokens=1e6"))
    assert "the study has rungs [0, 1]" in error(call("describe", "--rung", "5"))
    cudnn = ("--set", "execution.program.attention=cudnn")
    assert "attention=cudnn: needs a GPU" in error(call("run", *cudnn))
    assert "attention=cudnn: needs a GPU" in error(call("run", *cudnn, "--dry-run"))
    broken = tmp_path / "broken.py"
    broken.write_text("def study(:\n")
    assert f"{broken}:1: invalid syntax" in error(call("run", study=str(broken)))
    broken.write_text("")
    assert "defines no function 'study'" in error(call("run", study=str(broken)))
    assert not (tmp_path / "out").exists(), "what is refused leaves no folder behind"


def test_part_that_a_study_does_not_have_is_a_mistake(call, tmp_path, texts):
    path = tmp_path / "fit_only.py"
    path.write_text(
        "from dataclasses import replace\nimport tiny\nfrom experiments.record import StudyPart\n"
        f"def study():\n    s = tiny.study({str(texts)!r})\n"
        "    return replace(s, runs=s.part(StudyPart.FIT))\n"
    )
    found = call("run", "--part", "held_out", study=str(path))
    assert "--part held_out: the study 'tiny' has no such runs" in found[2].splitlines()[-1]
    assert found[0] == 2


def test_dry_run_prints_every_run_and_writes_nothing(call, tmp_path):
    code, out, _ = call("run", "--dry-run")
    assert code == 0
    assert not (tmp_path / "out").exists()
    lines = out.splitlines()
    assert lines[0] == "How?"
    assert "60 documents" in lines[1]
    assert sum("planned" in line for line in lines) == 4
    assert sum(" held_out " in line for line in lines) == 1
    assert sum(line.startswith("4 runs, ") for line in lines) == 1
    planned = [line.split() for line in lines if line.endswith("planned")]
    assert [cells[-4:] for cells in planned] == [["kB", "1", "-", "planned"]] * 4
    assert lines[-1] == "4 runs are like none that was timed here yet"


def test_a_study_is_its_file_or_the_folder_of_its_runs(study_file, call, cache, tmp_path):
    """The folder of a study of one's own brings its file and settings."""
    out = tmp_path / "out"
    sweeps.write_study(sweeps.bind(studies.load(study_file, ["seed=3"]), out, cache))
    by_file = call("status", "--set", "seed=3")
    assert by_file[0] == 0 and by_file == call("status", study=str(out))
    assert by_file != call("status")  # other runs
    again = call("status", "--set", "seed=4")
    assert again == call("status", "--set", "seed=4", study=str(out))  # in place of the folder's
    seen = call("describe", "--set", "seed=3")
    assert seen[0] == 0 and seen == call("describe", study=str(out))
    assert "no such folder" in error(call("status", study=str(out / "mine")))


def test_status_follows_the_files(call, tmp_path):
    assert call("status")[0] == 0  # a held-out run without a prediction is none to mend
    run_ids = [line.split()[0] for line in call("status")[1].splitlines()[1:-1]]
    assert len(run_ids) == 4
    record.write(tmp_path / "out" / run_ids[0], records.run_record())
    record.write(tmp_path / "out" / run_ids[1], records.run_summary())
    row = record.MetricsRow(step=25, tokens=9, metrics={"valid_loss": 2.125})
    record.append_rows(tmp_path / "out" / run_ids[0] / record.METRICS, [row])
    head, first, *_ = call("status", "--watch")[1].splitlines()  # no run is running: no wait
    assert head.split()[-5:] == ["lr", "done", "train_loss", "valid_loss", "status"]
    assert first.split()[-4:] == ["50%", "-", "2.1250", "stale"]
    stands = [line.split()[-1] for line in call("status")[1].splitlines()[1:-1]]
    assert stands == ["stale", "done", "planned", "planned"]
    summary = tmp_path / "out" / run_ids[1] / record.SUMMARY
    summary.write_bytes(summary.read_bytes().replace(b"completed", b"complexed"))
    *table, _, remark = call("status")[1].splitlines()
    assert [line.split()[-1] for line in table[1:]] == ["stale", "damaged", "planned", "planned"]
    assert remark.startswith(f"{run_ids[1]}: {record.SUMMARY}: $.status: ")
    assert remark.endswith(": `run` mends it")
    summary.write_text('{"schema": 5}')
    found = call("status")
    assert "record schema 5" in error(found)
    assert found[1] == ""


def test_describe_shows_the_experts(call):
    layout = ("--set", "execution.layout.name=expert", "--set", "execution.layout.expert=2")
    code, out, _ = call("describe", "--set", "model.experts=4", *layout)
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert "(4, 16, 32)" in rows["blocks[0]/mlp/experts/in"]
    assert rows["blocks[0]/mlp/experts/in"].endswith("e,d->f  e:expert")
    assert " router " in rows["blocks[0]/mlp/router"]
    total, active = (
        int(rows[name].split()[1].replace(",", "")) for name in ("params_total", "params_active")
    )
    assert total - active == 2 * 2 * 16 * 32  # two of four experts of two matrices
    model, traced = (
        int(rows[name].split()[1].replace(",", "")) for name in ("flops_model", "flops_traced")
    )
    assert traced > model  # empty slots of experts
    # of two experts and the router
    assert rows["experts"].split() == ["experts", "4,160", f"{2 * (2 * 1024 + 64):,}", "0"]
    assert "--label moe: there is none" in error(call("describe", "--label", "moe"))


def test_describe_shows_every_parameter_and_every_count(call):
    code, out, _ = call("describe", "--set", "parametrization.name=mup")
    assert code == 0
    parameters = [line for line in out.splitlines() if " hidden " in line or " query " in line]
    assert {line.split()[0] for line in parameters} == {
        f"blocks[0]/{name}"
        for name in (
            "attention/query",
            "attention/key",
            "attention/value",
            "attention/out",
            "mlp/in",
            "mlp/out",
        )
    }
    header = next(line for line in out.splitlines() if line.startswith("parameter "))
    for name in ("role", "shape", "params", "init std", "mult", "lr factor", "wd", "eps"):
        assert f" {name} " in header
    row = next(line for line in parameters if "mlp/in" in line).split()
    assert row[1:] == [
        "hidden",
        "(16,",
        "32)",
        "512",
        "0.25",
        "1",
        "4",
        "0.004",
        "0.025",
        "4e-08",
        "d->f",
        "whole",
    ]
    assert "params_nonembedding" in out
    assert "6,192" in out
    counts = dict(line.split() for line in out.splitlines() if line.startswith("flops_"))
    assert counts["flops_traced"] == counts["flops_model"]
    assert "flops_chinchilla" in out


def test_failed_run_is_told_with_its_reason(call, monkeypatch):
    def fail(sweep, jobs, launcher, watch):
        for job in jobs:
            summary = records.run_summary(status="failed", message="out of memory")
            record.write(job.folder, summary)

    monkeypatch.setattr(sweeps, "train", fail)
    code, out, _ = call("run")
    assert code == record.AGAIN
    assert "3 failed" in out
    assert out.count("summary.json: out of memory") == 3
    assert "the same command continues" in out


def test_interrupt_before_anything_is_trained_exits_with_75(call, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps, "bind", interrupt)
    code, _, err = call("run")
    assert code == record.AGAIN
    assert err.count("\n") == 1


def test_reader_that_leaves_early_is_no_error():
    command = f"'{sys.executable}' -m experiments describe quickstart"
    shell = f"{command} | head -n 1; echo ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONPATH": PATHS}
    done = subprocess.run(
        ["bash", "-c", shell], env=environment, capture_output=True, text=True, check=True
    )
    assert complaints(done.stderr) == []
    assert done.stdout.splitlines()[-1] == "0"


def test_only_workers_import_jax(study_file, search_file, cache, tmp_path):
    script = tmp_path / "without_jax.py"
    script.write_text(WITHOUT_JAX)
    places = ("--out", str(tmp_path / "out"), "--cache", str(cache))
    for arguments in (
        ["list"],
        ["status", study_file, *places],
        ["run", study_file, *places, "--dry-run"],
        ["search", search_file, *places, "--dry-run"],
    ):
        done = python(str(script), *arguments)
        assert done.returncode == 0, done.stderr
        assert complaints(done.stderr) == []


def test_help_imports_nothing_heavy():
    done = python("-X", "importtime", "-m", "experiments", "--help")
    assert done.returncode == 0
    for heavy in ("numpy", "jax", "rich", "grain", "tensorstore"):
        assert f" {heavy}\n" not in done.stderr, heavy


@pytest.mark.slow  # of a worker: tests/crash/test_stop.py
def test_terminated_run_exits_with_75_and_the_same_command_finishes_it(study_file, cache, tmp_path):
    """SIGTERM as a launcher sends it, to a real process with real workers."""
    script = tmp_path / "without_jax.py"
    script.write_text(WITHOUT_JAX)
    out = tmp_path / "out"
    budget = ("--set", "budget.tokens=128000", "--set", "data.epochs=10")
    command = [str(script), "run", study_file, "--out", str(out), "--cache", str(cache), *budget]
    environment = {**os.environ, "PYTHONPATH": PATHS}
    process = subprocess.Popen(
        [sys.executable, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any(file.stat().st_size for file in out.glob("*/metrics.jsonl")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == record.AGAIN, stderr
    assert "the same command continues from the last checkpoints" in stdout
    assert "Traceback" not in stderr
    started = {file.parent.name for file in out.glob("*/metrics.jsonl")}
    assert started
    assert not list(out.glob("*/summary.json"))

    done = python(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "3 completed"
    for run_id in started:
        found = record.read_rows(out / run_id / record.METRICS)
        rows = [(row.step, "valid_loss" in row.metrics) for row in found]
        assert rows == sorted(set(rows))  # of one step, a row of training and one of validation
        assert rows[-2:] == [(2000, False), (2000, True)]
    lines = done.stderr.splitlines()
    assert "60 documents" in lines[0]
    assert lines[-1].endswith("[3/3 runs, 0:00 left]")
    assert all("runs, " in line for line in lines[1:]), "something else reached the terminal"
    assert python(*command).stdout.splitlines()[-1] == "3 completed"


# A stop signal while the command's first module is imported, and inside an `exec`
STOPPED_AT = {
    "import": """
        class Finder:
            def find_spec(name, *_):
                if name == "scaling.common.command_line":
                    os.kill(os.getpid(), NUMBER)
        sys.meta_path.insert(0, Finder)
    """,
    "exec": """
        from experiments.cli import list as command
        command.run = lambda options: exec("os.kill(os.getpid(), NUMBER)")
    """,
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("point", STOPPED_AT)
def test_stop_signal_ends_a_command_with_75_wherever_it_comes(point, number):
    code = textwrap.dedent(STOPPED_AT[point]).replace("NUMBER", str(int(number)))
    program = f"import os, runpy, sys\nsys.argv = ['experiments', 'list']\n{code}"
    program += "runpy.run_module('experiments', run_name='__main__')"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.returncode == 75
    assert found.stderr == "stopped; give the same command again\n"
