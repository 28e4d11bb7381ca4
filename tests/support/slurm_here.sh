#!/bin/sh
# A real Slurm of one node, without systemd, for the tests of the slurm launcher: start | stop.
#
#   apt-get install -y --no-install-recommends slurm-wlm munge     # as root, in a container of Debian
#   export SLURM_CONF=$(tests/support/slurm_here.sh start)
#   python -m pytest tests/launchers -m 'slow or not slow'
#   tests/support/slurm_here.sh stop
#
# All it writes is under SLURM_HERE (/tmp/slurm_here).
set -eu
here=${SLURM_HERE:-/tmp/slurm_here}
host=$(hostname -s)
export SLURM_CONF="$here/slurm.conf"

start() {
    mkdir -p "$here/state" "$here/spool" "$here/munge"
    chmod 755 "$here"
    head -c 128 /dev/urandom > "$here/munge/key"
    chmod 600 "$here/munge/key"
    chown -R munge:munge "$here/munge"
    cat > "$SLURM_CONF" <<CONF
ClusterName=here
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$here/munge/socket
StateSaveLocation=$here/state
SlurmdSpoolDir=$here/spool
SlurmctldPidFile=$here/slurmctld.pid
SlurmdPidFile=$here/slurmd.pid
SlurmctldLogFile=$here/slurmctld.log
SlurmdLogFile=$here/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SchedulerParameters=batch_sched_delay=1,sched_interval=2,requeue_delay=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=here Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
    setpriv --reuid munge --regid munge --clear-groups munged --key-file="$here/munge/key" \
        --socket="$here/munge/socket" --pid-file="$here/munge/pid" \
        --log-file="$here/munge/log" --seed-file="$here/munge/seed"
    slurmctld
    slurmd
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        if sinfo --noheader --format=%t | grep -q idle; then
            echo "$SLURM_CONF"
            return
        fi
        sleep 1
    done
    echo "the node is not idle; see $here/*.log" >&2
    exit 1
}

stop() {
    for pid in "$here/slurmd.pid" "$here/slurmctld.pid" "$here/munge/pid"; do
        [ ! -f "$pid" ] || kill "$(cat "$pid")"
    done
}

case ${1:-} in
    start) start ;;
    stop) stop ;;
    *) echo "usage: $0 start | stop" >&2; exit 2 ;;
esac
