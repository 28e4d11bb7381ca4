#!/bin/bash
# The start-up script of a TPU machine: run as root at every start, on each host of a slice.
# `windtunnel tpu launch` gives it what it needs as metadata of the machine.
set -euo pipefail
log=/var/log/windtunnel.log
exec > >(tee -a "$log") 2>&1
export HOME=/root PATH=$PATH:/snap/bin

metadata() {
    curl --silent --fail --header 'Metadata-Flavor: Google' \
        "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"
}

folder=$(metadata windtunnel-folder)
host=$(metadata windtunnel-host) # quoted for a shell
worker=$(metadata agent-worker-number || echo 0)
if shared=$(metadata windtunnel-shared); then
    apt-get update -qq && apt-get install -y -qq nfs-common
    mkdir -p /shared
    mountpoint --quiet /shared || mount -t nfs "$shared" /shared
fi

code=/opt/windtunnel
rm -rf "$code"
gcloud storage cp "$folder/source.bundle" /opt/source.bundle
git clone --quiet /opt/source.bundle "$code"
cd "$code"
bash tpu/pod/setup.sh /opt/venv
eval "exec /opt/venv/bin/python -m tpu host --worker $worker --log $log $host"
