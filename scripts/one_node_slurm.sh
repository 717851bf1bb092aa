#!/usr/bin/env bash
# A Slurm cluster of one node on this machine, to try things out and to test. Needs root on Debian
# or Ubuntu, no systemd: a container will do. Never touches a Slurm that it did not set up.
#
#   one_node_slurm.sh start       install what is missing, start what is not running
#   one_node_slurm.sh status      tell (by the exit status) if it runs
#   one_node_slurm.sh kill-node   kill the node's daemon and its jobs, as a power cut does
#   one_node_slurm.sh stop        end the jobs and the daemons
set -euo pipefail

conf=/etc/slurm/slurm.conf # jobs do not inherit SLURM_CONF, so it lies where all look for it
mark="# Written by sreclip's one_node_slurm.sh"
run=/run/sreclip-slurm
state=/var/lib/sreclip-slurm
host=$(hostname -s)

fail() {
    printf 'one_node_slurm.sh: %s\n' "$*" >&2
    exit 1
}

alive() { # alive NAME: does the daemon of this pid file run?
    local pid comm status
    pid=$(cat "$run/$1.pid" 2>/dev/null) || return 1
    read -r _ comm status _ 2>/dev/null <"/proc/$pid/stat" || return 1
    [ "$comm" = "($1)" ] && [ "$status" != Z ]
}

wait_for() { # wait_for SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}

install_slurm() {
    if command -v slurmctld slurmd sbatch munged >/dev/null; then return; fi
    command -v apt-get >/dev/null ||
        fail "Slurm is not installed, and there is no apt-get to install it with"
    local log=$run/apt.log
    echo "Installing slurmctld, slurmd, slurm-client and munge ..."
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge; } \
        >"$log" 2>&1 || fail "apt-get failed, see $log: $(tail -n 1 "$log")"
}

write_conf() {
    local memory cpus
    memory=$(slurmd -C | sed -nE 's/.*RealMemory=([0-9]+).*/\1/p')
    # A small machine pretends to have room for a few jobs at once (config_overrides).
    cpus=$(($(nproc) > 4 ? $(nproc) : 4))
    memory=$((memory > 32000 ? memory : 32000))
    cat >"$conf" <<EOF
$mark
ClusterName=sreclip
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=10
StateSaveLocation=$state/slurmctld
SlurmdSpoolDir=$state/slurmd
SlurmctldPidFile=$run/slurmctld.pid
SlurmdPidFile=$run/slurmd.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log

# A container has no cgroups to rule over.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
MpiDefault=none

# Quick to start a job, and to start it again after kill-node.
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,sched_interval=5
SlurmdTimeout=60
KillWait=5
ReturnToService=2

SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF
    # GPUs in name only, so that a job can ask for one.
    printf '%s\n' "$mark" "Name=gpu File=/dev/null" "Name=gpu File=/dev/zero" >/etc/slurm/gres.conf
}

start() {
    if [ ! -e "$conf" ] && [ -n "$(command -v slurmctld slurmd)" ] && sinfo >/dev/null 2>&1; then
        fail "this machine is part of a cluster already; use that one"
    fi
    if [ -e "$conf" ] && ! grep -qxF "$mark" "$conf"; then
        fail "$conf belongs to another Slurm; use that one, or move it away"
    fi
    [ "$(id -u)" = 0 ] || fail "needs root, to install Slurm and to write $conf"
    mkdir -p "$run" "$state/slurmctld" "$state/slurmd"
    install_slurm
    alive slurmctld || write_conf

    if ! munge -n >/dev/null 2>&1; then
        [ -e /etc/munge/munge.key ] || mungekey --create
        install -d -o munge -g munge -m 755 /run/munge
        install -d -o munge -g munge -m 700 /var/log/munge /var/lib/munge
        chown munge: /etc/munge/munge.key
        setpriv --reuid munge --regid munge --clear-groups munged ||
            fail "munged does not start, see /var/log/munge/munged.log"
        wait_for 10 munge -n || fail "munged does not answer, see /var/log/munge/munged.log"
    fi
    alive slurmctld || slurmctld || fail "slurmctld does not start, see $state/slurmctld.log"
    wait_for 20 scontrol ping || fail "slurmctld does not answer, see $state/slurmctld.log"
    alive slurmd || slurmd -N "$host" || fail "slurmd does not start, see $state/slurmd.log"
    node_is_up() { sinfo --noheader --format=%T | grep -qE '^(idle|mixed|allocated)$'; }
    if ! wait_for 20 node_is_up; then
        scontrol update "NodeName=$host" State=RESUME 2>/dev/null || true
        wait_for 20 node_is_up || fail "the node does not come up, see $state/slurmd.log"
    fi
    sinfo
}

descendants() { # descendants PID: it and all below it
    local child
    echo "$1"
    for child in $(pgrep -P "$1" || true); do descendants "$child"; done
}

kill_node() {
    alive slurmd || fail "no slurmd of this script runs"
    local tree
    tree=$(descendants "$(cat "$run/slurmd.pid")")
    # slurmstepd leaves slurmd's tree, and so do its tasks with it.
    for step in $(pgrep -x slurmstepd || true); do tree+=" $(descendants "$step")"; done
    # shellcheck disable=SC2086
    kill -KILL $tree 2>/dev/null || true
    # What Slurm finds out by itself after SlurmdTimeout.
    scontrol update "NodeName=$host" State=DOWN Reason=killed
}

stop() { # munged stays: others may use it
    if alive slurmctld; then scancel --user=root || true; fi
    if alive slurmd; then kill_node; fi
    if alive slurmctld; then kill "$(cat "$run/slurmctld.pid")"; fi
    ended() { ! alive slurmctld; }
    wait_for 30 ended || fail "slurmctld does not end, see $state/slurmctld.log"
}

case ${1:-} in
    start) start ;;
    status) grep -qxF "$mark" "$conf" 2>/dev/null && alive slurmctld && alive slurmd ;;
    kill-node) kill_node ;;
    stop) stop ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
