# Every job: prepare each node, run the program on all ranks, warn them before the time is
# over, queue again what was stopped, and keep Slurm's figures.

warned='' heard='' ranks='' repeats=''
warn() { # it may come before there are ranks
    warned=1 heard=1
    if [ -z "$ranks" ]; then return; fi
    kill -s "$CONNECTOR_WARNING" "$ranks" 2>/dev/null || true
    if [ -n "$repeats" ] || ((SECONDS - began > 60)); then return; fi
    repeat >/dev/null &
    repeats=$!
    disown "$repeats"
}
repeat() { # srun drops what comes before its tasks have started
    while sleep 5 && kill -s "$CONNECTOR_WARNING" "$ranks" 2>/dev/null; do :; done
}
trap warn USR1 TERM

node=${SLURMD_NODENAME:-this node}
refuse() { # in one line
    echo "$CONNECTOR_PROGRAM: $*" >&2
    exit 2
}
need() {
    command -v "$1" >/dev/null || refuse "no $1 on $node: $2"
}

trap 'trap - EXIT; refuse "CONNECTOR_SETUP failed: $CONNECTOR_SETUP"' EXIT
eval "$CONNECTOR_SETUP" || exit # not under set -u, which modules do not stand
trap - EXIT
set -euo pipefail
if [ $# -eq 0 ]; then refuse "expected its arguments behind the name of this script"; fi

# What an enclosing job asked for is not this one's: steps take what the job has
memory=${SLURM_MEM_PER_NODE:-0}
if [ -n "${SLURM_MEM_PER_CPU:-}${SLURM_MEM_PER_GPU:-}" ]; then memory=0; fi
unset "${!SLURM_MEM_PER_@}" SLURM_TRES_PER_TASK SLURM_CPUS_PER_GPU SLURM_NTASKS_PER_GPU
if [ -n "${SLURM_CPU_BIND_LIST:-}" ]; then unset "${!SLURM_CPU_BIND@}"; fi
unset "${!SQUEUE_@}" "${!SACCT_@}" SLURM_TIME_FORMAT # nor what the user likes to see
export SLURM_EXPORT_ENV=ALL # to the ranks, also after sbatch --export=NONE

# the number of an array's last element is that of the array: it would name all elements
own=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
own=${own:-$SLURM_JOB_ID}
threads=${SLURM_CPUS_PER_TASK:-1}
export SRUN_CPUS_PER_TASK=$threads OMP_NUM_THREADS=$threads

# Of this job alone, on each node; nobody can guess its name before it is made
scratch=${TMPDIR:-/tmp}
if [[ ! -w $scratch || $scratch != /* || $scratch == *[,:]* ]]; then scratch=/tmp; fi
scratch=$(mktemp --dry-run "$scratch/hpc_connector.$SLURM_JOB_ID.XXXXXXXXXXXX")
export NUMBA_CACHE_DIR=$scratch/numba # compiled kernels
kept=${XDG_CACHE_HOME:-${HOME:-}/.cache}/hpc_connector/numba

linked=$PWD
cd -P . # in a container there may be no link that leads here

runtime=
inside=() # of the container, if there is one
if [ -n "$CONNECTOR_IMAGE" ]; then
    runtime=$(command -v apptainer || command -v singularity) ||
        refuse "no apptainer or singularity on $node, which $CONNECTOR_IMAGE needs"
    if [[ $CONNECTOR_IMAGE != *://* && ! -e $CONNECTOR_IMAGE ]]; then
        refuse "no $CONNECTOR_IMAGE on $node"
    fi
    bind=$scratch${CONNECTOR_BIND:+,$CONNECTOR_BIND}
    for folder in "$PWD" "$linked"; do # with such a sign in it, it is seen without
        if [[ ,$bind, != *",$folder,"* && $folder != *[,:]* ]]; then bind+=,$folder; fi
    done
    inside=("$runtime" exec --bind "$bind" --env "NUMBA_CACHE_DIR=$NUMBA_CACHE_DIR")
    inside+=(--env "TMPDIR=$scratch")
    # without setuid, ranks of a node share memory only in one namespace
    if "$runtime" exec --help | grep -q -- --sharens; then inside+=(--sharens); fi
    inside+=("$CONNECTOR_IMAGE")
    if running=$(squeue --me --noheader --states R,S,CG --format %A 2>/dev/null); then
        CONNECTOR_RUNNING="$(date -u +%FT%T) $running" # there is no squeue inside
        export CONNECTOR_RUNNING
    fi
else
    why="activate the environment before sbatch, or in CONNECTOR_SETUP of the site file"
    need "$CONNECTOR_PROGRAM" "$why"
    need hpc-connector "$why"
fi
read -ra launch <<<"$CONNECTOR_LAUNCH"
need srun "expected a job of Slurm, and CONNECTOR_SETUP to leave Slurm on PATH"
need "${launch[0]:-true}" "expected what starts the ranks in CONNECTOR_LAUNCH"

on_each_node() { srun --ntasks="$SLURM_NNODES" --ntasks-per-node=1 "$@"; }

is_private() { # a folder of this user, in which nobody else may write
    local found
    found=$(find -H "$1" \( ! -user "$(id -u)" -o -perm /022 \) ! -type l -print \
        -quit 2>/dev/null)
    [ -d "$1" ] && [ ! -e "$found" ] # which may be gone by now
}

# shellcheck disable=SC2317 # each node calls it
prepare_node() { # NAME SCRATCH KEPT RUNTIME
    umask 077
    if ! command -v "${4:-$1}" >/dev/null; then
        echo "$1: no ${4:-$1} on $(uname -n)" >&2
        return 2
    fi
    mkdir -p "${2%/*}" || return 2
    if ! mkdir "$2" 2>/dev/null && { [ ! -O "$2" ] || [ -L "$2" ]; }; then
        echo "$1: cannot make $2 on $(uname -n)" >&2 # where nodes share it, it is there
        return 2
    fi
    mkdir -p "$2/numba"
    if is_private "$3"; then cp -r "$3/." "$2/numba" 2>/dev/null; fi
    return 0
}

keep_kernels() { # for the next job; each by a rename, so that none is seen in part
    local new file partial=$kept.${scratch##*.}
    umask 077
    cd "$NUMBA_CACHE_DIR" || return
    mapfile -t new < <(find . -name '*.nbc' -newer ../staged)
    if [ ${#new[@]} -eq 0 ]; then return 0; fi
    if [ -e "$kept" ] && ! is_private "$kept"; then rm -r "$kept" || return; fi
    for file in "${new[@]}"; do # a name stands for one content
        if [ -e "$kept/$file" ]; then continue; fi
        mkdir -p "$kept/${file%/*}" || return
        cp "$file" "$partial" && mv "$partial" "$kept/$file" || return
    done
    find "$kept" -type f -mtime +60 -delete || true # days
}

leave_nodes() {
    trap - EXIT
    rm -rf "$scratch" || true
    if [ "$SLURM_NNODES" -gt 1 ]; then on_each_node rm -rf "$scratch" || true; fi
} 2>/dev/null
trap leave_nodes EXIT

code=0
run_ranks() {
    watched=()
    if [ "${CONNECTOR_TELEMETRY:-0}" = 1 ]; then watched=(--telemetry); fi
    # ranks that abort say why here: a launcher may report that it killed the others
    export CONNECTOR_CODE=$PWD/.$CONNECTOR_PROGRAM-$SLURM_JOB_ID.code
    rm -f "$CONNECTOR_CODE"
    began=$SECONDS
    "${launch[@]}" "${inside[@]}" "$CONNECTOR_PROGRAM" "$@" \
        --threads "$threads" --resume "${watched[@]}" &
    ranks=$!
    if [ -n "$warned" ]; then warn; fi
    heard=1
    while [ -n "$heard" ]; do # a warning ends a wait early
        heard='' code=0
        wait "$ranks" || code=$?
    done
    if [ -n "$repeats" ]; then kill "$repeats" 2>/dev/null || true; fi
    if [ -s "$CONNECTOR_CODE" ]; then
        code=$(<"$CONNECTOR_CODE")
    elif [ -n "$repeats" ] && [ "$code" -eq 1 ]; then
        code=75 # srun says so of a task prolog that the warning has killed
    fi
    rm -f "$CONNECTOR_CODE"
}

prepare="$(declare -f is_private prepare_node); prepare_node \"\$@\""
on_each_node bash -c "$prepare" - "$CONNECTOR_PROGRAM" "$scratch" "$kept" "$runtime" ||
    code=$?
if [ "$code" -eq 2 ]; then exit 2; fi
if [ -n "$warned" ]; then
    code=75
elif [ "$code" -eq 0 ]; then
    touch "$scratch/staged"
    run_ranks "$@"
    (keep_kernels) 2>/dev/null ||
        echo "$CONNECTOR_PROGRAM: compiled kernels are not kept in $kept" >&2
fi
case $code in # killed by the warning, as srun says it and mpirun, which joins codes by or
0 | 1 | 2) ;;
138 | 143 | 10 | 15) code=75 ;;
*) if [ -n "$warned" ]; then code=75; fi ;;
esac

figures= # of Slurm
keep_figures() { # once the accounting knows the job, and the end of the steps
    command -v sacct >/dev/null || return 0
    for _ in {1..15}; do # it may be late
        sleep 1
        figures=$(sacct --jobs "$own" --duplicates --noheader --parsable2 \
            --format "$CONNECTOR_FIGURES" 2>/dev/null) || return 0
        if ! grep -q "^${SLURM_JOB_ID}[|]" <<<"$figures"; then continue; fi
        grep -v batch <<<"$figures" |
            grep -qE "^$SLURM_JOB_ID([.].*[|]RUNNING|[|]PENDING)" || break
    done
    "${inside[@]}" hpc-connector account --code "$code" "$@" <<<"$figures" || true
}
keep_figures "$@"

short= # what the next attempt gets more of, as scontrol takes it
if [ "$code" -ne 0 ] && [ "$code" -ne 2 ]; then
    policy=(${CONNECTOR_POLICY:+--policy "$CONNECTOR_POLICY"})
    short=$(SLURM_MEM_PER_NODE=$memory "${inside[@]}" hpc-connector telemetry grow \
        --code "$code" --warn "$CONNECTOR_WARN" "${policy[@]}" "$@" <<<"$figures") || short=
fi
leave_nodes

is_over() { # cancelled; what Slurm has preempted goes on, also where it would end it
    local state
    state=$(squeue --noheader --jobs "$own" --format '%T %r' 2>/dev/null) || return 1
    if [[ $state != COMPLETING* || $state == *TimeLimit* ]]; then return 1; fi
    state=$(grep "^${SLURM_JOB_ID}[|]" <<<"$figures" | tail -n 1) || true
    [[ $state != *"|PREEMPTED|"* ]]
}

queue_again() {
    trap '' TERM # which this script and what it starts get now
    if is_over; then return 1; fi
    if [ -z "$short" ]; then
        scontrol requeue "$own"
    else
        scontrol requeuehold "$own" || return
        scontrol update "JobId=$own" "$short" || true
        scontrol release "$own"
    fi
}
if [ "$code" -eq 75 ] || [ -n "$short" ]; then
    if [ "${SLURM_RESTART_COUNT:-0}" -lt "$CONNECTOR_RESTARTS" ]; then
        queue_again && sleep 60
    fi
fi
exit "$code"
