"""Commands of a launch, from the user's choices, as text; nothing runs here.

``vm`` and ``queued`` use the Cloud TPU API by gcloud: a machine at once or not at all, or a place
in a queue. The start-up script, `startup.sh`, does the rest, at every start and on each host of a
slice. It reads its part from the metadata. ``gke`` submits a JobSet to a cluster by Cluster
Toolkit's ``gcluster job submit``, which took the place of XPK; the image holds the code.

Source: docs.cloud.google.com/sdk/gcloud/reference/compute/tpus,
docs.cloud.google.com/cluster-toolkit/docs/reference/gcluster-job-submit.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tpu.aot.topologies import compact
from tpu.pod.launch import Launch, Place

Command = tuple[str, ...]

STARTUP = "tpu/pod/startup.sh"
MOUNT = "/shared"  # where the NFS share is on every host
RESTARTS = 100  # of a JobSet: each continues from the last checkpoints
GRACE = "2m"  # between a container's SIGTERM and its end, for saving


@dataclass(frozen=True)
class Rental:
    """One way to rent: the commands of each step."""

    start: Callable[[Launch], list[Command]]
    state: Callable[[Place], Command]
    logs: Callable[[Place], Command]
    delete: Callable[[Place], Command]


def start(launch: Launch) -> list[Command]:
    return KINDS[launch.place.kind].start(launch)


def state(place: Place) -> list[Command]:
    return [KINDS[place.kind].state(place)]


def logs(place: Place) -> list[Command]:
    return [KINDS[place.kind].logs(place)]


def delete(place: Place) -> list[Command]:
    """Delete the machines; the bucket keeps everything."""
    return [KINDS[place.kind].delete(place)]


def fetch(place: Place) -> list[Command]:
    """Fetch the records, without checkpoints, to runs/."""
    return [
        ("mkdir", "-p", place.runs),
        (
            *("gcloud", "storage", "rsync", "--recursive", r"--exclude=.*/checkpoints/.*"),
            *(f"{place.folder}/runs", place.runs),
        ),
    ]


def hosting(launch: Launch) -> str:
    """The words of the command of each host."""
    shared = ["--shared", MOUNT] if launch.shared else []
    words = [launch.place.folder, *shared, "--", launch.study, *launch.arguments]
    return shlex.join(words)


def _send(launch: Launch) -> list[Command]:
    """Send the commit that is checked out, with its history; records name it."""
    bundle = f"/tmp/{launch.place.name}.bundle"
    return [
        ("git", "bundle", "create", bundle, "HEAD"),
        ("gcloud", "storage", "cp", bundle, f"{launch.place.folder}/source.bundle"),
    ]


def _where(place: Place) -> Command:
    return f"--project={place.project}", f"--zone={place.zone}"


def _machine(launch: Launch) -> Command:
    """The options that vm and queued share."""
    topology = launch.topology
    if topology == compact(topology.kind, topology.chips):
        chips: Command = (f"--accelerator-type={topology.accelerator_type}",)
    else:
        sides = topology.name.partition(":")[2]
        chips = f"--type={topology.generation.rented}", f"--topology={sides}"
    entries = {
        "windtunnel-folder": launch.place.folder,
        "windtunnel-host": hosting(launch),
        "windtunnel-shared": launch.shared,
    }
    text = [f"{name}={value}" for name, value in entries.items() if value is not None]
    comma = next(letter for letter in "~|;," if not any(letter in entry for entry in text))
    return (
        *chips,
        *(("--spot",) if launch.spot else ()),
        *((f"--service-account={launch.service_account}",) if launch.service_account else ()),
        "--scopes=cloud-platform",
        f"--metadata=^{comma}^{comma.join(text)}",
        f"--metadata-from-file=startup-script={STARTUP}",
    )


def _gcloud(group: str, verb: str, place: Place, *more: str) -> Command:
    return "gcloud", "compute", "tpus", group, verb, place.resource, *_where(place), *more


def _start_vm(launch: Launch) -> list[Command]:
    version = f"--version={launch.topology.generation.runtime}"
    return [
        *_send(launch),
        _gcloud("tpu-vm", "create", launch.place, version, *_machine(launch)),
    ]


def _start_queued(launch: Launch) -> list[Command]:
    node = f"--node-id={launch.place.resource}"
    version = f"--runtime-version={launch.topology.generation.runtime}"
    return [
        *_send(launch),
        _gcloud("queued-resources", "create", launch.place, node, version, *_machine(launch)),
    ]


def _host_logs(place: Place) -> Command:
    return "gcloud", "storage", "cat", f"{place.folder}/logs/*"


def _gcluster(verb: str, place: Place, *more: str) -> Command:
    where = f"--project={place.project}", f"--location={place.zone}", f"--cluster={place.cluster}"
    return "gcluster", "job", verb, *more, *where


def _start_gke(launch: Launch) -> list[Command]:
    assert launch.image is not None
    mounts: Command = ()
    if launch.shared is not None:
        server, share = launch.shared.split(":/")
        mounts = (f"--mount=filestore://{server}/{share};{MOUNT};rw",)
    return [
        *_send(launch),
        _gcluster(
            "submit",
            launch.place,
            f"--name={launch.place.resource}",
            f"--image={launch.image}",
            f"--compute-type={launch.topology.accelerator_type}",
            f"--topology={launch.topology.name.partition(':')[2]}",
            f"--restarts={RESTARTS}",
            f"--grace-period={GRACE}",
            *mounts,
            f"--command=python -m tpu host {hosting(launch)}",
        ),
    ]


KINDS: Mapping[str, Rental] = {
    "vm": Rental(
        start=_start_vm,
        state=lambda place: _gcloud("tpu-vm", "describe", place, "--format=value(state)"),
        logs=_host_logs,
        delete=lambda place: _gcloud("tpu-vm", "delete", place, "--quiet"),
    ),
    "queued": Rental(
        start=_start_queued,
        state=lambda place: _gcloud(
            "queued-resources", "describe", place, "--format=value(state.state)"
        ),
        logs=_host_logs,
        delete=lambda place: _gcloud("queued-resources", "delete", place, "--force", "--quiet"),
    ),
    "gke": Rental(
        start=_start_gke,
        state=lambda place: _gcluster("list", place),
        logs=lambda place: _gcluster("logs", place, place.resource),
        delete=lambda place: _gcluster("cancel", place, place.resource),
    ),
}
